/* The tokens that the files beside a vocabulary add to it, and the special ones that they name: in the order in which
 * transformers 5.24.0 adds them (PreTrainedTokenizerBase._from_pretrained and TokenizersBackend.__init__). */
#ifndef LLMRUN_TOKENIZER_SIDE_TOKENS_H
#define LLMRUN_TOKENIZER_SIDE_TOKENS_H

#include "tokenizer/added_vocabulary.h"
#include "tokenizer/tokenizer_config.h"

/* `added` holds the tokens of the tokenizer.json, if the files are `beside_file`. *begin is the token that
 * "add_bos_token" puts before a text, -1 for none; beside a tokenizer.json it does not count. STATUS_INPUT, with the
 * file, for what is malformed, and for a token whose id in a file is not the one that it gets. */
int side_tokens_add(const struct tokenizer_config *config, enum tokenizer_pipeline pipeline, bool beside_file,
                    struct added_vocabulary *added, int32_t *begin, struct error *error);

#endif
