#include "dist/wire.h"

#include <string.h>

#include "base/array.h"
#include "base/text.h"

void wire_store_u32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

void wire_store_u64(uint8_t *at, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

uint32_t wire_load_u32(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

uint64_t wire_load_u64(const uint8_t *at)
{
    return wire_load_u32(at) | (uint64_t)wire_load_u32(at + 4) << 32;
}

void wire_put(struct wire *wire, const void *data, int64_t bytes)
{
    uint8_t *grown = wire->failed ? NULL : array_reserve(wire->data, wire->length, bytes, &wire->capacity, 1);

    if (grown == NULL) {
        wire->failed = true;
        return;
    }
    wire->data = grown;
    if (bytes > 0)
        memcpy(grown + wire->length, data, (size_t)bytes);
    wire->length += bytes;
}

void wire_put_u32(struct wire *wire, uint32_t value)
{
    uint8_t bytes[4];

    wire_store_u32(bytes, value);
    wire_put(wire, bytes, sizeof bytes);
}

void wire_put_u64(struct wire *wire, uint64_t value)
{
    uint8_t bytes[8];

    wire_store_u64(bytes, value);
    wire_put(wire, bytes, sizeof bytes);
}

void wire_put_text(struct wire *wire, const char *text)
{
    const size_t length = strlen(text);

    wire_put_u32(wire, (uint32_t)length);
    wire_put(wire, text, (int64_t)length);
}

struct wire_reader wire_read(const uint8_t *data, int64_t bytes)
{
    static const uint8_t nothing[1];

    return data != NULL ? (struct wire_reader){data, data + bytes, false}
                        : (struct wire_reader){nothing, nothing, false};
}

const uint8_t *wire_take(struct wire_reader *reader, uint64_t bytes)
{
    const uint8_t *at = reader->at;

    if (reader->failed || bytes > (uint64_t)(reader->end - reader->at)) {
        reader->failed = true;
        return NULL;
    }
    reader->at += bytes;
    return at;
}

uint32_t wire_take_u32(struct wire_reader *reader)
{
    const uint8_t *at = wire_take(reader, 4);

    return at != NULL ? wire_load_u32(at) : 0;
}

uint64_t wire_take_u64(struct wire_reader *reader)
{
    const uint8_t *at = wire_take(reader, 8);

    return at != NULL ? wire_load_u64(at) : 0;
}

void wire_take_text(struct wire_reader *reader, char *text, uint32_t text_bytes)
{
    const uint32_t length = wire_take_u32(reader);
    const uint8_t *at = wire_take(reader, length);
    const uint32_t kept = at == NULL ? 0 : length < text_bytes ? length : text_bytes - 1;

    if (kept > 0)
        memcpy(text, at, kept);
    text[kept] = '\0';
    text_hide_controls(text);
}
