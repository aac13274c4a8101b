/* A loaded backend: the core's own copy of the plugin's tables, checked and zero where the plugin has nothing. */
#ifndef LLMRUN_PLUGIN_BACKEND_H
#define LLMRUN_PLUGIN_BACKEND_H

#include <stdbool.h>

#include <llmrun/backend.h>

#include "base/status.h"
#include "plugin/table.h"

/* Lives as long as the process. At least one of has_kernel and has_program. A table that the plugin lacks is all NULL.
 */
struct backend {
    char name[32];
    char version[32];
    char vendor[64];
    const char *path;  /* of the file; "" for tables that came from elsewhere */
    uint32_t priority; /* of `backend: auto`; 0: only by name */
    bool has_kernel;
    bool has_program;
    bool has_capture;
    struct llmrun_device_table device;
    struct llmrun_kernel_table kernel;
    struct llmrun_program_table program;
    struct llmrun_capture_table capture;
};

/* The list of one table ("backend", "device", "kernel", "program", "capture"). NULL for an unknown name. */
const struct table_list *backend_requirements(const char *table);

/* Copies `from` and the tables that it names into `to`, min(size, own size) bytes each, and checks each against its
 * list. STATUS_BACKEND, naming the entry, when one is missing, a size is absurd, neither kernel nor program is there,
 * or the version or name is not `note_name` and `minor`, as the file's note says. `to->path` is left alone. */
int backend_copy(struct backend *to, const struct llmrun_backend *from, const char *note_name, uint32_t major,
                 uint32_t minor, struct error *error);

/* Turns a plugin's answer into a core error: STATUS_OK for LLMRUN_OK, STATUS_MEMORY for LLMRUN_ERROR_MEMORY,
 * STATUS_BACKEND for all else. The message begins with the backend's name. `from` is what the plugin filled; its text
 * may be empty. */
int backend_error(const struct backend *backend, int32_t code, const struct llmrun_error *from, struct error *error);

/* The same, for a plugin of which only the name is known. */
int backend_error_named(const char *name, int32_t code, const struct llmrun_error *from, struct error *error);

#endif
