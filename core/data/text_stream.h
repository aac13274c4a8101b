/* Text that arrives in pieces, as tokens decode to it, made fit to be shown at once: whole characters only, up to the
 * first of some texts that end it. */
#ifndef LLMRUN_DATA_TEXT_STREAM_H
#define LLMRUN_DATA_TEXT_STREAM_H

#include <stdbool.h>

#include "tokenizer/tokenizer.h"

/* Zero-initialise, then set the stops. Free with text_stream_finish. */
struct text_stream {
    const char *const *stops; /* borrowed; none is empty */
    int stop_count;
    bool stopped; /* a stop was found: nothing more comes */

    struct byte_list raw;     /* the beginning of a character, whose rest did not come yet */
    struct byte_list pending; /* characters that may be the beginning of a stop */
};

/* Takes `count` bytes and appends to `shown` what can be shown now. An unfinished character is held back, and text that
 * may turn out to be a stop. What is not UTF-8 becomes U+FFFD, one for each beginning of a character or other byte
 * (Unicode 16, section 3.9, "U+FFFD Substitution of Maximal Subparts", as Rust, Python and Hugging Face decode). Of a
 * stop nothing is shown. */
int text_stream_push(struct text_stream *stream, const char *bytes, int64_t count, struct byte_list *shown,
                     struct error *error);

/* Nothing more comes: appends what was held back. */
int text_stream_end(struct text_stream *stream, struct byte_list *shown, struct error *error);

void text_stream_finish(struct text_stream *stream);

#endif
