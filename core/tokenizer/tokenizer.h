/* Text to token ids and back. A tokenizer is opened once and never changes afterwards: every function but open and
 * close may be called from any thread at the same time.
 *
 * Text is data: tokenizer_encode never looks for special tokens in it, so "<|endoftext|>" is thirteen ordinary
 * characters. Documents are set apart by the end-of-text id, which the reader of documents appends. Any bytes can be
 * encoded, valid UTF-8 or not, and decoding the ids gives the same bytes back, but for what a tokenizer.json changes
 * itself: normal form C, a space put before the text, white space that added tokens take, bytes without a token.
 * docs/data.md, "Tokenizers".
 */
#ifndef LLMRUN_TOKENIZER_TOKENIZER_H
#define LLMRUN_TOKENIZER_TOKENIZER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/file.h"
#include "base/status.h"
#include "tokenizer/token_list.h"

struct tokenizer;

/* A growing array that the caller owns: starts from {0}, ends with free(bytes). */
struct byte_list {
    char *bytes; /* no NUL follows */
    int64_t count;
    int64_t capacity;
};

/* `path` is "bytes" (256 tokens, the byte is the id) or a folder that holds tokenizer.json, or vocab.json and
 * merges.txt (byte-level BPE). end_of_text.h says which token ends a text. STATUS_INPUT for files that are missing or
 * malformed, with file and line; STATUS_USAGE for a kind of tokenizer that is not known. */
int tokenizer_open(const char *path, struct tokenizer **out, struct error *error);

/* The same with another table of files, such as that of a checkpoint (checkpoint.h). */
int tokenizer_open_from(const struct file_system *fs, const char *path, struct tokenizer **out, struct error *error);
void tokenizer_close(struct tokenizer *tokenizer); /* NULL is accepted */

/* Appends the ids of `text`. On failure `out` keeps the ids that it had. */
int tokenizer_encode(const struct tokenizer *tokenizer, const char *text, int64_t bytes, struct token_list *out,
                     struct error *error);

/* The same for text that is trusted, prompts and answers: special tokens in it are found and become their ids. */
int tokenizer_encode_special(const struct tokenizer *tokenizer, const char *text, int64_t bytes, struct token_list *out,
                             struct error *error);

/* A prompt, as Hugging Face's encode gives it: the begin-of-text token where there is one, unless the prompt begins
 * with it already, then the ids of tokenizer_encode_special, or with `special` false those of tokenizer_encode. */
int tokenizer_encode_prompt(const struct tokenizer *tokenizer, const char *text, int64_t bytes, bool special,
                            struct token_list *out, struct error *error);

/* Appends the bytes of the tokens. One token may be a part of a character. STATUS_INPUT for an id that is not in the
 * vocabulary; `out` keeps the bytes that it had. */
int tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids, int64_t count, struct byte_list *out,
                     struct error *error);

/* The first place at or after `from` where the text may be cut in two so that encoding the parts one after the other
 * gives the ids of the whole; `bytes` where none is found within 64 KiB. */
int64_t tokenizer_safe_cut(const struct tokenizer *tokenizer, const char *text, int64_t bytes, int64_t from);

int32_t tokenizer_vocabulary(const struct tokenizer *tokenizer);    /* ids are 0 to this - 1; some may have no token */
int32_t tokenizer_begin_of_text(const struct tokenizer *tokenizer); /* put before each document and prompt; -1: none */
int32_t tokenizer_end_of_text(const struct tokenizer *tokenizer);   /* -1: there is none */
uint64_t tokenizer_hash(const struct tokenizer *tokenizer);         /* equal for equal vocabularies and merges */

#endif
