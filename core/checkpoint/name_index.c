#include "checkpoint/name_index.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct name_entry *)a)->name, ((const struct name_entry *)b)->name);
}

int name_index_make(const void *elements, int64_t count, size_t element_bytes, struct name_index *index,
                    struct error *error)
{
    index->count = count;
    index->entries = malloc((size_t)(count + 1) * sizeof *index->entries);
    if (index->entries == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for %lld names", (long long)count);
    for (int64_t i = 0; i < count; i++) {
        memcpy(&index->entries[i].name, (const char *)elements + (size_t)i * element_bytes, sizeof(char *));
        index->entries[i].position = i;
    }
    qsort(index->entries, (size_t)count, sizeof *index->entries, compare);
    return STATUS_OK;
}

void name_index_finish(struct name_index *index)
{
    free(index->entries);
    *index = (struct name_index){0};
}

int64_t name_index_find(const struct name_index *index, const char *name)
{
    const struct name_entry wanted = {.name = name};
    const struct name_entry *found = NULL;

    if (index->count > 0)
        found = bsearch(&wanted, index->entries, (size_t)index->count, sizeof *index->entries, compare);
    return found != NULL ? found->position : -1;
}

const char *name_index_repeated(const struct name_index *index)
{
    for (int64_t i = 1; i < index->count; i++)
        if (compare(&index->entries[i - 1], &index->entries[i]) == 0)
            return index->entries[i].name;
    return NULL;
}
