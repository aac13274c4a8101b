#include <stdlib.h>
#include <string.h>

#include "fakegpu.h"

/* Bytes that the rows of one side of a copy span. */
static int64_t span(int64_t rows, int64_t row_bytes, int64_t pitch)
{
    return rows > 0 ? (rows - 1) * pitch + row_bytes : 0;
}

/* One side of a copy: a device address is translated, a host address stays. */
static int32_t side(const struct llmrun_device *device, bool is_device, uint64_t address, int64_t bytes, uint64_t *data,
                    struct llmrun_error *error)
{
    *data = address;
    return is_device ? gpu_memory_translate(device, address, bytes, data, error) : LLMRUN_OK;
}

/* `copy` with both sides translated. */
static int32_t translate_copy(const struct llmrun_device *device, const struct llmrun_copy *copy,
                              struct llmrun_copy *translated, struct llmrun_error *error)
{
    int32_t code;

    *translated = *copy;
    code = side(device, copy->direction != LLMRUN_COPY_DEVICE_TO_HOST, copy->to,
                span(copy->rows, copy->row_bytes, copy->to_pitch), &translated->to, error);
    if (code != LLMRUN_OK)
        return code;
    return side(device, copy->direction != LLMRUN_COPY_HOST_TO_DEVICE, copy->from,
                span(copy->rows, copy->row_bytes, copy->from_pitch), &translated->from, error);
}

/* True when the host side, if there is one, is memory of host_alloc. */
static bool is_asynchronous(const struct llmrun_device *device, const struct llmrun_copy *copy)
{
    if (copy->direction == LLMRUN_COPY_HOST_TO_DEVICE)
        return gpu_memory_is_host(device, copy->from, span(copy->rows, copy->row_bytes, copy->from_pitch));
    if (copy->direction == LLMRUN_COPY_DEVICE_TO_HOST)
        return gpu_memory_is_host(device, copy->to, span(copy->rows, copy->row_bytes, copy->to_pitch));
    return true;
}

static int32_t check_copy(const struct llmrun_device *device, const struct llmrun_copy *copy,
                          struct llmrun_error *error)
{
    struct llmrun_copy translated;

    if (copy->direction < LLMRUN_COPY_HOST_TO_DEVICE || copy->direction > LLMRUN_COPY_DEVICE_TO_DEVICE)
        return wrapped_fail(error, LLMRUN_ERROR_UNSUPPORTED, "copy direction %u is unknown", copy->direction);
    if (copy->rows < 0 || copy->row_bytes < 0 || copy->to_pitch < copy->row_bytes || copy->from_pitch < copy->row_bytes)
        return wrapped_fail(error, LLMRUN_ERROR_ARGUMENT, "a copy of %lld rows of %lld bytes has pitches %lld and %lld",
                            (long long)copy->rows, (long long)copy->row_bytes, (long long)copy->to_pitch,
                            (long long)copy->from_pitch);
    return translate_copy(device, copy, &translated, error);
}

/* The end of a call that enqueues: one that fails makes the capture void that the stream is part of. */
static int32_t enqueued(struct llmrun_stream *stream, int32_t code, const struct llmrun_error *error)
{
    if (code != LLMRUN_OK && stream->capture != NULL)
        capture_spoil(stream->capture, code, error != NULL ? error->message : "work for it was refused");
    pthread_mutex_unlock(&stream->device->lock);
    return code;
}

int32_t work_copy(struct llmrun_stream *stream, const struct llmrun_copy *given, struct llmrun_error *error)
{
    struct llmrun_device *device = stream->device;
    struct llmrun_copy own;
    const struct llmrun_copy *copy = &own;
    struct command *command = NULL;
    bool waits;
    int32_t code;

    pthread_mutex_lock(&device->lock);
    code = llmrun_read(given, LLMRUN_COPY_MIN, &own, sizeof own, "a copy", error);
    if (code == LLMRUN_OK)
        code = check_copy(device, copy, error);
    if (code != LLMRUN_OK)
        return enqueued(stream, code, error);
    waits = !is_asynchronous(device, copy);
    if (waits && stream->capture != NULL)
        code = wrapped_fail(error, LLMRUN_ERROR_ARGUMENT,
                            "memory that is not of host_alloc cannot be copied in a capture");
    if (code == LLMRUN_OK)
        code = queue_command(stream, COMMAND_COPY, &command, error);
    if (code == LLMRUN_OK) {
        command->copy = *copy;
        command->bytes = !waits;
        queue_append(stream, command);
        /* Memory that the device cannot reach by itself: the call waits. */
        while (waits && stream->first != NULL && queue_advance(device, -1))
            ;
    }
    return enqueued(stream, code, error);
}

