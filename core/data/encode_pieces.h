/* Tokenizes a list of pieces on several threads and appends the result to a token set, in the order of the list. */
#ifndef LLMRUN_DATA_ENCODE_PIECES_H
#define LLMRUN_DATA_ENCODE_PIECES_H

#include <stdbool.h>

#include "base/status.h"
#include "data/pieces.h"
#include "data/token_set.h"

/* What joins the documents of one set across files. */
struct encode_state {
    bool text_ended;  /* a document of plain text has ended and waits for the end-of-text token: it comes if another
                         follows */
    int64_t document; /* documents of this file so far, for errors; the caller sets it to 0 before each file */
};

/* Where special tokens are found in data; elsewhere they are characters. */
enum special_tokens { SPECIAL_IN_PROMPTS, SPECIAL_NOWHERE, SPECIAL_EVERYWHERE }; /* prompts: `prompt` and `answer` */

struct encode_options {
    enum special_tokens special;
    bool mask_prompt; /* tokens of `prompt` are given, not learned */
    int threads;      /* >= 1 */
};

/* A document begins with the begin-of-text token and ends with the end-of-text token once, whether its text holds them
 * or not. `file` is named in errors. The first failure in the order of the list is the one returned, whatever the
 * threads did.
 */
int encode_pieces(const struct tokenizer *tokenizer, const struct piece_list *pieces, const char *file,
                  const struct encode_options *options, struct encode_state *state, struct token_set *set,
                  struct error *error);

#endif
