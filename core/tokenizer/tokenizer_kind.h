/* What a kind of tokenizer gives to tokenizer.c. A kind embeds `struct tokenizer` as its first member. */
#ifndef LLMRUN_TOKENIZER_TOKENIZER_KIND_H
#define LLMRUN_TOKENIZER_TOKENIZER_KIND_H

#include <stdbool.h>

#include "tokenizer/tokenizer.h"

struct tokenizer_kind {
    /* `special`: whether special tokens are looked for in the text. */
    int (*encode)(const struct tokenizer *tokenizer, const char *text, int64_t bytes, bool special,
                  struct token_list *out, struct error *error);
    /* The bytes of a token of the vocabulary; *text lives as long as the tokenizer. */
    int64_t (*token_bytes)(const struct tokenizer *tokenizer, int32_t id, const char **text);
    int64_t (*safe_cut)(const struct tokenizer *tokenizer, const char *text, int64_t bytes, int64_t from);
    void (*close)(struct tokenizer *tokenizer); /* frees what the kind holds and the tokenizer itself */
};

struct tokenizer {
    const struct tokenizer_kind *kind;
    char *name; /* owned by tokenizer.c */
    int32_t vocabulary;
    int32_t begin_of_text;
    int32_t end_of_text;
    uint64_t hash;
};

int tokenizer_open_bytes(struct tokenizer **out, struct error *error);
int tokenizer_open_bpe(const struct file_system *fs, const char *folder, struct tokenizer **out, struct error *error);

#endif
