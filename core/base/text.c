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

void text_free(struct text *text)
{
    free(text->data);
    *text = (struct text){0};
}
