/* Numbers and texts as bytes of a frame: little-endian, texts with their length before them. */
#ifndef LLMRUN_DIST_WIRE_H
#define LLMRUN_DIST_WIRE_H

#include <stdbool.h>
#include <stdint.h>

/* Growing bytes. Zero-initialize; free `data`. After a failure to grow additions do nothing and `failed` stays true. */
struct wire {
    uint8_t *data;
    int64_t length, capacity;
    bool failed;
};

void wire_put(struct wire *wire, const void *data, int64_t bytes);
void wire_put_u32(struct wire *wire, uint32_t value);
void wire_put_u64(struct wire *wire, uint64_t value);
void wire_put_text(struct wire *wire, const char *text);

/* Bytes that are read from the front. A read beyond the end gives zeros or "" and sets `failed`: check it once. */
struct wire_reader {
    const uint8_t *at, *end;
    bool failed;
};

/* From the front of `data`, which may be NULL for no bytes. */
struct wire_reader wire_read(const uint8_t *data, int64_t bytes);

/* The next bytes in place; NULL where there are fewer. */
const uint8_t *wire_take(struct wire_reader *reader, uint64_t bytes);
uint32_t wire_take_u32(struct wire_reader *reader);
uint64_t wire_take_u64(struct wire_reader *reader);
/* A text of up to text_bytes - 1 bytes, cut where it is longer; without control characters. */
void wire_take_text(struct wire_reader *reader, char *text, uint32_t text_bytes);

void wire_store_u32(uint8_t *at, uint32_t value);
void wire_store_u64(uint8_t *at, uint64_t value);
uint32_t wire_load_u32(const uint8_t *at);
uint64_t wire_load_u64(const uint8_t *at);

#endif
