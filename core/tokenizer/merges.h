/* Byte-pair merges (Sennrich, Haddow, Birch: "Neural machine translation of rare words with subword units", ACL 2016):
 * the table of pairs, and the merging of one word. */
#ifndef LLMRUN_TOKENIZER_MERGES_H
#define LLMRUN_TOKENIZER_MERGES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct merge {
    int32_t left; /* token ids; -1: the slot is free */
    int32_t right;
    int32_t rank; /* lower goes first */
    int32_t id;   /* the token that the pair becomes */
};

/* A hash table with linear probing, at most half full. */
struct merge_table {
    struct merge *slots;
    uint64_t mask; /* slots - 1, a power of two less one */
};

/* Room for `count` merges. Release with merge_table_finish. */
int merge_table_start(struct merge_table *table, int64_t count, struct error *error);
void merge_table_finish(struct merge_table *table);

/* False when the pair is there already. No more than the `count` of merge_table_start. */
bool merge_table_add(struct merge_table *table, struct merge merge);

/* The slot of the pair, or the free slot (left -1) where it would stand. Any thread. */
static inline struct merge *merge_table_find(const struct merge_table *table, int32_t left, int32_t right)
{
    uint64_t hash = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15ull;
    uint64_t place = hash >> 32 & table->mask;

    while (table->slots[place].left != -1 && (table->slots[place].left != left || table->slots[place].right != right))
        place = (place + 1) & table->mask;
    return &table->slots[place];
}

/* Merges the tokens of one word in place, always the pair of the lowest rank and of those the leftmost, until none is
 * left. *count tokens become fewer. O(n log n) in the length of the word. */
int merge_word(const struct merge_table *table, int32_t *ids, int64_t *count, struct error *error);

#endif
