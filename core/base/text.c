#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"

void text_add(struct text *text, const char *format, ...)
{
    va_list arguments;
    char *grown;
    int needed;

    if (text->failed)
        return;
    va_start(arguments, format);
    needed = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    grown = needed < 0 ? NULL : array_reserve(text->data, text->length, needed + 1, &text->capacity, 1);
    if (grown == NULL) {
        text->failed = true;
        return;
    }
    text->data = grown;
    va_start(arguments, format);
    vsnprintf(grown + text->length, (size_t)needed + 1, format, arguments);
    va_end(arguments);
    text->length += needed;
}

/* Bytes of the UTF-8 character at `at`, 0 where none begins (RFC 3629). */
static int character_bytes(const unsigned char *at)
{
    const int bytes = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf5 ? 4 : 0;
    const unsigned char least = at[0] == 0xe0 ? 0xa0 : at[0] == 0xf0 ? 0x90 : 0x80;
    const unsigned char most = at[0] == 0xed ? 0x9f : at[0] == 0xf4 ? 0x8f : 0xbf;

    for (int i = 1; i < bytes; i++)
        if (at[i] < (i == 1 ? least : 0x80) || at[i] > (i == 1 ? most : 0xbf))
            return 0;
    return bytes;
}

bool text_is_utf8(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    int bytes = 1;

    for (; *at != '\0' && bytes > 0; at += bytes)
        bytes = character_bytes(at);
    return bytes > 0;
}

void text_add_json(struct text *text, const char *value)
{
    text_add(text, "\"");
    for (const unsigned char *at = (const unsigned char *)value; *at != '\0';) {
        int bytes = character_bytes(at);

        if (*at < 0x20 || *at == '"' || *at == '\\')
            text_add(text, "\\u%04x", (unsigned)*at);
        else if (bytes == 0)
            text_add(text, "\xef\xbf\xbd");
        else
            text_add(text, "%.*s", bytes, (const char *)at);
        at += bytes > 0 ? bytes : 1;
    }
    text_add(text, "\"");
}

void text_finish(struct text *text)
{
    free(text->data);
    *text = (struct text){0};
}

/* The second byte of U+0080 to U+009F is all that tells these from other characters of two bytes. */
void text_hide_controls(char *message)
{
    for (unsigned char *at = (unsigned char *)message; *at != '\0'; at++) {
        if (*at < 0x20 || *at == 0x7F)
            *at = '?';
        else if (at[0] == 0xC2 && at[1] >= 0x80 && at[1] <= 0x9F)
            at[0] = at[1] = '?';
    }
}
