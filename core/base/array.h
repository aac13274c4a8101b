/* Growing arrays of plain structs: the flat tables of the core. An array is a pointer, a count and a capacity that the
 * owner keeps beside each other; the memory is freed with free(). */
#ifndef LLMRUN_BASE_ARRAY_H
#define LLMRUN_BASE_ARRAY_H

#include <stdint.h>
#include <stdlib.h>

/* Makes room for `extra` more elements. Returns the (perhaps moved) memory, or NULL when there is none: then the old
 * memory stays valid. *capacity is updated. */
static inline void *array_reserve(void *items, int64_t count, int64_t extra, int64_t *capacity, size_t element_bytes)
{
    int64_t wanted = *capacity > 0 ? *capacity : 16;
    void *grown;

    if (count + extra <= *capacity && items != NULL)
        return items;
    while (wanted < count + extra)
        wanted *= 2;
    grown = realloc(items, (size_t)wanted * element_bytes);
    if (grown != NULL)
        *capacity = wanted;
    return grown;
}

#endif
