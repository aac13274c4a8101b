#include "data/token_set.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/hash.h"
#include "base/memory.h"

/* Sets that may grow without a look at how much memory there is. */
#define SMALL_BYTES ((int64_t)64 << 20)

void token_set_start(struct token_set *set, int32_t vocabulary)
{
    memset(set, 0, sizeof *set);
    set->vocabulary = vocabulary;
    set->width = vocabulary <= 256 ? 1 : vocabulary <= 65536 ? 2 : 4;
}

void token_set_finish(struct token_set *set)
{
    free(set->tokens);
    free(set->starts);
    free(set->learn_from);
    memset(set, 0, sizeof *set);
}

/* Documents are counted while they are open; this forgets an open one that got no token. */
static void drop_empty_document(struct token_set *set)
{
    if (set->documents > 0 && set->starts[set->documents - 1] == set->count)
        set->documents--;
}

int token_set_open_document(struct token_set *set, struct error *error)
{
    int64_t capacity = set->document_capacity;
    int64_t *starts, *learn_from;

    drop_empty_document(set);
    starts = array_reserve(set->starts, set->documents, 2, &capacity, sizeof *starts);
    if (starts == NULL)
        goto no_memory;
    set->starts = starts;
    capacity = set->document_capacity;
    learn_from = array_reserve(set->learn_from, set->documents, 2, &capacity, sizeof *learn_from);
    if (learn_from == NULL)
        goto no_memory;
    set->learn_from = learn_from;
    set->document_capacity = capacity;
    set->starts[set->documents] = set->count;
    set->learn_from[set->documents] = set->count;
    set->documents++;
    return STATUS_OK;
no_memory:
    return error_set(error, STATUS_MEMORY, "no memory for %lld documents", (long long)set->documents + 1);
}

/* Grows by an eighth: large memory moves without a copy, so that little more than what is needed is ever held. */
static int reserve_tokens(struct token_set *set, int64_t extra, struct error *error)
{
    int64_t capacity = set->count + extra;
    void *grown;

    if (capacity <= set->capacity)
        return STATUS_OK;
    capacity += capacity / 8 + 1024;
    if (capacity * set->width > SMALL_BYTES && (capacity - set->capacity) * set->width > memory_available())
        return error_set(error, STATUS_MEMORY, "%lld tokens, and there is no memory for more: %lld bytes are available",
                         (long long)set->count, (long long)memory_available());
    grown = realloc(set->tokens, (size_t)capacity * (size_t)set->width);
    if (grown == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for %lld tokens", (long long)(set->count + extra));
    set->tokens = grown;
    set->capacity = capacity;
    return STATUS_OK;
}

int64_t token_set_find_outside(const struct token_set *set, const int32_t *ids, int64_t count)
{
    const uint32_t vocabulary = (uint32_t)set->vocabulary;
    uint32_t largest = 0;
    int64_t index;

    for (index = 0; index < count; index++)
        largest = (uint32_t)ids[index] > largest ? (uint32_t)ids[index] : largest;
    if (largest < vocabulary)
        return count;
    for (index = 0; index < count && (uint32_t)ids[index] < vocabulary;)
        index++;
    return index;
}

int token_set_refuse(const struct token_set *set, int64_t ahead, int32_t id, struct error *error)
{
    return error_set(error, STATUS_INPUT, "token %lld of the document is %d, outside the model's vocabulary of %d",
                     (long long)(set->count + ahead - set->starts[set->documents - 1] + 1), id, set->vocabulary);
}

void token_set_pack(const struct token_set *set, const int32_t *ids, int64_t count, void *out)
{
    int64_t index;

    if (set->width == 1)
        for (index = 0; index < count; index++)
            ((uint8_t *)out)[index] = (uint8_t)ids[index];
    else if (set->width == 2)
        for (index = 0; index < count; index++)
            ((uint16_t *)out)[index] = (uint16_t)ids[index];
    else if (count > 0)
        memcpy(out, ids, (size_t)count * sizeof *ids);
}

int token_set_append(struct token_set *set, const int32_t *ids, int64_t count, struct error *error)
{
    int64_t outside = token_set_find_outside(set, ids, count);
    int result;

    if (outside < count)
        return token_set_refuse(set, outside, ids[outside], error);
    result = reserve_tokens(set, count, error);
    if (result != STATUS_OK || count == 0)
        return result;
    token_set_pack(set, ids, count, (char *)set->tokens + set->count * set->width);
    set->count += count;
    return STATUS_OK;
}

int token_set_append_packed(struct token_set *set, const void *packed, int64_t count, struct error *error)
{
    int result = reserve_tokens(set, count, error);

    if (result != STATUS_OK || count == 0)
        return result;
    memcpy((char *)set->tokens + set->count * set->width, packed, (size_t)(count * set->width));
    set->count += count;
    return STATUS_OK;
}

void token_set_mask_so_far(struct token_set *set)
{
    set->learn_from[set->documents - 1] = set->count;
}

void token_set_close(struct token_set *set)
{
    drop_empty_document(set);
    if (set->starts != NULL)
        set->starts[set->documents] = set->count;
    if (set->count > 0 && set->count < set->capacity) {
        void *exact = realloc(set->tokens, (size_t)set->count * (size_t)set->width);

        set->tokens = exact != NULL ? exact : set->tokens;
        set->capacity = exact != NULL ? set->count : set->capacity;
    }
}

int64_t token_set_document(const struct token_set *set, int64_t index)
{
    int64_t low = 0, high = set->documents;

    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;

        if (set->starts[middle] <= index)
            low = middle;
        else
            high = middle;
    }
    return low;
}

uint64_t token_set_hash(const struct token_set *set)
{
    uint64_t parts[4] = {0};

    if (set->tokens != NULL && set->width == 1)
        parts[0] = hash_widened(set->tokens, (size_t)set->count);
    else if (set->tokens != NULL)
        parts[set->width == 2 ? 0 : 1] = hash_bytes(set->tokens, (size_t)(set->count * set->width));
    if (set->documents > 0) {
        parts[2] = hash_bytes(set->starts, (size_t)(set->documents + 1) * sizeof *set->starts);
        parts[3] = hash_bytes(set->learn_from, (size_t)set->documents * sizeof *set->learn_from);
    }
    return hash_bytes(parts, sizeof parts);
}
