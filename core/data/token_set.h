/* Tokens of many documents in memory, one after the other. Built once (corpus.h), then only read, by any thread. */
#ifndef LLMRUN_DATA_TOKEN_SET_H
#define LLMRUN_DATA_TOKEN_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct token_set {
    void *tokens; /* [count] of `width` bytes each */
    int width;    /* 1 for a vocabulary up to 256, 2 up to 65,536, 4 above */
    int64_t count;
    int64_t capacity;
    int64_t *starts; /* [documents + 1] first token of each document; the last entry is `count`. No document is empty */
    int64_t *learn_from; /* [documents] first token of each document whose prediction counts; see token_set_learns */
    int64_t documents;
    int64_t document_capacity;
    int32_t vocabulary; /* every token is below this */
};

/* An empty set for tokens below `vocabulary`. Never fails; release with token_set_finish, also after a failure. */
void token_set_start(struct token_set *set, int32_t vocabulary);
void token_set_finish(struct token_set *set);

/* Opens a document; its tokens follow by token_set_append. A document that stays empty is taken back when the next one
 * is opened or the set is closed. */
int token_set_open_document(struct token_set *set, struct error *error);

/* Appends tokens to the open document. A token outside the vocabulary is STATUS_INPUT and names its place in the
 * document. */
int token_set_append(struct token_set *set, const int32_t *ids, int64_t count, struct error *error);

/* The first of `count` tokens that is outside the vocabulary; `count` when there is none. */
int64_t token_set_find_outside(const struct token_set *set, const int32_t *ids, int64_t count);

/* STATUS_INPUT: the sentence for a token `id` outside the vocabulary that would be `ahead` tokens behind the last one.
 */
int token_set_refuse(const struct token_set *set, int64_t ahead, int32_t id, struct error *error);

/* Tokens in the form in which the set stores them, made by any thread and appended at the speed of memory. `out` has
 * room for count x width bytes; the tokens are inside the vocabulary. */
void token_set_pack(const struct token_set *set, const int32_t *ids, int64_t count, void *out);
int token_set_append_packed(struct token_set *set, const void *packed, int64_t count, struct error *error);

/* The tokens that the open document has so far are given, not learned: their prediction gets weight 0. */
void token_set_mask_so_far(struct token_set *set);

/* Call once after the last document. Memory that is not needed is given back. */
void token_set_close(struct token_set *set);

/* The document that holds token `index`, 0 <= index < count. O(log documents). */
int64_t token_set_document(const struct token_set *set, int64_t index);

/* A hash of tokens, document starts and masks, to tell whether a resumed run sees the data that it saw before. Stored
 * in checkpoints: tokens of one byte are hashed as of two, in which they were kept when the first ones were written. */
uint64_t token_set_hash(const struct token_set *set);

static inline int32_t token_set_at(const struct token_set *set, int64_t index)
{
    return set->width == 1   ? ((const uint8_t *)set->tokens)[index]
           : set->width == 2 ? ((const uint16_t *)set->tokens)[index]
                             : ((const int32_t *)set->tokens)[index];
}

/* Whether predicting token `index`, which belongs to `document`, counts: the first token of a document never does (what
 * stands before it is another document), nor does a masked one. */
static inline bool token_set_learns(const struct token_set *set, int64_t document, int64_t index)
{
    return index >= set->learn_from[document] && index > set->starts[document];
}

#endif
