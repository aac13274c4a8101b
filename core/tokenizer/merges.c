#include "tokenizer/merges.h"

#include <stdlib.h>
#include <string.h>

/* Up to this many tokens, looking at all pairs for each merge is faster than a heap. */
#define SHORT_WORD 48
#define NO_RANK    INT32_MAX

int merge_table_start(struct merge_table *table, int64_t count, struct error *error)
{
    uint64_t slots = 16, place;

    while (slots < (uint64_t)count * 2)
        slots *= 2;
    table->mask = slots - 1;
    table->slots = malloc(slots * sizeof *table->slots);
    if (table->slots == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for %lld merges", (long long)count);
    for (place = 0; place < slots; place++)
        table->slots[place].left = -1;
    return STATUS_OK;
}

void merge_table_finish(struct merge_table *table)
{
    free(table->slots);
    table->slots = NULL;
}

bool merge_table_add(struct merge_table *table, struct merge merge)
{
    struct merge *slot = merge_table_find(table, merge.left, merge.right);

    if (slot->left != -1)
        return false;
    *slot = merge;
    return true;
}

static int32_t rank_of(const struct merge_table *table, int32_t left, int32_t right)
{
    const struct merge *merge = merge_table_find(table, left, right);

    return merge->left != -1 ? merge->rank : NO_RANK;
}

static void merge_short_word(const struct merge_table *table, int32_t *ids, int64_t *count)
{
    int32_t ranks[SHORT_WORD]; /* of the pair that begins at each token */
    int64_t pairs = *count - 1, index;

    for (index = 0; index < pairs; index++)
        ranks[index] = rank_of(table, ids[index], ids[index + 1]);
    while (pairs > 0) {
        int64_t best = 0;

        for (index = 1; index < pairs; index++)
            if (ranks[index] < ranks[best])
                best = index;
        if (ranks[best] == NO_RANK)
            break;
        ids[best] = merge_table_find(table, ids[best], ids[best + 1])->id;
        memmove(ids + best + 1, ids + best + 2, (size_t)(pairs - best - 1) * sizeof *ids);
        memmove(ranks + best, ranks + best + 1, (size_t)(pairs - best - 1) * sizeof *ranks);
        pairs--;
        if (best > 0)
            ranks[best - 1] = rank_of(table, ids[best - 1], ids[best]);
        if (best < pairs)
            ranks[best] = rank_of(table, ids[best], ids[best + 1]);
    }
    *count = pairs + 1;
}

/* A long word: its tokens as a linked list over their first places, and the pairs to merge in a binary heap. A heap
 * entry is rank << 32 | place of the left token, so the smallest number is the next merge; entries whose pair has
 * changed since are dropped when they come up. */
struct long_word {
    const struct merge_table *table;
    int32_t *ids;      /* [count]; -1 where a token was merged into the one before */
    int32_t *next;     /* [count]; count at the end */
    int32_t *previous; /* [count]; -1 at the start */
    uint64_t *heap;    /* [2 count]: one pair a token at first, and a merge takes one out and puts two in at most */
    int64_t heap_count;
    int32_t count;
};

static void heap_sink(struct long_word *word, int64_t place)
{
    uint64_t value = word->heap[place];

    for (;;) {
        int64_t child = 2 * place + 1;

        if (child >= word->heap_count)
            break;
        if (child + 1 < word->heap_count && word->heap[child + 1] < word->heap[child])
            child++;
        if (word->heap[child] >= value)
            break;
        word->heap[place] = word->heap[child];
        place = child;
    }
    word->heap[place] = value;
}

static uint64_t heap_take(struct long_word *word)
{
    uint64_t top = word->heap[0];

    word->heap[0] = word->heap[--word->heap_count];
    heap_sink(word, 0);
    return top;
}

static void heap_put(struct long_word *word, uint64_t value)
{
    int64_t place = word->heap_count++;

    while (place > 0 && word->heap[(place - 1) / 2] > value) {
        word->heap[place] = word->heap[(place - 1) / 2];
        place = (place - 1) / 2;
    }
    word->heap[place] = value;
}

/* Puts the pair that begins at `place` into the heap if it can be merged. */
static void offer_pair(struct long_word *word, int32_t place)
{
    int32_t rank;

    if (place < 0 || word->next[place] >= word->count)
        return;
    rank = rank_of(word->table, word->ids[place], word->ids[word->next[place]]);
    if (rank != NO_RANK)
        heap_put(word, (uint64_t)(uint32_t)rank << 32 | (uint32_t)place);
}

static void merge_at(struct long_word *word, int32_t rank, int32_t place)
{
    int32_t right = word->next[place];
    const struct merge *merge;

    if (word->ids[place] == -1 || right >= word->count)
        return;
    merge = merge_table_find(word->table, word->ids[place], word->ids[right]);
    if (merge->left == -1 || merge->rank != rank)
        return;
    word->ids[place] = merge->id;
    word->ids[right] = -1;
    word->next[place] = word->next[right];
    if (word->next[place] < word->count)
        word->previous[word->next[place]] = place;
    offer_pair(word, word->previous[place]);
    offer_pair(word, place);
}

static void merge_list(struct long_word *word)
{
    int32_t place;

    for (place = 0; place < word->count; place++) {
        word->next[place] = place + 1;
        word->previous[place] = place - 1;
    }
    for (place = 0; place < word->count; place++)
        offer_pair(word, place);
    while (word->heap_count > 0) {
        uint64_t top = heap_take(word);

        merge_at(word, (int32_t)(top >> 32), (int32_t)(uint32_t)top);
    }
}

static int merge_long_word(const struct merge_table *table, int32_t *ids, int64_t *count, struct error *error)
{
    struct long_word word = {.table = table, .ids = ids, .count = (int32_t)*count};
    int64_t index, kept = 0;
    int result = STATUS_OK;

    if (*count >= INT32_MAX)
        return error_set(error, STATUS_INPUT, "a word of %lld bytes without a space is too long", (long long)*count);
    word.next = malloc((size_t)*count * sizeof *word.next);
    word.previous = malloc((size_t)*count * sizeof *word.previous);
    word.heap = malloc((size_t)*count * 2 * sizeof *word.heap);
    if (word.next == NULL || word.previous == NULL || word.heap == NULL) {
        result = error_set(error, STATUS_MEMORY, "no memory for a word of %lld bytes", (long long)*count);
        goto out;
    }
    merge_list(&word);
    for (index = 0; index < *count; index++)
        if (ids[index] != -1)
            ids[kept++] = ids[index];
    *count = kept;
out:
    free(word.next);
    free(word.previous);
    free(word.heap);
    return result;
}

int merge_word(const struct merge_table *table, int32_t *ids, int64_t *count, struct error *error)
{
    if (*count > SHORT_WORD)
        return merge_long_word(table, ids, count, error);
    if (*count > 1)
        merge_short_word(table, ids, count);
    return STATUS_OK;
}
