#include "hal/prepared.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/text.h"
#include "hal/device.h"
#include "hal/op_key.h"
#include "plugin/facts.h"
#include "plugin/guard.h"

struct prepared {
    struct prepared *next;
    uint64_t key;
    void *handle; /* struct llmrun_kernel or llmrun_program */
    int64_t workspace_bytes;
    int64_t users; /* of a kernel; a program has none that it goes with */
};

void prepared_init(struct prepared_cache *cache)
{
    pthread_mutex_init(&cache->mutex, NULL);
    cache->kernels = cache->programs = NULL;
}

static void free_list(struct prepared *list)
{
    while (list != NULL) {
        struct prepared *next = list->next;

        free(list);
        list = next;
    }
}

void prepared_finish(struct prepared_cache *cache)
{
    free_list(cache->kernels);
    free_list(cache->programs);
    pthread_mutex_destroy(&cache->mutex);
}

void prepared_destroy_programs(struct device *device)
{
    struct prepared_cache *cache = &device->prepared;

    for (const struct prepared *program = cache->programs; program != NULL; program = program->next)
        GUARDED_VOID(device->backend, program, destroy, program->handle);
    free_list(cache->programs);
    cache->programs = NULL;
}

/* With the mutex held, as all below: the object of `key`, with one user more; a new one without an object where there
 * is none. NULL: no memory. */
static struct prepared *take(struct prepared **list, uint64_t key)
{
    struct prepared *found = *list;

    while (found != NULL && found->key != key)
        found = found->next;
    if (found == NULL) {
        found = calloc(1, sizeof *found);
        if (found == NULL)
            return NULL;
        found->key = key;
        found->next = *list;
        *list = found;
    }
    found->users++;
    return found;
}

/* Where the one that uses `handle` hangs in the list. */
static struct prepared **find(struct prepared **list, const void *handle)
{
    while ((*list)->handle != handle)
        list = &(*list)->next;
    return list;
}

static void drop(struct prepared **at)
{
    struct prepared *gone = *at;

    *at = gone->next;
    free(gone);
}

static int make_kernel(struct device *device, const struct llmrun_op *op, int64_t max_workspace, struct prepared *made,
                       struct error *error)
{
    const struct backend *backend = device->backend;
    struct llmrun_kernel *handle = NULL;
    struct llmrun_error reason = {0};
    struct llmrun_op_support answer;
    int32_t code;
    int status = capability_query(device, op, &answer, error);

    if (status != STATUS_OK)
        return status;
    if (answer.support == LLMRUN_SUPPORT_NO)
        return error_set(error, STATUS_BACKEND, "%s: op %u is not supported: %s", backend->name, op->op, answer.reason);
    if (answer.workspace_bytes > max_workspace)
        return error_set(error, STATUS_BACKEND, "%s: op %u needs %lld bytes of workspace, %lld are allowed",
                         backend->name, op->op, (long long)answer.workspace_bytes, (long long)max_workspace);
    code = GUARDED_LONG(backend, kernel, prepare, device->handle, op, max_workspace, &handle, &reason);
    status = backend_error(backend, code, &reason, error);
    if (status == STATUS_OK)
        status = facts_given(device->backend, device->index, "prepare", handle, error);
    made->handle = handle;
    made->workspace_bytes = answer.workspace_bytes;
    return status;
}

int device_kernel_create(struct device *device, const struct llmrun_op *op, int64_t max_workspace,
                         struct device_kernel *kernel, struct error *error)
{
    const uint64_t parts[] = {op_key(op), (uint64_t)max_workspace};
    struct prepared_cache *cache = &device->prepared;
    struct prepared *taken;
    int status = STATUS_OK;

