#include "data/utf8_count.h"

#include <string.h>

#include "tokenizer/unicode.h"

static int64_t ascii_bytes(const char *text, int64_t bytes)
{
    int64_t at = 0;

    for (; bytes - at >= 32; at += 32) {
        uint64_t words[4];

        memcpy(words, text + at, sizeof words);
        if (((words[0] | words[1] | words[2] | words[3]) & 0x8080808080808080u) != 0)
            break;
    }
    while (at < bytes && (unsigned char)text[at] < 0x80)
        at++;
    return at;
}

static void note_wrong(struct utf8_count *count, int64_t place)
{
    if (count->wrong++ == 0)
        count->first_wrong = place;
}

/* The length of a character by its first byte. */
static int expected_bytes(unsigned char first)
{
    return first < 0xC2 || first > 0xF4 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

/* Completes what was held back with bytes of `text`; the number of those that it took. */
static int64_t finish_held(struct utf8_count *count, const char *text, int64_t bytes)
{
    int64_t taken = 0;
    uint32_t code;

    while (count->held_bytes > 0) {
        int wanted = expected_bytes((unsigned char)count->held[0]), length;

        while (count->held_bytes < wanted && taken < bytes)
            count->held[count->held_bytes++] = text[taken++];
        if (count->held_bytes < wanted)
            return taken;
        length = utf8_read(count->held, count->held_bytes, &code);
        if (length == 1 && (unsigned char)count->held[0] >= 0x80)
            note_wrong(count, count->bytes + taken - count->held_bytes);
        memmove(count->held, count->held + length, (size_t)(count->held_bytes - length));
        count->held_bytes -= length;
    }
    return taken;
}

void utf8_count_add(struct utf8_count *count, const char *text, int64_t bytes)
{
    int64_t at = finish_held(count, text, bytes);
    uint32_t code;

    while (at < bytes) {
        int length;

        at += ascii_bytes(text + at, bytes - at);
        if (at == bytes)
            break;
        if (expected_bytes((unsigned char)text[at]) > bytes - at) {
            count->held_bytes = (int)(bytes - at);
            memcpy(count->held, text + at, (size_t)count->held_bytes);
            break;
        }
        length = utf8_read(text + at, bytes - at, &code);
        if (length == 1)
            note_wrong(count, count->bytes + at);
        at += length;
    }
    count->bytes += bytes;
}

void utf8_count_end(struct utf8_count *count)
{
    for (int i = 0; i < count->held_bytes; i++)
        note_wrong(count, count->bytes - count->held_bytes + i);
    count->held_bytes = 0;
}

int utf8_count_check(const struct utf8_count *count, const char *name, struct error *error)
{
    if (count->wrong < 4 || count->wrong <= count->bytes / 10)
        return STATUS_OK;
    return error_set(
        error, STATUS_INPUT,
        "%s: it is not UTF-8 text: %lld of its first %lld bytes are part of no character, the first at byte "
        "%lld; expected UTF-8: iconv -f ENCODING -t UTF-8 for text in another encoding",
        name, (long long)count->wrong, (long long)count->bytes, (long long)count->first_wrong);
}
