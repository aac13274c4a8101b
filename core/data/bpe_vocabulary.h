/* What vocab.json and tokenizer.json share: an object of token texts and ids, and pairs to merge. Token texts are
 * written in GPT-2's alphabet of visible characters, one for each byte. */
#ifndef LLMRUN_DATA_BPE_VOCABULARY_H
#define LLMRUN_DATA_BPE_VOCABULARY_H

#include <jansson.h>

#include "data/bpe.h"

#define BPE_MOST_FILE_BYTES (256 << 20)
#define BPE_MOST_TOKENS     (1 << 24)
#define BPE_MOST_HOLES      (1 << 16) /* ids that no token has: rows of a model that a small file can ask for */

struct bpe_key {
    const char *text; /* borrowed; NULL: no token has the id */
    bool added;       /* the text stands for itself */
};

/* Fills keys[0..count - 1] from the object: STATUS_INPUT for ids that are no integers of that range, an id twice, or an
 * empty token. */
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
