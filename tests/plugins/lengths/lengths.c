/* The CPU backend between a host and a plugin of other lengths of the contract, by order of the environment:
 *
 *   LENGTHS_DEVICE, LENGTHS_BACKEND  the size of that table, as an older plugin has it
 *   LENGTHS_STRUCTS=short            each struct that the CPU backend gets is as small as the contract allows,
 *   LENGTHS_STRUCTS=long             or longer than its own, items of arrays too, from a host of a later minor version
 *
 * What lies beyond a struct is garbage, and a call fails where the CPU backend has written there. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "wrapped/wrapped.h"

#define EXTRA   24 /* bytes of a later version */
#define GARBAGE 0xa5
#define ROOM    512 /* of a struct, and of what lies beyond */

static bool is_ordered(const char *order)
{
    const char *text = getenv("LENGTHS_STRUCTS");

    return text != NULL && strcmp(text, order) == 0;
}

/* The length of a struct, or of an item, that has `least` bytes in version 0.2 and `own` here. */
static uint32_t length_of(uint32_t least, uint32_t own)
{
    return is_ordered("short") ? least : is_ordered("long") ? own + EXTRA : own;
}

struct resized {
    _Alignas(16) unsigned char bytes[ROOM];
    uint32_t known; /* bytes that both sides have */
};

static void *resize(struct resized *to, const void *from, uint32_t least, uint32_t own)
{
    const uint32_t length = length_of(least, own);

    memset(to->bytes, GARBAGE, sizeof to->bytes);
    to->known = length < own ? length : own;
    memcpy(to->bytes, from, to->known);
    memcpy(to->bytes, &length, sizeof length);
    return to->bytes;
}

/* Gives a struct that was filled back to the host. */
static int32_t give_back(void *to, struct resized *filled, struct llmrun_error *error)
{
    for (uint32_t i = filled->known; i < sizeof filled->bytes; i++)
        if (filled->bytes[i] != GARBAGE)
            return wrapped_fail(error, LLMRUN_ERROR_INTERNAL, "byte %u was written of a struct of %u", i,
                                filled->known);
    llmrun_write(to, filled->bytes, filled->known);
    return LLMRUN_OK;
}

static void *spread(const void *items, uint32_t count, uint32_t bytes, uint32_t stride)
{
    char *spread = malloc((size_t)count * stride + 1);

    if (spread == NULL)
        return NULL;
    memset(spread, GARBAGE, (size_t)count * stride);
    for (uint32_t i = 0; i < count; i++)
        memcpy(spread + (size_t)i * stride, (const char *)items + (size_t)i * bytes, bytes);
    return spread;
}

static int32_t device_info(int32_t index, struct llmrun_device_info *info, struct llmrun_error *error)
{
    struct resized resized;
    int32_t code = inner->device->info(index, resize(&resized, info, LLMRUN_DEVICE_INFO_MIN, sizeof *info), error);

    return code == LLMRUN_OK ? give_back(info, &resized, error) : code;
}

static int32_t device_open(int32_t index, const struct llmrun_options *options, struct llmrun_device **device,
                           struct llmrun_error *error)
{
    const uint32_t stride = length_of(LLMRUN_OPTION_MIN, sizeof *options->items);
    struct llmrun_options list = *options;
    struct resized resized;
    void *items = spread(options->items, options->count, sizeof *options->items, stride);
    int32_t code;

    if (items == NULL)
        return wrapped_fail(error, LLMRUN_ERROR_MEMORY, "no memory for options");
    list.items = items;
    list.stride = stride;
    code = inner->device->open(index, resize(&resized, &list, LLMRUN_OPTIONS_MIN, sizeof list), device, error);
    free(items);
    return code;
}

static int32_t copy(struct llmrun_stream *stream, const struct llmrun_copy *what, struct llmrun_error *error)
{
    struct resized resized;

    return inner->device->copy(stream, resize(&resized, what, LLMRUN_COPY_MIN, sizeof *what), error);
}

/* An op whose operands lie apart: they are to be freed. */
static void *resize_op(struct resized *resized, const struct llmrun_op *op, void **operands)
{
    const uint32_t stride = length_of(LLMRUN_TENSOR_MIN, sizeof *op->operands);
    struct llmrun_op own = *op;

    *operands = spread(op->operands, op->operand_count, sizeof *op->operands, stride);
    own.operands = *operands;
    own.operand_stride = stride;
    return resize(resized, &own, LLMRUN_OP_MIN, sizeof own);
}

static int32_t query(struct llmrun_device *device, const struct llmrun_op *op, struct llmrun_op_support *answer,
                     struct llmrun_error *error)
{
    struct resized resized, filled;
    void *operands, *given = resize_op(&resized, op, &operands);
    int32_t code = LLMRUN_ERROR_MEMORY;

    if (operands != NULL)
        code =
            inner->kernel->query(device, given, resize(&filled, answer, LLMRUN_OP_SUPPORT_MIN, sizeof *answer), error);
    free(operands);
    return code == LLMRUN_OK ? give_back(answer, &filled, error) : code;
}

static int32_t prepare(struct llmrun_device *device, const struct llmrun_op *op, int64_t max_workspace,
                       struct llmrun_kernel **kernel, struct llmrun_error *error)
{
    struct resized resized;
    void *operands, *given = resize_op(&resized, op, &operands);
    int32_t code = LLMRUN_ERROR_MEMORY;

    if (operands != NULL)
        code = inner->kernel->prepare(device, given, max_workspace, kernel, error);
    free(operands);
    return code;
}

LLMRUN_PLUGIN_NOTE(LLMRUN_PLUGIN_BACKEND, "lengths", "0.1.0");

static uint32_t ordered_size(const char *name, size_t size)
{
    const char *text = getenv(name);

    return text != NULL ? (uint32_t)strtoul(text, NULL, 10) : (uint32_t)size;
}

const struct llmrun_backend *llmrun_backend_entry(const struct llmrun_host *host, struct llmrun_error *error)
{
    static struct llmrun_device_table device;
    static struct llmrun_kernel_table kernel;
    static struct llmrun_backend own;
    struct llmrun_host later = *host;
    struct resized resized;

    later.abi_minor += is_ordered("long");
    if (wrapped_open("lengths", resize(&resized, &later, LLMRUN_HOST_MIN, sizeof later), error) == NULL)
        return NULL;
    device = *inner->device;
    device.size = ordered_size("LENGTHS_DEVICE", sizeof device);
    device.info = device_info;
    device.open = device_open;
    device.copy = copy;
    kernel = *inner->kernel;
    kernel.query = query;
    kernel.prepare = prepare;
    own = (struct llmrun_backend){.size = ordered_size("LENGTHS_BACKEND", sizeof own),
                                  .abi_major = LLMRUN_ABI_MAJOR,
                                  .abi_minor = LLMRUN_ABI_MINOR,
                                  .name = "lengths",
                                  .version = "0.1.0",
                                  .vendor = "llmrun tests",
                                  .device = &device,
                                  .kernel = &kernel};
    return &own;
}
