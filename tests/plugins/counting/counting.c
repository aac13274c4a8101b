/* The CPU backend with a count of its memory: info tells 1 TiB less what is allocated, and "RANK BYTES", the most at a
 * time, is appended to the file that COUNTING_FILE names, where there is one, when the device is closed. Addresses are
 * aligned as info says and no more than that, and a launch is refused where an operand is not aligned as it was
 * described. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wrapped/wrapped.h"

#define MEMORY_BYTES ((int64_t)1 << 40)
#define ALIGNMENT    64
#define MOST         64 /* allocations at a time */

static struct {
    uint64_t address; /* as given; 0: a free entry */
    uint64_t data;    /* of the CPU backend */
    int64_t bytes;
} allocations[MOST];
static _Atomic int64_t used_bytes;
static int64_t most_bytes; /* at a time; allocations are of one thread */

struct llmrun_kernel {
    struct llmrun_kernel *worker;
    int64_t alignment[LLMRUN_MAX_OPERANDS];
};

static int32_t device_info(int32_t index, struct llmrun_device_info *info, struct llmrun_error *error)
{
    int32_t code = inner->device->info(index, info, error);

    if (code != LLMRUN_OK || info->size < offsetof(struct llmrun_device_info, memory_bytes_per_s))
        return code;
    info->memory_bytes = MEMORY_BYTES;
    info->memory_free_bytes = MEMORY_BYTES - atomic_load(&used_bytes);
    info->alignment = ALIGNMENT;
    return code;
}

static int32_t memory_alloc(struct llmrun_device *device, uint32_t kind, int64_t bytes, uint64_t *address,
                            struct llmrun_error *error)
{
    uint64_t data;
    int slot = 0;
    int32_t code;

    while (slot < MOST && allocations[slot].address != 0)
        slot++;
    if (slot == MOST)
        return wrapped_fail(error, LLMRUN_ERROR_MEMORY, "more than %d allocations", MOST);
    code = inner->device->memory_alloc(device, kind, bytes + 2 * ALIGNMENT, &data, error);
    if (code != LLMRUN_OK)
        return code;
    *address = (data & ~(uint64_t)(2 * ALIGNMENT - 1)) + ALIGNMENT; /* an odd multiple of it */
    if (*address < data)
        *address += 2 * ALIGNMENT;
    allocations[slot].address = *address;
    allocations[slot].data = data;
    allocations[slot].bytes = bytes;
    atomic_fetch_add(&used_bytes, bytes);
    most_bytes = atomic_load(&used_bytes) > most_bytes ? atomic_load(&used_bytes) : most_bytes;
    return LLMRUN_OK;
}

static void memory_free(struct llmrun_device *device, uint64_t address)
{
    for (int slot = 0; slot < MOST; slot++)
        if (address != 0 && allocations[slot].address == address) {
            inner->device->memory_free(device, allocations[slot].data);
            atomic_fetch_sub(&used_bytes, allocations[slot].bytes);
            allocations[slot].address = 0;
        }
}

static void device_close(struct llmrun_device *device)
{
    const char *path = getenv("COUNTING_FILE"), *rank = getenv("RANK");
    FILE *file = path != NULL && most_bytes > 0 ? fopen(path, "a") : NULL;

    if (file != NULL) {
        fprintf(file, "%s %lld\n", rank != NULL ? rank : "0", (long long)most_bytes);
        fclose(file);
    }
    most_bytes = 0;
    inner->device->close(device);
}

static int32_t kernel_prepare(struct llmrun_device *device, const struct llmrun_op *op, int64_t max_workspace,
                              struct llmrun_kernel **kernel, struct llmrun_error *error)
{
    struct llmrun_kernel *made = calloc(1, sizeof *made);
    int32_t code;

    if (made == NULL)
        return wrapped_fail(error, LLMRUN_ERROR_MEMORY, "no memory for a kernel");
    code = inner->kernel->prepare(device, op, max_workspace, &made->worker, error);
    if (code != LLMRUN_OK) {
        free(made);
        return code;
    }
    for (uint32_t i = 0; i < op->operand_count; i++) {
        const struct llmrun_tensor *operand = llmrun_item(op->operands, op->operand_stride, i);

        made->alignment[i] = operand->alignment > 0 ? operand->alignment : 1;
    }
    *kernel = made;
    return LLMRUN_OK;
}

static int32_t kernel_launch(struct llmrun_stream *stream, struct llmrun_kernel *kernel, const uint64_t *addresses,
                             uint32_t address_count, uint64_t workspace, struct llmrun_error *error)
{
    for (uint32_t i = 0; i < address_count; i++)
        if (addresses[i] % (uint64_t)kernel->alignment[i] != 0)
            return wrapped_fail(error, LLMRUN_ERROR_ARGUMENT, "%s: operand %u is not aligned to %lld bytes",
                                inner->kernel->name(kernel->worker), i, (long long)kernel->alignment[i]);
    return inner->kernel->launch(stream, kernel->worker, addresses, address_count, workspace, error);
}

static const char *kernel_name(const struct llmrun_kernel *kernel)
{
    return inner->kernel->name(kernel->worker);
}

static void kernel_destroy(struct llmrun_kernel *kernel)
{
    if (kernel != NULL)
        inner->kernel->destroy(kernel->worker);
    free(kernel);
}

static struct llmrun_device_table device_table;
static struct llmrun_kernel_table kernel_table;

WRAPPED_PLUGIN("counting", .device = &device_table, .kernel = &kernel_table)

const struct llmrun_backend *llmrun_backend_entry(const struct llmrun_host *host, struct llmrun_error *error)
{
    if (wrapped_open("counting", host, error) == NULL)
        return NULL;
    device_table = *inner->device;
    device_table.info = device_info;
    device_table.close = device_close;
    device_table.memory_alloc = memory_alloc;
    device_table.memory_free = memory_free;
    kernel_table = *inner->kernel;
    kernel_table.prepare = kernel_prepare;
    kernel_table.launch = kernel_launch;
    kernel_table.name = kernel_name;
    kernel_table.destroy = kernel_destroy;
    return &backend;
}
