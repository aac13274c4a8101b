/* Names of a program's values, hashed: finding one, and the next free suffix of a name that is taken. */
#ifndef LLMRUN_PROGRAM_VALUE_INDEX_H
#define LLMRUN_PROGRAM_VALUE_INDEX_H

#include <stdbool.h>
#include <stdint.h>

struct value;

struct value_slot {
    int32_t value;       /* its id; -1: a free slot */
    int32_t next_suffix; /* "name.2" ... below this are taken; 0: none was asked for */
};

/* Open addressing, at most half full. All zero: empty. */
struct value_index {
    struct value_slot *slots; /* owned */
    int64_t capacity;         /* 0 or a power of two */
    int64_t count;
};

void value_index_finish(struct value_index *index);

/* Makes room for one more name. False when there is no memory: the index stays as it is. Slots move. */
bool value_index_reserve(struct value_index *index, const struct value *values);

/* The slot of this name, or the free one where it belongs. NULL in an empty index without room. */
struct value_slot *value_index_slot(const struct value_index *index, const struct value *values, const char *name);

#endif