    memset(kernel, 0, sizeof *kernel);
    if (!device->backend->has_kernel)
        return error_set(error, STATUS_BACKEND, "%s: it runs programs, not single ops", device->backend->name);
    pthread_mutex_lock(&cache->mutex);
    taken = take(&cache->kernels, hash_bytes(parts, sizeof parts));
    if (taken == NULL)
        status = error_set(error, STATUS_MEMORY, "no memory for a kernel");
    else if (taken->handle == NULL)
        status = make_kernel(device, op, max_workspace, taken, error);
    if (status == STATUS_OK)
        *kernel = (struct device_kernel){
            .device = device, .handle = taken->handle, .workspace_bytes = taken->workspace_bytes};
    else if (taken != NULL)
        drop(&cache->kernels);
    pthread_mutex_unlock(&cache->mutex);
    return status;
}

void device_kernel_destroy(struct device_kernel *kernel)
{
    struct device *device = kernel->device;

    if (device != NULL && !device->lost) {
        struct prepared **at;

        pthread_mutex_lock(&device->prepared.mutex);
        at = find(&device->prepared.kernels, kernel->handle);
        if (--(*at)->users == 0) {
            drop(at);
            GUARDED_VOID(device->backend, kernel, destroy, kernel->handle);
        }
        pthread_mutex_unlock(&device->prepared.mutex);
    }
    memset(kernel, 0, sizeof *kernel);
}

void device_kernel_name(const struct device_kernel *kernel, char *text, size_t bytes)
{
    const struct backend *backend = kernel->device->backend;
    const char *name;

    guard_enter(backend->name, "in name", false);
    name = backend->kernel.name(kernel->handle);
    snprintf(text, bytes, "%.*s", (int)bytes - 1, name != NULL ? name : "?");
    guard_leave();
    text_hide_controls(text);
}

static int make_program(struct device *device, const struct llmrun_program_desc *desc, struct prepared *made,
                        struct error *error)
{
    const struct backend *backend = device->backend;
    struct llmrun_program *handle = NULL;
    struct llmrun_error reason = {0};
    int32_t code = GUARDED_LONG(backend, program, build, device->handle, desc, &handle, &reason);
    int status = backend_error(backend, code, &reason, error);

    if (status == STATUS_OK)
        status = facts_given(device->backend, device->index, "build", handle, error);
    if (status != STATUS_OK)
        return status;
    made->handle = handle;
    guard_enter(backend->name, "in workspace", false);
    made->workspace_bytes = backend->program.workspace(handle);
    guard_leave();
    if (made->workspace_bytes >= 0 && made->workspace_bytes <= CAPABILITY_WORKSPACE_MAX)
        return STATUS_OK;
    GUARDED_VOID(backend, program, destroy, handle);
    return error_set(error, STATUS_BACKEND, "%s: section %s is to have %lld bytes of workspace, expected 0 to %lld",
                     backend->name, desc->name, (long long)made->workspace_bytes, (long long)CAPABILITY_WORKSPACE_MAX);
}

int device_program_create(struct device *device, const struct llmrun_program_desc *desc, struct device_program *program,
                          struct error *error)
{
    struct prepared_cache *cache = &device->prepared;
    struct prepared *taken;
    int status = STATUS_OK;

    memset(program, 0, sizeof *program);
    if (!device->backend->has_program)
        return error_set(error, STATUS_BACKEND, "%s: it runs single ops, not programs", device->backend->name);
    pthread_mutex_lock(&cache->mutex);
    taken = take(&cache->programs, program_key(desc));
    if (taken == NULL)
        status = error_set(error, STATUS_MEMORY, "no memory for a program");
    else if (taken->handle == NULL)
        status = make_program(device, desc, taken, error);
    if (status == STATUS_OK)
        *program = (struct device_program){
            .device = device, .handle = taken->handle, .workspace_bytes = taken->workspace_bytes};
    else if (taken != NULL)
        drop(&cache->programs);
    pthread_mutex_unlock(&cache->mutex);
    return status;
}

void device_program_destroy(struct device_program *program)
{
    memset(program, 0, sizeof *program); /* the object stays with the device */
}
