/* The core's own copy of a table of a plugin's, checked and zero where the plugin has nothing. */
#ifndef LLMRUN_PLUGIN_TABLE_H
#define LLMRUN_PLUGIN_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* One row of the list of what a table must hold: a pointer, to a function, a text or a table. */
struct table_requirement {
    const char *table;    /* "device" ... */
    const char *name;     /* of the entry */
    size_t offset;        /* in its table */
    uint32_t since_minor; /* plugins of this minor version and newer must have it */
};

/* The rows of one table. */
struct table_list {
    const char *table;
    const struct table_requirement *rows;
    int count;
};

#define TABLE_LIST(name, rows)                                                                                         \
    {                                                                                                                  \
        name, rows, (int)(sizeof(rows) / sizeof(rows)[0])                                                              \
    }

/* Copies min(size, to_bytes) bytes of a table of which only `size`, its first member, is known to be there, and zeroes
 * the rest. STATUS_BACKEND when the size cannot be (tables are pairs of 32-bit words and pointers), or an entry is
 * missing that a plugin of version `minor` has. */
int table_copy(void *to, size_t to_bytes, const void *from, const struct table_list *list, uint32_t minor,
               struct error *error);

/* What the table of tables says of itself must be what the file's note says. */
int table_check_note(uint32_t table_major, uint32_t table_minor, const char *table_name, uint32_t note_major,
                     uint32_t note_minor, const char *note_name, struct error *error);

/* Copies a text that may have no end, cut to what fits and without control characters. */
void table_copy_text(char *to, size_t to_bytes, const char *from);

#endif
