/* Unicode normal form C (Unicode Standard Annex 15), as Hugging Face tokenizers 0.23.3 computes it: characters that are
 * newer than its tables (unicode.h) stay as they are. Composition itself is utf8proc's. */
#ifndef LLMRUN_TOKENIZER_NORMAL_FORM_H
#define LLMRUN_TOKENIZER_NORMAL_FORM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "tokenizer/tokenizer.h"

/* True when the text is in form C at a glance: no character in it may compose. A text in form C may give false. */
bool normal_form_is_plain(const char *text, int64_t bytes);

/* Appends the text in form C. Bytes that are not UTF-8 stay, and nothing is composed across them. O(n log n). */
int normal_form_append(const char *text, int64_t bytes, struct byte_list *out, struct error *error);

#endif
