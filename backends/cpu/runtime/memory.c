#include <stdlib.h>
#include <sys/mman.h>

#include "runtime/runtime.h"

/* From this size on memory is mapped by itself, aligned to huge pages and marked for them: streaming kernels run up to
 * twice as fast, for want of page-table walks. */
#define HUGE_PAGE ((int64_t)2 << 20)
#define ALIGNMENT 64

/* Stands in the 64 bytes before the address that the host gets. */
struct header {
    void *base;
    int64_t mapped_bytes; /* 0: from the heap */
};

static struct header *header_of(void *memory)
{
    return (struct header *)((char *)memory - ALIGNMENT);
}

static void *allocate_small(int64_t bytes)
{
    void *base;

    if (posix_memalign(&base, ALIGNMENT, (size_t)bytes + ALIGNMENT) != 0)
        return NULL;
    *(struct header *)base = (struct header){.base = base};
    return (char *)base + ALIGNMENT;
}

static void *allocate_large(int64_t bytes)
{
    int64_t rounded = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    int64_t mapped = rounded + HUGE_PAGE + ALIGNMENT; /* room for the header and for alignment */
    char *base = mmap(NULL, (size_t)mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    char *memory;

    if (base == MAP_FAILED)
        return NULL;
    memory = base + ALIGNMENT;
    memory += -(uintptr_t)memory % (uintptr_t)HUGE_PAGE;
    madvise(memory, (size_t)rounded, MADV_HUGEPAGE);
    *header_of(memory) = (struct header){.base = base, .mapped_bytes = mapped};
    return memory;
}

static int32_t allocate(int64_t bytes, void **memory, struct llmrun_error *error)
{
    if (bytes <= 0)
        return runtime_fail(error, LLMRUN_ERROR_ARGUMENT, "memory of %lld bytes was asked for; at least 1 is needed",
                            (long long)bytes);
    *memory = NULL;
    if (bytes < (int64_t)1 << 56)
        *memory = bytes < HUGE_PAGE ? allocate_small(bytes) : allocate_large(bytes);
    if (*memory == NULL)
        return runtime_fail(error, LLMRUN_ERROR_MEMORY, "the host has no %lld bytes of memory to give",
                            (long long)bytes);
    return LLMRUN_OK;
}

static void release(void *memory)
{
    struct header header;

    if (memory == NULL)
        return;
    header = *header_of(memory);
    if (header.mapped_bytes > 0)
        munmap(header.base, (size_t)header.mapped_bytes);
    else
        free(header.base);
}

int32_t memory_alloc(struct llmrun_device *device, uint32_t kind, int64_t bytes, uint64_t *address,
                     struct llmrun_error *error)
{
    void *memory;
    int32_t code;

    (void)device;
    if (kind != LLMRUN_MEMORY_DEVICE && kind != LLMRUN_MEMORY_SHARED)
        return runtime_fail(error, LLMRUN_ERROR_UNSUPPORTED, "memory kind %u is unknown", kind);
    code = allocate(bytes, &memory, error);
    if (code == LLMRUN_OK)
        *address = (uint64_t)(uintptr_t)memory;
    return code;
}

void memory_free(struct llmrun_device *device, uint64_t address)
{
    (void)device;
    release((void *)(uintptr_t)address);
}

int32_t memory_host_alloc(struct llmrun_device *device, int64_t bytes, void **memory, struct llmrun_error *error)
{
    (void)device;
    return allocate(bytes, memory, error);
}

void memory_host_free(struct llmrun_device *device, void *memory)
{
    (void)device;
    release(memory);
}