int32_t work_fill(struct llmrun_stream *stream, uint64_t address, uint32_t pattern, int64_t bytes,
                  struct llmrun_error *error)
{
    struct llmrun_device *device = stream->device;
    struct command *command = NULL;
    uint64_t data;
    int32_t code;

    pthread_mutex_lock(&device->lock);
    if (address % 4 != 0 || bytes % 4 != 0 || bytes < 0)
        code = wrapped_fail(error, LLMRUN_ERROR_ARGUMENT, "a fill of %lld bytes is not one of whole words",
                            (long long)bytes);
    else
        code = gpu_memory_translate(device, address, bytes, &data, error);
    if (code == LLMRUN_OK)
        code = queue_command(stream, COMMAND_FILL, &command, error);
    if (code == LLMRUN_OK) {
        command->addresses[0] = address;
        command->pattern = pattern;
        command->bytes = bytes;
        queue_append(stream, command);
    }
    return enqueued(stream, code, error);
}

static int32_t kernel_query(struct llmrun_device *device, const struct llmrun_op *op, struct llmrun_op_support *answer,
                            struct llmrun_error *error)
{
    for (uint32_t i = 0; !gpu_has_f64() && i < op->operand_count; i++)
        if (((const struct llmrun_tensor *)llmrun_item(op->operands, op->operand_stride, i))->dtype == LLMRUN_F64)
            return wrapped_fail(error, LLMRUN_ERROR_UNSUPPORTED, "operand %u is fp64, which this device has not", i);
    return inner->kernel->query(device->worker, op, answer, error);
}

static int32_t kernel_prepare(struct llmrun_device *device, const struct llmrun_op *op, int64_t max_workspace,
                              struct llmrun_kernel **kernel, struct llmrun_error *error)
{
    struct llmrun_op_support answer = {.size = sizeof answer};
    struct llmrun_kernel *made;
    int32_t code;

    pthread_mutex_lock(&device->lock);
    code = capture_refuse(device, "prepare", error); /* loading code at its first use is what a capture cannot have */
    pthread_mutex_unlock(&device->lock);
    if (code != LLMRUN_OK)
        return code;
    made = calloc(1, sizeof *made);
    if (made == NULL)
        return wrapped_fail(error, LLMRUN_ERROR_MEMORY, "no memory for a kernel");
    code = inner->kernel->query(device->worker, op, &answer, error);
    if (code == LLMRUN_OK)
        code = inner->kernel->prepare(device->worker, op, max_workspace, &made->worker, error);
    if (code != LLMRUN_OK) {
        free(made);
        return code;
    }
    made->device = device;
    made->workspace_bytes = answer.workspace_bytes;
    made->count = op->operand_count;
    for (uint32_t i = 0; i < op->operand_count; i++) {
        const struct llmrun_tensor *operand = llmrun_item(op->operands, op->operand_stride, i);

        made->bytes[i] = operand->dtype != LLMRUN_NONE ? wrapped_tensor_bytes(operand) : -1;
        made->alignment[i] = operand->alignment > 0 ? operand->alignment : 1;
    }
    *kernel = made;
    return LLMRUN_OK;
}

/* The operands and the workspace of a launch, translated and checked against what was prepared. */
static int32_t translate_launch(const struct llmrun_kernel *kernel, const uint64_t *addresses, uint64_t workspace,
                                uint64_t *data, uint64_t *data_workspace, struct llmrun_error *error)
{
    int32_t code = LLMRUN_OK;
    const char *name = inner->kernel->name(kernel->worker);
    struct llmrun_error reason = {0};

    for (uint32_t i = 0; i < kernel->count && code == LLMRUN_OK; i++) {
        data[i] = 0;
        if ((addresses[i] == 0) != (kernel->bytes[i] < 0))
            return wrapped_fail(error, LLMRUN_ERROR_ARGUMENT, "%s: operand %u was prepared as %s", name, i,
                                kernel->bytes[i] < 0 ? "absent" : "present");
        if (addresses[i] == 0)
            continue;
        if (addresses[i] % (uint64_t)kernel->alignment[i] != 0)
            return wrapped_fail(error, LLMRUN_ERROR_ARGUMENT, "%s: operand %u is not aligned to %lld bytes", name, i,
                                (long long)kernel->alignment[i]);
        code = gpu_memory_translate(kernel->device, addresses[i], kernel->bytes[i], &data[i], &reason);
        if (code != LLMRUN_OK)
            return wrapped_fail(error, code, "%s: operand %u: %.400s", name, i, reason.message);
    }
    *data_workspace = 0;
    if (kernel->workspace_bytes > 0)
        code = gpu_memory_translate(kernel->device, workspace, kernel->workspace_bytes, data_workspace, &reason);
    if (code != LLMRUN_OK)
        return wrapped_fail(error, code, "%s: its workspace: %.400s", name, reason.message);
    return LLMRUN_OK;
}

