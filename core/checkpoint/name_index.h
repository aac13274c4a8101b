/* Finds elements of a table by their name. */
#ifndef LLMRUN_CHECKPOINT_NAME_INDEX_H
#define LLMRUN_CHECKPOINT_NAME_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct name_entry {
    const char *name;
    int64_t position;
};

/* Sorted by name. Zero-initialised it is empty; freed with name_index_finish. Names are borrowed from the table. */
struct name_index {
    int64_t count;
    struct name_entry *entries;
};

/* Over `count` elements of `element_bytes` each, whose first member is a `const char *` (or `char *`) name.
 * STATUS_MEMORY without memory. */
int name_index_make(const void *elements, int64_t count, size_t element_bytes, struct name_index *index,
                    struct error *error);
void name_index_finish(struct name_index *index);

/* The element's place in the table, -1 when there is none. */
int64_t name_index_find(const struct name_index *index, const char *name);

/* A name that two elements have; NULL when there is none. */
const char *name_index_repeated(const struct name_index *index);

#endif
