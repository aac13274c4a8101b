/* A loaded collective plugin: the core's own copy of its table, checked and zero where the plugin has nothing. */
#ifndef LLMRUN_PLUGIN_COLLECTIVE_H
#define LLMRUN_PLUGIN_COLLECTIVE_H

#include <llmrun/collective.h>

#include "base/status.h"

#define COLLECTIVE_DOMAIN_BYTES 16

/* Lives as long as the process. */
struct collective {
    char name[32];
    char version[32];
    const char *path; /* of the file; "" for tables that came from elsewhere */
    uint32_t mode;    /* LLMRUN_COLLECTIVE_STREAM_ORDERED ... */
    int32_t domain_count;
    char domains[LLMRUN_COLLECTIVE_DOMAINS][COLLECTIVE_DOMAIN_BYTES];
    struct llmrun_collective_table table;
};

/* Copies `from` and the table that it names into `to`, min(size, own size) bytes each. STATUS_BACKEND, naming the
 * entry, when one is missing that its mode needs, a size is absurd, the mode is unknown, the domains are none, too many
 * or no names, or the version or name is not what the file's note says. `to->path` is left alone. */
int collective_copy(struct collective *to, const struct llmrun_collective *from, const char *note_name, uint32_t major,
                    uint32_t minor, struct error *error);

const char *collective_mode_name(uint32_t mode); /* "stream-ordered", "host-driven"; NULL for an unknown one */

#endif
