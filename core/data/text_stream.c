#include "data/text_stream.h"

#include <string.h>

#include "base/array.h"

/* How many bytes at the end of the text are the beginning of a UTF-8 character that more bytes could complete: 0 to 3
 * (Unicode 16, table 3-7). */
static int unfinished_bytes(const char *text, int64_t bytes)
{
    int count;

    for (count = 1; count <= 3 && count <= bytes; count++) {
        const unsigned char *byte = (const unsigned char *)text + bytes - count;
        int length = byte[0] >= 0xF0 ? 4 : byte[0] >= 0xE0 ? 3 : 2;

        if ((byte[0] & 0xC0) == 0x80)
            continue;
        if (byte[0] < 0xC2 || byte[0] > 0xF4 || count >= length)
            return 0;
        if (count > 1 && ((byte[0] == 0xE0 && byte[1] < 0xA0) || (byte[0] == 0xED && byte[1] > 0x9F) ||
                          (byte[0] == 0xF0 && byte[1] < 0x90) || (byte[0] == 0xF4 && byte[1] > 0x8F)))
            return 0;
        return count;
    }
    return 0;
}

static int append_held(const struct text_stream *stream, struct byte_list *out, struct error *error)
{
    char *grown = array_reserve(out->bytes, out->count, stream->held_bytes, &out->capacity, 1);

    if (grown == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for text that is printed");
    out->bytes = grown;
    memcpy(out->bytes + out->count, stream->held, (size_t)stream->held_bytes);
    out->count += stream->held_bytes;
    return STATUS_OK;
}

int text_stream_add(struct text_stream *stream, const struct tokenizer *tokenizer, int32_t id, struct byte_list *out,
                    struct error *error)
{
    int64_t before = out->count;
    int result = append_held(stream, out, error);

    if (result == STATUS_OK)
        result = tokenizer_decode(tokenizer, &id, 1, out, error);
    if (result != STATUS_OK) {
        out->count = before;
        return result;
    }
    stream->held_bytes = unfinished_bytes(out->bytes + before, out->count - before);
    out->count -= stream->held_bytes;
    memcpy(stream->held, out->bytes + out->count, (size_t)stream->held_bytes);
    return STATUS_OK;
}

int text_stream_end(struct text_stream *stream, struct byte_list *out, struct error *error)
{
    int result = append_held(stream, out, error);

    if (result == STATUS_OK)
        stream->held_bytes = 0;
    return result;
}
