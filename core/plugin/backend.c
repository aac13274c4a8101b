#include "plugin/backend.h"

#include <string.h>

#define DEVICE(entry, since)                                                                                           \
    {                                                                                                                  \
        "device", #entry, offsetof(struct llmrun_device_table, entry), since                                           \
    }
#define KERNEL(entry, since)                                                                                           \
    {                                                                                                                  \
        "kernel", #entry, offsetof(struct llmrun_kernel_table, entry), since                                           \
    }
#define PROGRAM(entry, since)                                                                                          \
    {                                                                                                                  \
        "program", #entry, offsetof(struct llmrun_program_table, entry), since                                         \
    }
#define CAPTURE(entry, since)                                                                                          \
    {                                                                                                                  \
        "capture", #entry, offsetof(struct llmrun_capture_table, entry), since                                         \
    }
#define BACKEND(entry, since)                                                                                          \
    {                                                                                                                  \
        "backend", #entry, offsetof(struct llmrun_backend, entry), since                                               \
    }

static const struct table_requirement backend_rows[] = {
    BACKEND(name, 1),
    BACKEND(version, 1),
    BACKEND(vendor, 1),
    BACKEND(device, 1),
};

static const struct table_requirement device_rows[] = {
    DEVICE(count, 1),       DEVICE(info, 1),          DEVICE(open, 1),           DEVICE(close, 1),
    DEVICE(synchronize, 1), DEVICE(memory_alloc, 1),  DEVICE(memory_free, 1),    DEVICE(host_alloc, 1),
    DEVICE(host_free, 1),   DEVICE(stream_create, 1), DEVICE(stream_destroy, 1), DEVICE(copy, 1),
    DEVICE(fill, 1),        DEVICE(event_create, 1),  DEVICE(event_destroy, 1),  DEVICE(event_record, 1),
    DEVICE(stream_wait, 1), DEVICE(event_query, 1),   DEVICE(event_wait, 1),     DEVICE(event_elapsed, 1),
};

static const struct table_requirement kernel_rows[] = {
    KERNEL(query, 1), KERNEL(prepare, 1), KERNEL(launch, 1), KERNEL(name, 1), KERNEL(destroy, 1),
};

static const struct table_requirement program_rows[] = {
    PROGRAM(query, 1), PROGRAM(build, 1), PROGRAM(workspace, 1), PROGRAM(launch, 1), PROGRAM(destroy, 1),
};

static const struct table_requirement capture_rows[] = {
    CAPTURE(begin, 1),
    CAPTURE(end, 1),
    CAPTURE(replay, 1),
    CAPTURE(destroy, 1),
};

#define LENGTH(array) (int)(sizeof(array) / sizeof(array)[0])

static const struct table_list lists[] = {
    TABLE_LIST("backend", backend_rows), TABLE_LIST("device", device_rows),   TABLE_LIST("kernel", kernel_rows),
    TABLE_LIST("program", program_rows), TABLE_LIST("capture", capture_rows),
};

const struct table_list *backend_requirements(const char *table)
{
    int i = 0;

    while (i < LENGTH(lists) && strcmp(lists[i].table, table) != 0)
        i++;
    return i < LENGTH(lists) ? &lists[i] : NULL;
}

static int copy_table(void *to, size_t to_bytes, const void *from, const char *table, uint32_t minor,
                      struct error *error)
{
    return table_copy(to, to_bytes, from, backend_requirements(table), minor, error);
}

int backend_copy(struct backend *to, const struct llmrun_backend *from, const char *note_name, uint32_t major,
                 uint32_t minor, struct error *error)
{
    struct llmrun_backend table;
    int result = copy_table(&table, sizeof table, from, "backend", minor, error);

    if (result == STATUS_OK)
        result = table_check_note(table.abi_major, table.abi_minor, table.name, major, minor, note_name, error);
    if (result != STATUS_OK)
        return result;
    if (table.kernel == NULL && table.program == NULL)
        return error_set(error, STATUS_BACKEND,
                         "has neither a kernel nor a program table; a backend needs one of them");
    result = copy_table(&to->device, sizeof to->device, table.device, "device", minor, error);
    if (result == STATUS_OK && table.kernel != NULL)
        result = copy_table(&to->kernel, sizeof to->kernel, table.kernel, "kernel", minor, error);
    if (result == STATUS_OK && table.program != NULL)
        result = copy_table(&to->program, sizeof to->program, table.program, "program", minor, error);
    if (result == STATUS_OK && table.capture != NULL)
        result = copy_table(&to->capture, sizeof to->capture, table.capture, "capture", minor, error);
    if (result != STATUS_OK)
        return result;
    table_copy_text(to->name, sizeof to->name, table.name);
    table_copy_text(to->version, sizeof to->version, table.version);
    table_copy_text(to->vendor, sizeof to->vendor, table.vendor);
    to->priority = table.priority;
    to->has_kernel = table.kernel != NULL;
    to->has_program = table.program != NULL;
    to->has_capture = table.capture != NULL;
    return STATUS_OK;
}

static const char *code_text(int32_t code)
{
    static const char *const text[] = {
        [LLMRUN_OK] = "no failure",
        [LLMRUN_ERROR_INTERNAL] = "an internal failure",
        [LLMRUN_ERROR_ARGUMENT] = "an argument that breaks the contract",
        [LLMRUN_ERROR_UNSUPPORTED] = "not supported",
        [LLMRUN_ERROR_MEMORY] = "out of memory",
        [LLMRUN_ERROR_DEVICE] = "the device or its driver failed",
        [LLMRUN_ERROR_TIMEOUT] = "not done in time",
        [LLMRUN_ERROR_VERSION] = "the plugin does not fit this llmrun",
        [LLMRUN_ERROR_ABORTED] = "aborted",
    };

    return code >= 0 && code < LENGTH(text) ? text[code] : "a failure with a code that llmrun does not know";
}

int backend_error_named(const char *name, int32_t code, const struct llmrun_error *from, struct error *error)
{
    const int status = code == LLMRUN_ERROR_MEMORY ? STATUS_MEMORY : STATUS_BACKEND;
    const char *message = from->message[0] != '\0' ? from->message : code_text(code);

    if (code == LLMRUN_OK)
        return STATUS_OK;
    if (from->vendor_code != 0)
        return error_set(error, status, "%s: %.511s (code %d, vendor code %d)", name, message, code, from->vendor_code);
    return error_set(error, status, "%s: %.511s", name, message);
}

int backend_error(const struct backend *backend, int32_t code, const struct llmrun_error *from, struct error *error)
{
    return backend_error_named(backend->name, code, from, error);
}
