#include "data/token_set.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/hash.h"

void token_set_start(struct token_set *set, int32_t vocabulary)
{
    memset(set, 0, sizeof *set);
    set->vocabulary = vocabulary;
}

void token_set_finish(struct token_set *set)
{
    free(set->narrow);
    free(set->wide);
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

static int reserve_tokens(struct token_set *set, int64_t extra, struct error *error)
{
    bool is_narrow = set->vocabulary <= 65536;
    void *old = is_narrow ? (void *)set->narrow : (void *)set->wide;
    void *grown = array_reserve(old, set->count, extra, &set->capacity, is_narrow ? sizeof(uint16_t) : sizeof(int32_t));

    if (grown == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for %lld tokens", (long long)(set->count + extra));
    if (is_narrow)
        set->narrow = grown;
    else
        set->wide = grown;
    return STATUS_OK;
}

int token_set_append(struct token_set *set, const int32_t *ids, int64_t count, struct error *error)
{
    int result = reserve_tokens(set, count, error);
    int64_t index;

    if (result != STATUS_OK)
        return result;
    for (index = 0; index < count; index++) {
        if (ids[index] < 0 || ids[index] >= set->vocabulary)
            return error_set(
                error, STATUS_INPUT, "token %lld of the document is %d, outside the model's vocabulary of %d",
                (long long)(set->count + index - set->starts[set->documents - 1] + 1), ids[index], set->vocabulary);
        if (set->narrow != NULL)
            set->narrow[set->count + index] = (uint16_t)ids[index];
        else
            set->wide[set->count + index] = ids[index];
    }
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

    if (set->narrow != NULL)
        parts[0] = hash_bytes(set->narrow, (size_t)set->count * sizeof *set->narrow);
    if (set->wide != NULL)
        parts[1] = hash_bytes(set->wide, (size_t)set->count * sizeof *set->wide);
    if (set->documents > 0) {
        parts[2] = hash_bytes(set->starts, (size_t)(set->documents + 1) * sizeof *set->starts);
        parts[3] = hash_bytes(set->learn_from, (size_t)set->documents * sizeof *set->learn_from);
    }
    return hash_bytes(parts, sizeof parts);
}
