#include "plugin/backend.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define TABLE_BYTES_MAX 65536 /* no table of functions is larger; a larger number is not a size */

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

static const struct backend_requirement backend_rows[] = {
    BACKEND(name, 1),
    BACKEND(version, 1),
    BACKEND(vendor, 1),
    BACKEND(device, 1),
};

static const struct backend_requirement device_rows[] = {
    DEVICE(count, 1),       DEVICE(info, 1),          DEVICE(open, 1),           DEVICE(close, 1),
    DEVICE(synchronize, 1), DEVICE(memory_alloc, 1),  DEVICE(memory_free, 1),    DEVICE(host_alloc, 1),
    DEVICE(host_free, 1),   DEVICE(stream_create, 1), DEVICE(stream_destroy, 1), DEVICE(copy, 1),
    DEVICE(fill, 1),        DEVICE(event_create, 1),  DEVICE(event_destroy, 1),  DEVICE(event_record, 1),
    DEVICE(stream_wait, 1), DEVICE(event_query, 1),   DEVICE(event_wait, 1),     DEVICE(event_elapsed, 1),
};

static const struct backend_requirement kernel_rows[] = {
    KERNEL(query, 1), KERNEL(prepare, 1), KERNEL(launch, 1), KERNEL(name, 1), KERNEL(destroy, 1),
};

static const struct backend_requirement program_rows[] = {
    PROGRAM(query, 1), PROGRAM(build, 1), PROGRAM(workspace, 1), PROGRAM(launch, 1), PROGRAM(destroy, 1),
};

static const struct backend_requirement capture_rows[] = {
    CAPTURE(begin, 1),
    CAPTURE(end, 1),
    CAPTURE(replay, 1),
    CAPTURE(destroy, 1),
};

#define LENGTH(array) (int)(sizeof(array) / sizeof(array)[0])

static const struct {
    const char *table;
    const struct backend_requirement *rows;
    int count;
} lists[] = {
    {"backend", backend_rows, LENGTH(backend_rows)}, {"device", device_rows, LENGTH(device_rows)},
    {"kernel", kernel_rows, LENGTH(kernel_rows)},    {"program", program_rows, LENGTH(program_rows)},
    {"capture", capture_rows, LENGTH(capture_rows)},
};

const struct backend_requirement *backend_requirements(const char *table, int *count)
{
    for (int i = 0; i < LENGTH(lists); i++) {
        if (strcmp(lists[i].table, table) == 0) {
            *count = lists[i].count;
            return lists[i].rows;
        }
    }
    *count = 0;
    return NULL;
}

/* Copies one table of which only `size`, its first member, is known to be there. */
static int copy_table(void *to, size_t to_bytes, const void *from, const char *table, uint32_t minor,
                      struct error *error)
{
    int count;
    const struct backend_requirement *rows = backend_requirements(table, &count);
    uint32_t size;

    memset(to, 0, to_bytes);
    memcpy(&size, from, sizeof size);
    if (size < 2 * sizeof size || size > TABLE_BYTES_MAX)
        return error_set(error, STATUS_BACKEND, "has a %s table that gives its size as %u bytes, which cannot be",
                         table, size);
    memcpy(to, from, size < to_bytes ? size : to_bytes);
    for (int i = 0; i < count; i++) {
        void *entry; /* every required entry is a pointer, to a function, a text or a table */

        if (rows[i].since_minor > minor)
            continue;
        memcpy(&entry, (const char *)to + rows[i].offset, sizeof entry);
        if (entry == NULL)
            return error_set(error, STATUS_BACKEND,
                             "lacks the entry %s of its %s table, required since version 0.%u of the contract",
                             rows[i].name, table, rows[i].since_minor);
    }
    return STATUS_OK;
}

/* At most what fits is read: the plugin's text may have no end. */
static void copy_text(char *to, size_t to_bytes, const char *from)
{
    snprintf(to, to_bytes, "%.*s", (int)to_bytes - 1, from);
    text_hide_controls(to);
}

int backend_copy(struct backend *to, const struct llmrun_backend *from, const char *note_name, uint32_t major,
                 uint32_t minor, struct error *error)
{
    struct llmrun_backend table;
    int result = copy_table(&table, sizeof table, from, "backend", minor, error);

    if (result != STATUS_OK)
        return result;
    if (table.abi_major != major || table.abi_minor != minor)
        return error_set(error, STATUS_BACKEND, "contradicts itself: contract %u.%u in its table, %u.%u in its note",
                         table.abi_major, table.abi_minor, major, minor);
    if (strncmp(table.name, note_name, sizeof to->name) != 0)
        return error_set(error, STATUS_BACKEND,
                         "contradicts itself: it is named '%.31s' in its table, '%s' in its note", table.name,
                         note_name);
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
    copy_text(to->name, sizeof to->name, table.name);
    copy_text(to->version, sizeof to->version, table.version);
    copy_text(to->vendor, sizeof to->vendor, table.vendor);
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
