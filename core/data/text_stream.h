/* Text that is printed while its tokens come: a token may end inside a character, whose first bytes wait for the rest.
 */
#ifndef LLMRUN_DATA_TEXT_STREAM_H
#define LLMRUN_DATA_TEXT_STREAM_H

#include "data/tokenizer.h"

/* Start from {0}. */
struct text_stream {
    char held[4]; /* the start of a UTF-8 character */
    int held_bytes;
};

/* Appends to `out` what can be printed now that token `id` is there: everything but the beginning of a character at the
 * end. Bytes that cannot become a character pass as they are. Errors as tokenizer_decode; then nothing changes. */
int text_stream_add(struct text_stream *stream, const struct tokenizer *tokenizer, int32_t id, struct byte_list *out,
                    struct error *error);

/* Appends what was held back: the text ends inside a character. */
int text_stream_end(struct text_stream *stream, struct byte_list *out, struct error *error);

#endif
