/* The stages of a tokenizer.json around its vocabulary: normalizer, pre_tokenizer, post_processor, decoder. */
#ifndef LLMRUN_TOKENIZER_TOKENIZER_STAGES_H
#define LLMRUN_TOKENIZER_TOKENIZER_STAGES_H

#include <jansson.h>

#include "tokenizer/bpe.h"

/* Sets what the stages ask for in *bpe. The template's token is checked by the caller, who knows the vocabulary. A
 * stage, a regular expression or an option that is not understood is STATUS_INPUT by its name. */
int tokenizer_stages_read(json_t *root, const char *source, struct bpe *bpe, struct error *error);

/* An optional truth value of an object. */
int tokenizer_json_flag(json_t *object, const char *key, const char *source, bool fallback, bool *value,
                        struct error *error);

/* Refuses members of `object` that are not in the NULL-terminated list; `what` names the object. */
int tokenizer_json_known(json_t *object, const char *what, const char *const *names, const char *source,
                         struct error *error);

#endif
