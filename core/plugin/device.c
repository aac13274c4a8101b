#include "plugin/device.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

/* Facts as the plugin gives them, made safe to print and to compute with. */
static int read_info(struct device *device, struct error *error)
{
    struct llmrun_error reason = {0};
    struct llmrun_device_info *info = &device->info;
    int32_t code;

    info->size = sizeof *info;
    code = device->backend->device.info(device->index, info, &reason);
    if (code != LLMRUN_OK)
        return backend_error(device->backend, code, &reason, error);
    info->name[sizeof info->name - 1] = '\0';
    info->architecture[sizeof info->architecture - 1] = '\0';
    info->domain[sizeof info->domain - 1] = '\0';
    if (info->lanes < 1)
        info->lanes = 1;
    if (info->alignment < 1 || (info->alignment & (info->alignment - 1)) != 0)
        return error_set(error, STATUS_BACKEND,
                         "%s: device %d says its memory is aligned to %lld bytes, no power of two",
                         device->backend->name, device->index, (long long)info->alignment);
    return STATUS_OK;
}

int device_open(const struct backend *backend, int32_t index, const struct llmrun_option *options, int32_t option_count,
                struct device **out, struct error *error)
{
    struct llmrun_error reason = {0};
    struct device *device = calloc(1, sizeof *device);
    int32_t count = 0, code;
    int result;

    *out = NULL;
    if (device == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for a device");
    device->backend = backend;
    device->index = index;
    device->capabilities = capability_cache_create();
    if (device->capabilities == NULL) {
        result = error_set(error, STATUS_MEMORY, "no memory for a device");
        goto out;
    }
    result = backend_error(backend, backend->device.count(&count, &reason), &reason, error);
    if (result != STATUS_OK)
        goto out;
    if (index < 0 || index >= count) {
        result = error_set(error, STATUS_BACKEND, "%s: there is no device %d; it has %d", backend->name, index, count);
        goto out;
    }
    result = read_info(device, error);
    if (result != STATUS_OK)
        goto out;
    code = backend->device.open(index, options, option_count, &device->handle, &reason);
    result = backend_error(backend, code, &reason, error);
    if (result == STATUS_OK) {
        *out = device;
        device = NULL;
    }
out:
    if (device != NULL)
        capability_cache_destroy(device->capabilities);
    free(device);
    return result;
}

void device_close(struct device *device)
{
    if (device == NULL)
        return;
    device->backend->device.close(device->handle);
    capability_cache_destroy(device->capabilities);
    free(device);
}

int device_quiesce(struct device *device, struct error *error)
{
    struct llmrun_error reason = {0};

    return backend_error(device->backend, device->backend->device.quiesce(device->handle, &reason), &reason, error);
}

/* Bytes of device memory that are free now, -1 when the plugin does not know. */
static int64_t free_bytes(const struct device *device)
{
    struct llmrun_device_info now = {.size = sizeof now};

    if (device->backend->device.info(device->index, &now, NULL) != LLMRUN_OK || now.memory_bytes == 0)
        return -1;
    return now.memory_free_bytes;
}

int buffer_create(struct device *device, uint32_t kind, int64_t bytes, struct buffer *buffer, struct error *error)
{
    struct llmrun_error reason = {0};
    uint64_t address = 0;
    int64_t left;
    int32_t code;
    int result;

    memset(buffer, 0, sizeof *buffer);
    if (bytes <= 0)
        return error_set(error, STATUS_BUG, "a buffer of %lld bytes was asked for", (long long)bytes);
    code = device->backend->device.memory_alloc(device->handle, kind, bytes, &address, &reason);
    if (code != LLMRUN_OK) {
        result = backend_error(device->backend, code, &reason, error);
        left = code == LLMRUN_ERROR_MEMORY ? free_bytes(device) : -1;
        if (left >= 0 && error != NULL)
            error_prefix(error, "device %d of %s has %lld bytes free, %lld were asked for", device->index,
                         device->backend->name, (long long)left, (long long)bytes);
        else if (error != NULL)
            error_prefix(error, "no %lld bytes on device %d of %s", (long long)bytes, device->index,
                         device->backend->name);
        return result;
    }
    if (address == 0 || address % (uint64_t)device->info.alignment != 0) {
        device->backend->device.memory_free(device->handle, address);
        return error_set(error, STATUS_BACKEND, "%s: memory_alloc gave the address %llu, which is no multiple of %lld",
                         device->backend->name, (unsigned long long)address, (long long)device->info.alignment);
    }
    *buffer = (struct buffer){.device = device, .address = address, .bytes = bytes, .kind = kind};
    return STATUS_OK;
}

void buffer_destroy(struct buffer *buffer)
{
    if (buffer->device != NULL)
        buffer->device->backend->device.memory_free(buffer->device->handle, buffer->address);
    memset(buffer, 0, sizeof *buffer);
}

int buffer_address(const struct buffer *buffer, const struct device *device, int64_t offset, int64_t bytes,
                   uint64_t *address, struct error *error)
{
    int64_t end;

    if (buffer->device == NULL)
        return error_set(error, STATUS_BUG, "a buffer that has no memory was given to device %d of %s", device->index,
                         device->backend->name);
    if (buffer->device != device)
        return error_set(error, STATUS_BUG, "a buffer of device %d of %s was given to device %d of %s",
                         buffer->device->index, buffer->device->backend->name, device->index, device->backend->name);
    if (offset < 0 || bytes < 0 || !checked_add(offset, bytes, &end) || end > buffer->bytes)
        return error_set(error, STATUS_BUG, "bytes %lld to %lld + %lld are not inside a buffer of %lld bytes",
                         (long long)offset, (long long)offset, (long long)bytes, (long long)buffer->bytes);
    *address = buffer->address + (uint64_t)offset;
    return STATUS_OK;
}

int host_buffer_create(struct device *device, int64_t bytes, struct host_buffer *buffer, struct error *error)
{
    struct llmrun_error reason = {0};
    void *memory = NULL;
    int32_t code;

    memset(buffer, 0, sizeof *buffer);
    if (bytes <= 0)
        return error_set(error, STATUS_BUG, "a host buffer of %lld bytes was asked for", (long long)bytes);
    code = device->backend->device.host_alloc(device->handle, bytes, &memory, &reason);
    if (code != LLMRUN_OK) {
        int result = backend_error(device->backend, code, &reason, error);

        if (error != NULL)
            error_prefix(error, "no %lld bytes of host memory for device %d of %s", (long long)bytes, device->index,
                         device->backend->name);
        return result;
    }
    *buffer = (struct host_buffer){.device = device, .memory = memory, .bytes = bytes};
    return STATUS_OK;
}

void host_buffer_destroy(struct host_buffer *buffer)
{
    if (buffer->device != NULL)
        buffer->device->backend->device.host_free(buffer->device->handle, buffer->memory);
    memset(buffer, 0, sizeof *buffer);
}

int device_kernel_create(struct device *device, const struct llmrun_op *op, int64_t max_workspace,
                         struct device_kernel *kernel, struct error *error)
{
    struct llmrun_error reason = {0};
    struct llmrun_answer answer;
    int32_t code;
    int result;

