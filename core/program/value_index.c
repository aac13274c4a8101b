#include "program/value_index.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "program/program.h"

#define FIRST_CAPACITY 64

void value_index_finish(struct value_index *index)
{
    free(index->slots);
    *index = (struct value_index){0};
}

struct value_slot *value_index_slot(const struct value_index *index, const struct value *values, const char *name)
{
    uint64_t at;

    if (index->capacity == 0)
        return NULL;
    at = hash_text(name) & (uint64_t)(index->capacity - 1);
    while (index->slots[at].value >= 0 && strcmp(values[index->slots[at].value].name, name) != 0)
        at = (at + 1) & (uint64_t)(index->capacity - 1);
    return &index->slots[at];
}

bool value_index_reserve(struct value_index *index, const struct value *values)
{
    struct value_index grown = {.capacity = index->capacity > 0 ? 2 * index->capacity : FIRST_CAPACITY,
                                .count = index->count};

    if (2 * (index->count + 1) <= index->capacity)
        return true;
    grown.slots = malloc((size_t)grown.capacity * sizeof *grown.slots);
    if (grown.slots == NULL)
        return false;
    for (int64_t i = 0; i < grown.capacity; i++)
        grown.slots[i] = (struct value_slot){.value = -1};
    for (int64_t i = 0; i < index->capacity; i++)
        if (index->slots[i].value >= 0)
            *value_index_slot(&grown, values, values[index->slots[i].value].name) = index->slots[i];
    free(index->slots);
    *index = grown;
    return true;
}
