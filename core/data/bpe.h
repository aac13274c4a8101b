/* GPT-2's byte-level BPE: every byte is a token, words are split off by split.h, and merges.h joins their bytes. */
#ifndef LLMRUN_DATA_BPE_H
#define LLMRUN_DATA_BPE_H

#include "data/merges.h"
#include "data/tokenizer_kind.h"
#include "data/word_cache.h"

struct bpe {
    struct tokenizer base;
    char *text;       /* the bytes of all tokens, one after the other */
    int64_t *offsets; /* [vocabulary + 1] into text */
    int32_t byte_ids[256];
    struct merge_table merges;
    struct word_cache *cache;
};

/* A file in memory and the name that errors call it by. */
struct bpe_source {
    const char *name;
    const char *data;
    int64_t bytes;
};

/* Builds the tokenizer from the contents of vocab.json and merges.txt; every byte of both is checked. STATUS_INPUT
 * names the file and the line or token id. */
int bpe_parse(const struct bpe_source *vocabulary, const struct bpe_source *merges, struct tokenizer **out,
              struct error *error);

/* An empty tokenizer of this kind for bpe_parse to fill; tokenizer_close frees it however far it got. NULL: no memory.
 */
struct bpe *bpe_create(void);

#endif