    memset(kernel, 0, sizeof *kernel);
    if (!device->backend->has_kernel)
        return error_set(error, STATUS_BACKEND, "%s: it runs programs, not single ops", device->backend->name);
    result = capability_query(device, op, &answer, error);
    if (result != STATUS_OK)
        return result;
    if (answer.support == LLMRUN_SUPPORT_NO)
        return error_set(error, STATUS_BACKEND, "%s: op %u is not supported: %s", device->backend->name, op->op,
                         answer.reason);
    if (answer.workspace_bytes > max_workspace)
        return error_set(error, STATUS_BACKEND, "%s: op %u needs %lld bytes of workspace, %lld are allowed",
                         device->backend->name, op->op, (long long)answer.workspace_bytes, (long long)max_workspace);
    code = device->backend->kernel.prepare(device->handle, op, max_workspace, &kernel->handle, &reason);
    if (code != LLMRUN_OK)
        return backend_error(device->backend, code, &reason, error);
    kernel->device = device;
    kernel->workspace_bytes = answer.workspace_bytes;
    return STATUS_OK;
}

void device_kernel_destroy(struct device_kernel *kernel)
{
    if (kernel->device != NULL)
        kernel->device->backend->kernel.destroy(kernel->handle);
    memset(kernel, 0, sizeof *kernel);
}

const char *device_kernel_name(const struct device_kernel *kernel)
{
    const char *name = kernel->device->backend->kernel.name(kernel->handle);

    return name != NULL ? name : "?";
}

int device_program_create(struct device *device, const struct llmrun_program_desc *desc, struct device_program *program,
                          struct error *error)
{
    struct llmrun_error reason = {0};
    int32_t code;

    memset(program, 0, sizeof *program);
    if (!device->backend->has_program)
        return error_set(error, STATUS_BACKEND, "%s: it runs single ops, not programs", device->backend->name);
    code = device->backend->program.build(device->handle, desc, &program->handle, &reason);
    if (code != LLMRUN_OK)
        return backend_error(device->backend, code, &reason, error);
    program->device = device;
    program->workspace_bytes = device->backend->program.workspace(program->handle);
    return STATUS_OK;
}

void device_program_destroy(struct device_program *program)
{
    if (program->device != NULL)
        program->device->backend->program.destroy(program->handle);
    memset(program, 0, sizeof *program);
}
