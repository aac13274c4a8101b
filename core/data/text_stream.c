#include "data/text_stream.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "tokenizer/unicode.h"

#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

static int append(struct byte_list *list, const char *bytes, int64_t count, struct error *error)
{
    char *memory = array_reserve(list->bytes, list->count, count, &list->capacity, 1);

    if (memory == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for %lld bytes of text", (long long)(list->count + count));
    list->bytes = memory;
    memcpy(memory + list->count, bytes, (size_t)count);
    list->count += count;
    return STATUS_OK;
}

static void drop_front(struct byte_list *list, int64_t count)
{
    memmove(list->bytes, list->bytes + count, (size_t)(list->count - count));
    list->count -= count;
}

/* Whether more bytes can make a character of these: with the lowest or the highest ones that can follow. */
static bool is_unfinished(const char *bytes, int64_t count)
{
    static const char ends[] = {'\x80', '\xBF'};

    for (int64_t missing = 1; count < 4 && missing <= 4 - count; missing++)
        for (size_t i = 0; i < sizeof ends; i++) {
            char tried[4];
            uint32_t code;

            memcpy(tried, bytes, (size_t)count);
            memset(tried + count, ends[i], (size_t)missing);
            if (utf8_read(tried, count + missing, &code) == count + missing)
                return true;
        }
    return false;
}

/* How many of these bytes, which are no character, are the beginning of one; 1 where not even the first is. */
static int64_t broken_length(const char *bytes, int64_t count)
{
    int64_t length = 0;

    while (length < count && is_unfinished(bytes, length + 1))
        length++;
    return length > 0 ? length : 1;
}

/* Moves whole characters from raw to pending; with `last` also what can no longer become one. */
static int take_characters(struct text_stream *stream, bool last, struct error *error)
{
    int64_t at = 0;
    int status = STATUS_OK;

    while (status == STATUS_OK && at < stream->raw.count) {
        const char *bytes = stream->raw.bytes + at;
        uint32_t code;
        int64_t left = stream->raw.count - at, length = utf8_read(bytes, left, &code);
        bool wrong = length == 1 && (unsigned char)bytes[0] >= 0x80;

        if (wrong && !last && is_unfinished(bytes, left))
            break;
        length = wrong ? broken_length(bytes, left) : length;
        status =
            wrong ? append(&stream->pending, REPLACEMENT, 3, error) : append(&stream->pending, bytes, length, error);
        at += length;
    }
    if (at > 0)
        drop_front(&stream->raw, at);
    return status;
}

/* Where the first stop begins, or -1; *held is how many bytes at the end may be the beginning of one. */
static int64_t find_stop(const struct text_stream *stream, int64_t *held)
{
    const struct byte_list *text = &stream->pending;
    int64_t from = text->count;

    for (int64_t at = 0; at < text->count; at++)
        for (int i = 0; i < stream->stop_count; i++) {
            int64_t length = (int64_t)strlen(stream->stops[i]), left = text->count - at;

            if (memcmp(text->bytes + at, stream->stops[i], (size_t)(length < left ? length : left)) != 0)
                continue;
            if (length <= left)
                return at;
            from = at < from ? at : from;
        }
    *held = text->count - from;
    return -1;
}

static int show(struct text_stream *stream, bool last, struct byte_list *shown, struct error *error)
{
    int64_t held = 0, stop = find_stop(stream, &held), count = stream->pending.count - (last ? 0 : held);
    int status;

    if (stop >= 0)
        count = stop;
    stream->stopped = stop >= 0;
    if (count == 0)
        return STATUS_OK;
    status = append(shown, stream->pending.bytes, count, error);
    if (status == STATUS_OK)
        drop_front(&stream->pending, count);
    return status;
}

int text_stream_push(struct text_stream *stream, const char *bytes, int64_t count, struct byte_list *shown,
                     struct error *error)
{
    int status;

    if (stream->stopped || count == 0)
        return STATUS_OK;
    status = append(&stream->raw, bytes, count, error);
    if (status == STATUS_OK)
        status = take_characters(stream, false, error);
    return status == STATUS_OK ? show(stream, false, shown, error) : status;
}

int text_stream_end(struct text_stream *stream, struct byte_list *shown, struct error *error)
{
    int status;

    if (stream->stopped)
        return STATUS_OK;
    status = take_characters(stream, true, error);
    return status == STATUS_OK ? show(stream, true, shown, error) : status;
}

void text_stream_finish(struct text_stream *stream)
{
    free(stream->raw.bytes);
    free(stream->pending.bytes);
    memset(stream, 0, sizeof *stream);
}
