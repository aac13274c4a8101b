/* What vocab.json and tokenizer.json share: an object of token texts and ids, and pairs to merge. Token texts are
 * written in GPT-2's alphabet of visible characters, one for each byte. */
#ifndef LLMRUN_TOKENIZER_BPE_VOCABULARY_H
#define LLMRUN_TOKENIZER_BPE_VOCABULARY_H

#include <jansson.h>

#include "tokenizer/bpe.h"

#define BPE_MOST_FILE_BYTES (256 << 20)
#define BPE_MOST_TOKENS     (1 << 24)
#define BPE_MOST_HOLES      (1 << 16) /* ids that no token has: rows of a model that a small file can ask for */

struct bpe_key {
    const char *text; /* borrowed; NULL: no token has the id */
    bool added;       /* the text stands for itself */
};

/* The largest id of the object, -1 where it is empty: STATUS_INPUT for ids that are no integers from 0 to
 * BPE_MOST_TOKENS - 1. */
int bpe_largest_id(json_t *object, const char *name, int64_t *largest, struct error *error);

/* The same for one id, that of the token `text` (NULL: unknown), and an older *largest. */
int bpe_raise_largest(json_t *id, const char *text, const char *name, int64_t *largest, struct error *error);

/* Fills keys[0..count - 1] from the object, whose ids are below count: STATUS_INPUT for an id twice and an empty token.
 */
int bpe_order_keys(json_t *object, const char *name, struct bpe_key *keys, int64_t count, struct error *error);

/* Whether a byte that UTF-8 text may have is no token of the vocabulary. */
bool bpe_lacks_bytes(json_t *object);

/* Stores the bytes of all tokens. Some byte must be a token of the vocabulary: without any it is of another kind. */
int bpe_store_tokens(struct bpe *bpe, const char *name, const struct bpe_key *keys, int64_t count, struct error *error);

/* Makes the table of whole pieces ("ignore_merges") from the stored tokens that are no added ones. */
int bpe_index_whole(struct bpe *bpe, const struct bpe_key *keys, struct error *error);

/* The merge of two tokens of the vocabulary `object` into a third; its rank is left as it is. `joined` has room for
 * both. */
int bpe_make_merge(json_t *object, const char *left, int64_t left_bytes, const char *right, int64_t right_bytes,
                   char *joined, struct merge *merge, struct error *error);

#endif
