#include "data/split.h"

#include <stdbool.h>
#include <string.h>

#include "data/unicode.h"

static int read_class(const char *text, int64_t bytes, enum unicode_class *class)
{
    uint32_t code;
    int length = utf8_read(text, bytes, &code);

    *class = unicode_class_of(code);
    return length;
}

/* The end of the run of characters of `class` that goes on at `at`. */
static int64_t run_end(const char *text, int64_t bytes, int64_t at, enum unicode_class class)
{
    while (at < bytes) {
        enum unicode_class found;
        int length = read_class(text + at, bytes - at, &found);

        if (found != class)
            break;
        at += length;
    }
    return at;
}

/* The length of 's, 't, 'm, 'd, 're, 've or 'll at text[0], which is an apostrophe; 0 for anything else. */
static int contraction(const char *text, int64_t bytes)
{
    static const char *const pairs[] = {"re", "ve", "ll"};
    size_t index;

    if (bytes >= 2 && text[1] != '\0' && strchr("stmd", text[1]) != NULL)
        return 2;
    for (index = 0; index < 3 && bytes >= 3; index++)
        if (memcmp(text + 1, pairs[index], 2) == 0)
            return 3;
    return 0;
}

/* A run of white space at `start`: all of it before the end of the text, else all but its last character, which joins
 * what follows if it is a space and is a piece of its own if it is not. */
static int64_t space_end(const char *text, int64_t bytes, int64_t start)
{
    int64_t at = start, last = start;

    while (at < bytes) {
        enum unicode_class found;
        int length = read_class(text + at, bytes - at, &found);

        if (found != UNICODE_SPACE)
            return last > start ? last : at;
        last = at;
        at += length;
    }
    return at;
}

int64_t split_next(const char *text, int64_t bytes, int64_t start)
{
    enum unicode_class class;
    int64_t at = start;
    int length;

    if (text[start] == '\'' && (length = contraction(text + start, bytes - start)) > 0)
        return start + length;
    if (text[at] == ' ' && at + 1 < bytes)
        at++;
    length = read_class(text + at, bytes - at, &class);
    if (class == UNICODE_SPACE)
        return space_end(text, bytes, start);
    return run_end(text, bytes, at + length, class);
}

static bool is_visible_ascii(char byte)
{
    return byte > ' ' && byte < 127;
}

int64_t split_find_border(const char *text, int64_t from, int64_t limit)
{
    int64_t at;

    for (at = from > 1 ? from : 1; at < limit; at++)
        if ((text[at] == ' ' || text[at] == '\n') && is_visible_ascii(text[at - 1]))
            return at;
    return -1;
}
