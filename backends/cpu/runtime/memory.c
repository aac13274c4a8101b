#include <inttypes.h>
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
    int64_t bytes;        /* as asked for */
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
    char *base = mmap(NULL, (size_t)mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *memory;

    if (base == MAP_FAILED)
        return NULL;
    memory = base + ALIGNMENT;
    memory += -(uintptr_t)memory % (uintptr_t)HUGE_PAGE;
    madvise(memory, (size_t)rounded, MADV_HUGEPAGE);
    *header_of(memory) = (struct header){.base = base, .mapped_bytes = mapped};
    return memory;
}

/* Takes `bytes` from the device's budget, 0 when it has fewer left: memory beyond it would be granted now and cost the
 * process its life later. */
static int take(struct llmrun_device *device, int64_t bytes)
{
    int64_t used = atomic_load(&device->used_bytes);

    do {
        if (bytes > device->memory_bytes - used)
            return 0;
    } while (!atomic_compare_exchange_weak(&device->used_bytes, &used, used + bytes));
    return 1;
}

static int32_t allocate(struct llmrun_device *device, int64_t bytes, void **memory, struct llmrun_error *error)
{
    void *made;

    if (bytes <= 0)
        return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "memory of %" PRId64 " bytes was asked for; 1 is the least",
                           bytes);
    if (!take(device, bytes))
        return llmrun_fail(error, LLMRUN_ERROR_MEMORY,
                           "%" PRId64 " bytes of memory were asked for; %" PRId64 " of the host's %" PRId64
                           " are in use",
                           bytes, atomic_load(&device->used_bytes), device->memory_bytes);
    made = bytes < HUGE_PAGE ? allocate_small(bytes) : allocate_large(bytes);
    if (made == NULL) {
        atomic_fetch_sub(&device->used_bytes, bytes);
        return llmrun_fail(error, LLMRUN_ERROR_MEMORY, "the system refused %" PRId64 " bytes of memory", bytes);
    }
    header_of(made)->bytes = bytes;
    *memory = made;
    return LLMRUN_OK;
}

static void release(struct llmrun_device *device, void *memory)
{
    struct header header;

    if (memory == NULL)
        return;
    header = *header_of(memory);
    atomic_fetch_sub(&device->used_bytes, header.bytes);
    if (header.mapped_bytes > 0)
        munmap(header.base, (size_t)header.mapped_bytes);
    else
        free(header.base);
}

int32_t memory_alloc(struct llmrun_device *device, uint32_t kind, int64_t bytes, uint64_t *address,
                     struct llmrun_error *error)
{
    void *memory = NULL;
    int32_t code;

    if (kind != LLMRUN_MEMORY_DEVICE && kind != LLMRUN_MEMORY_SHARED)
        return llmrun_fail(error, LLMRUN_ERROR_UNSUPPORTED, "memory kind %u is unknown", kind);
    code = allocate(device, bytes, &memory, error);
    if (code == LLMRUN_OK)
        *address = (uint64_t)(uintptr_t)memory;
    return code;
}

void memory_free(struct llmrun_device *device, uint64_t address)
{
    release(device, (void *)(uintptr_t)address);
}

int32_t memory_host_alloc(struct llmrun_device *device, int64_t bytes, void **memory, struct llmrun_error *error)
{
    return allocate(device, bytes, memory, error);
}

void memory_host_free(struct llmrun_device *device, void *memory)
{
    release(device, memory);
}
