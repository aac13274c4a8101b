/* Byte-level BPE: bytes are tokens, pieces are split off by split.h, and merges.h joins their bytes. Before the split,
 * added tokens are found and the text is brought into normal form C, where the tokenizer asks for it. */
#ifndef LLMRUN_TOKENIZER_BPE_H
#define LLMRUN_TOKENIZER_BPE_H

#include <stdatomic.h>

#include "tokenizer/added_tokens.h"
#include "tokenizer/merges.h"
#include "tokenizer/split.h"
#include "tokenizer/tokenizer_kind.h"
#include "tokenizer/word_cache.h"

#define BPE_NO_UNKNOWN      (-1)
#define BPE_UNKNOWN_MISSING (-2) /* it is named, and the vocabulary does not hold it */

struct bpe {
    struct tokenizer base;
    char *text;            /* the bytes of all tokens, one after the other */
    int64_t *offsets;      /* [vocabulary + 1] into text; an id that no token has is empty */
    int32_t byte_ids[256]; /* -1: no token is that byte */
    int32_t unknown;       /* in the place of a byte without a token; BPE_NO_UNKNOWN: such a byte is left out */
    bool fuse_unknown;     /* one for several in a row */
    atomic_bool said_left_out;
    struct merge_table merges;
    struct word_cache *cache;
    enum split_pattern pattern;
    bool normalize;    /* to normal form C */
    bool prefix_space; /* a space is put before a text that does not begin with one */
    int32_t *whole;    /* [whole_mask + 1] ids by the hash of their bytes, -1 where free: a piece that is a token is */
    uint64_t whole_mask;                      /* taken as it is ("ignore_merges"). NULL: pieces are always merged */
    struct added_token_list added;            /* found in the text as it stands */
    struct added_token_list added_normalized; /* found in the normalized text */
};

/* A file in memory and the name that errors call it by. */
struct bpe_source {
    const char *name;
    const char *data;
    int64_t bytes;
};

struct tokenizer_config; /* tokenizer_config.h */

/* Builds the tokenizer from the contents of vocab.json and merges.txt; every byte of both is checked. STATUS_INPUT
 * names the file and the line or token id. `config`: what the files beside them say; NULL: nothing. */
int bpe_parse(const struct bpe_source *vocabulary, const struct bpe_source *merges,
              const struct tokenizer_config *config, struct tokenizer **out, struct error *error);

/* Builds the tokenizer from the contents of a tokenizer.json. What it asks for and this program does not do is
 * STATUS_INPUT by its name, as is everything malformed. docs/data.md, "tokenizer.json". */
int bpe_parse_tokenizer_json(const struct bpe_source *source, const struct tokenizer_config *config,
                             struct tokenizer **out, struct error *error);

/* An empty tokenizer of this kind for bpe_parse to fill; tokenizer_close frees it however far it got. NULL: no memory.
 */
struct bpe *bpe_create(void);

/* The id of the token whose bytes are `text`, added tokens first; -1 for none. Looks at all tokens. */
int32_t bpe_find_token(const struct bpe *bpe, const char *text, int64_t bytes);

#endif
