#include "tokenizer/split.h"

#include <stdbool.h>
#include <string.h>

#include "tokenizer/unicode.h"

#define CONTRACTIONS_LLAMA3 "(?i:'s|'t|'re|'ve|'m|'ll|'d)|"
#define SPACES_LLAMA3       " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define LONG_S              0x17F /* the only character beside ASCII whose case folds to a letter of the contractions */

const char *const split_pattern_texts[SPLIT_PATTERNS] = {
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
    CONTRACTIONS_LLAMA3 "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|" SPACES_LLAMA3,
    CONTRACTIONS_LLAMA3 "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|" SPACES_LLAMA3,
};

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

static int64_t next_gpt2(const char *text, int64_t bytes, int64_t start)
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

/* As `contraction`, in either case. */
static int contraction_any_case(const char *text, int64_t bytes)
{
    char lower[3] = {'\''};
    uint32_t code;
    int index;

    if (bytes >= 3 && utf8_read(text + 1, bytes - 1, &code) == 2 && code == LONG_S)
        return 3;
    for (index = 1; index < 3 && index < bytes; index++)
        lower[index] = text[index] >= 'A' && text[index] <= 'Z' ? (char)(text[index] - 'A' + 'a') : text[index];
    return contraction(lower, bytes < 3 ? bytes : 3);
}

static bool is_newline(char byte)
{
    return byte == '\n' || byte == '\r';
}

/* A run of white space at `start`: up to its last newline if it has one, else as `space_end`. */
static int64_t space_end_of_lines(const char *text, int64_t bytes, int64_t start)
{
    int64_t end = run_end(text, bytes, start, UNICODE_SPACE), at;

    for (at = end; at > start; at--)
        if (is_newline(text[at - 1]))
            return at;
    return space_end(text, bytes, start);
}

static int64_t digits_end(const char *text, int64_t bytes, int64_t at, int most)
{
    enum unicode_class class;
    int length, count;

    for (count = 0; count < most && at < bytes; count++) {
        length = read_class(text + at, bytes - at, &class);
        if (class != UNICODE_NUMBER)
            break;
        at += length;
    }
    return at;
}

static int64_t next_llama3(const char *text, int64_t bytes, int64_t start, int most_digits)
{
    enum unicode_class class, after = UNICODE_OTHER;
    int64_t next;
    int length;

    if (text[start] == '\'' && (length = contraction_any_case(text + start, bytes - start)) > 0)
        return start + length;
    next = start + read_class(text + start, bytes - start, &class);
    if (class == UNICODE_LETTER)
        return run_end(text, bytes, next, UNICODE_LETTER);
    if (class == UNICODE_NUMBER)
        return digits_end(text, bytes, start, most_digits);
    length = next < bytes ? read_class(text + next, bytes - next, &after) : 0;
    if (length > 0 && after == UNICODE_LETTER && !is_newline(text[start]))
        return run_end(text, bytes, next + length, UNICODE_LETTER);
    if (class == UNICODE_SPACE && !(text[start] == ' ' && length > 0 && after == UNICODE_OTHER))
        return space_end_of_lines(text, bytes, start);
    next = run_end(text, bytes, next, UNICODE_OTHER);
    while (next < bytes && is_newline(text[next]))
        next++;
    return next;
}

int64_t split_next(enum split_pattern pattern, const char *text, int64_t bytes, int64_t start)
{
    if (pattern == SPLIT_GPT2)
        return next_gpt2(text, bytes, start);
    return next_llama3(text, bytes, start, pattern == SPLIT_LLAMA3 ? 3 : 1);
}

static bool is_visible_ascii(char byte)
{
    return byte > ' ' && byte < 127;
}

static bool is_alphanumeric_ascii(char byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
}

int64_t split_find_border(const char *text, int64_t from, int64_t limit)
{
    int64_t at;

    for (at = from > 1 ? from : 1; at < limit; at++)
        if ((text[at] == ' ' && is_visible_ascii(text[at - 1])) ||
            (text[at] == '\n' && is_alphanumeric_ascii(text[at - 1])))
            return at;
    return -1;
}