static int32_t kernel_launch(struct llmrun_stream *stream, struct llmrun_kernel *kernel, const uint64_t *addresses,
                             uint32_t address_count, uint64_t workspace, struct llmrun_error *error)
{
    struct llmrun_device *device = stream->device;
    uint64_t data[LLMRUN_MAX_OPERANDS], data_workspace;
    struct command *command = NULL;
    int32_t code;

    if (kernel->device != device)
        return wrapped_fail(error, LLMRUN_ERROR_ARGUMENT, "the kernel belongs to another device");
    if (address_count != kernel->count)
        return wrapped_fail(error, LLMRUN_ERROR_ARGUMENT, "%u addresses for %u operands", address_count, kernel->count);
    pthread_mutex_lock(&device->lock);
    code = translate_launch(kernel, addresses, workspace, data, &data_workspace, error);
    if (code == LLMRUN_OK)
        code = queue_command(stream, COMMAND_LAUNCH, &command, error);
    if (code == LLMRUN_OK) {
        command->kernel = kernel;
        command->count = address_count;
        command->workspace = workspace;
        memcpy(command->addresses, addresses, address_count * sizeof addresses[0]);
        kernel->pending += stream->capture == NULL;
        queue_append(stream, command);
    }
    return enqueued(stream, code, error);
}

static const char *kernel_name(const struct llmrun_kernel *kernel)
{
    return inner->kernel->name(kernel->worker);
}

static void free_kernel(struct llmrun_kernel *kernel)
{
    inner->kernel->destroy(kernel->worker);
    free(kernel);
}

static void kernel_destroy(struct llmrun_kernel *kernel)
{
    bool recorded;

    if (kernel == NULL)
        return;
    pthread_mutex_lock(&kernel->device->lock);
    capture_refuse(kernel->device, "destroy", NULL);
    while (kernel->pending > 0 && queue_advance(kernel->device, -1))
        ;
    recorded = kernel->recorded > 0; /* by a graph, whose replay fails from now on */
    kernel->destroyed = true;
    pthread_mutex_unlock(&kernel->device->lock);
    if (!recorded)
        free_kernel(kernel);
}

void work_forget(struct llmrun_kernel *kernel)
{
    if (--kernel->recorded == 0 && kernel->destroyed)
        free_kernel(kernel);
}

static int32_t execute_launch(struct llmrun_stream *stream, const struct command *command, struct llmrun_error *error)
{
    uint64_t data[LLMRUN_MAX_OPERANDS], workspace;
    int32_t code = translate_launch(command->kernel, command->addresses, command->workspace, data, &workspace, error);

    if (code != LLMRUN_OK)
        return code;
    if (workspace != 0) /* a kernel finds in it what another one left there */
        memset((void *)(uintptr_t)workspace, 0xff, (size_t)command->kernel->workspace_bytes);
    return inner->kernel->launch(stream->worker, command->kernel->worker, data, command->count, workspace, error);
}

int32_t work_execute(struct llmrun_stream *stream, const struct command *command, struct llmrun_error *error)
{
    struct llmrun_device *device = stream->device;
    struct llmrun_copy copy;
    uint64_t data;
    int32_t code;

    if (command->kind == COMMAND_COPY) {
        if (command->bytes && !is_asynchronous(device, &command->copy))
            return wrapped_fail(error, LLMRUN_ERROR_ARGUMENT,
                                "host memory was freed before the copy that names it ended");
        code = translate_copy(device, &command->copy, &copy, error);
        if (code == LLMRUN_OK)
            code = inner->device->copy(stream->worker, &copy, error);
    } else if (command->kind == COMMAND_FILL) {
        code = gpu_memory_translate(device, command->addresses[0], command->bytes, &data, error);
        if (code == LLMRUN_OK)
            code = inner->device->fill(stream->worker, data, command->pattern, command->bytes, error);
    } else {
        code = execute_launch(stream, command, error);
    }
    if (code == LLMRUN_OK)
        code = inner->device->event_record(stream->worker, stream->done, error);
    if (code == LLMRUN_OK)
        code = inner->device->event_wait(stream->done, -1, error);
    return code;
}

const struct llmrun_kernel_table fakegpu_kernel_table = {
    .size = sizeof(struct llmrun_kernel_table),
    .query = kernel_query,
    .prepare = kernel_prepare,
    .launch = kernel_launch,
    .name = kernel_name,
    .destroy = kernel_destroy,
};
