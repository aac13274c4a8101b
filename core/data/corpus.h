/* From files to token sets: reads the files of data.train and data.valid, cuts off the validation part, tokenizes once
 * and keeps the tokens in memory; of the text only a block at a time. docs/data.md, "Files" and "Documents". */
#ifndef LLMRUN_DATA_CORPUS_H
#define LLMRUN_DATA_CORPUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "data/encode_pieces.h"
#include "data/token_set.h"
#include "tokenizer/tokenizer.h"

struct corpus_options {
    const char *const *train; /* names of files; "builtin" is the text below */
    int64_t train_count;
    const char *const *valid;
    int64_t valid_count;
    double valid_split; /* 0 <= it < 1: the last part of each training file's bytes that is validation instead */
    enum special_tokens special; /* where they are found */
    bool mask_prompt;            /* tokens of `prompt` are given, not learned */
    int32_t vocabulary;          /* of the model, the bound that tokens are held to; 0: the tokenizer's */
    int threads;                 /* >= 1 */
    int64_t block_bytes;         /* read at once; 0: enough for the threads. Changes no token */
    const char *builtin;         /* documents with a byte 0 between them; NULL: "builtin" is refused */
    int64_t builtin_bytes;
};

/* Fills *train and *valid; *valid is empty (count 0) when no validation is asked for. Both are released with
 * token_set_finish. The result does not depend on `threads`. Blocking; makes up to `threads` - 1 threads, all ended on
 * return. STATUS_INPUT with the file's name (and line, in JSONL) for a file that is missing, empty or malformed, for a
 * token outside the vocabulary, and when a set that was asked for comes out empty; STATUS_USAGE for a kind of file that
 * is not read. */
int corpus_load(const struct corpus_options *options, const struct tokenizer *tokenizer, struct token_set *train,
                struct token_set *valid, struct error *error);

#endif
