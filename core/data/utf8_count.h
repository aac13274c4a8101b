/* Counts the bytes of a text that are not UTF-8, at the speed of memory where it is ASCII. */
#ifndef LLMRUN_DATA_UTF8_COUNT_H
#define LLMRUN_DATA_UTF8_COUNT_H

#include <stdint.h>

#include "base/status.h"

/* Zero-initialise. */
struct utf8_count {
    int64_t bytes;
    int64_t wrong;       /* of these, that are part of no character */
    int64_t first_wrong; /* place of the first, from 0 */
    char held[4];        /* the beginning of a character whose rest did not come yet */
    int held_bytes;
};

/* The next bytes of the text. */
void utf8_count_add(struct utf8_count *count, const char *text, int64_t bytes);

/* The text has ended: the beginning of a character at its end is wrong. */
void utf8_count_end(struct utf8_count *count);

/* STATUS_INPUT, naming `name`, where so many of the bytes are wrong that the text is of another encoding, or no text:
 * more than a tenth, and four. */
int utf8_count_check(const struct utf8_count *count, const char *name, struct error *error);

#endif
