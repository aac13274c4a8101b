/* A growing string. Zero-initialise; free with text_finish. After a failure to grow, `failed` stays true and additions
 * do nothing, so a writer checks once at its end. */
#ifndef LLMRUN_BASE_TEXT_H
#define LLMRUN_BASE_TEXT_H

#include <stdbool.h>
#include <stdint.h>

struct text {
    char *data; /* NUL-terminated once something was added, else NULL */
    int64_t length, capacity;
    bool failed;
};

void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds `value` as a JSON string (RFC 8259), quotes included. A byte that is part of no UTF-8 character becomes U+FFFD.
 */
void text_add_json(struct text *text, const char *value);
void text_finish(struct text *text);

/* Whether all of `text` is UTF-8 (RFC 3629). */
bool text_is_utf8(const char *text);

/* Control characters become '?', in place: what foreign files and plugins hold stands in messages, where it would end
 * the line or drive the terminal that shows it. */
void text_hide_controls(char *message);

#endif
