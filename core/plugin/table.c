#include "plugin/table.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "plugin/note.h"

#define TABLE_BYTES_MAX 65536 /* no table of functions is larger; a larger number is not a size */

int table_copy(void *to, size_t to_bytes, const void *from, const struct table_list *list, uint32_t minor,
               struct error *error)
{
    uint32_t size;

    memset(to, 0, to_bytes);
    memcpy(&size, from, sizeof size);
    if (size < 2 * sizeof size || size > TABLE_BYTES_MAX || size % sizeof(void *) != 0)
        return error_set(error, STATUS_BACKEND, "has a %s table that gives its size as %u bytes, which cannot be",
                         list->table, size);
    memcpy(to, from, size < to_bytes ? size : to_bytes);
    for (int i = 0; i < list->count; i++) {
        const struct table_requirement *row = &list->rows[i];
        void *entry;

        if (row->since_minor > minor)
            continue;
        memcpy(&entry, (const char *)to + row->offset, sizeof entry);
        if (entry == NULL)
            return error_set(error, STATUS_BACKEND,
                             "lacks the entry %s of its %s table, required since version 0.%u of the contract",
                             row->name, list->table, row->since_minor);
    }
    return STATUS_OK;
}

int table_check_note(uint32_t table_major, uint32_t table_minor, const char *table_name, uint32_t note_major,
                     uint32_t note_minor, const char *note_name, struct error *error)
{
    if (table_major != note_major || table_minor != note_minor)
        return error_set(error, STATUS_BACKEND, "contradicts itself: contract %u.%u in its table, %u.%u in its note",
                         table_major, table_minor, note_major, note_minor);
    if (strncmp(table_name, note_name, sizeof((struct plugin_note *)NULL)->name) != 0)
        return error_set(error, STATUS_BACKEND,
                         "contradicts itself: it is named '%.31s' in its table, '%s' in its note", table_name,
                         note_name);
    return STATUS_OK;
}

void table_copy_text(char *to, size_t to_bytes, const char *from)
{
    snprintf(to, to_bytes, "%.*s", (int)to_bytes - 1, from);
    text_hide_controls(to);
}
