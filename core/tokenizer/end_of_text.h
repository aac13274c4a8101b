/* Which token ends a text. The first of these that names one decides:
 *
 *   special_tokens_map.json, where tokenizer_config.json lists no tokens; tokenizer_config.json: "eos_token", a text or
 *   an object with "content"
 *   the vocabulary: <|endoftext|>, <|end_of_text|>, </s>
 *
 * A file that is not there, a member that is not there, and null name none. What a generation_config.json stops at is
 * the model's affair, not the tokenizer's. */
#ifndef LLMRUN_TOKENIZER_END_OF_TEXT_H
#define LLMRUN_TOKENIZER_END_OF_TEXT_H

#include "tokenizer/bpe.h"
#include "tokenizer/tokenizer_config.h"

/* By the known names alone; -1: none. */
int32_t end_of_text_by_name(const struct bpe *bpe);

/* Sets the end-of-text id from the files; where they name none it stays. It becomes part of the tokenizer's hash.
 * STATUS_INPUT, with the file, for a token that the vocabulary does not hold. */
int end_of_text_set(const struct tokenizer_config *config, struct bpe *bpe, struct error *error);

#endif
