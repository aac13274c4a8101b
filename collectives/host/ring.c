#include "ring.h"

#include <stddef.h>
#include <string.h>

/* Before each record: its bytes, or that the rest up to the end of the data is empty. */
#define HEAD_BYTES sizeof(uint64_t)
#define SKIP       UINT64_MAX

void ring_open(struct ring_end *end, struct ring *ring, char *data, uint64_t bytes)
{
    *end = (struct ring_end){.ring = ring, .data = data, .bytes = bytes};
}

static uint64_t record_bytes(uint64_t bytes)
{
    return HEAD_BYTES + ((bytes + 7) & ~UINT64_C(7));
}

char *ring_reserve(struct ring_end *writer, uint64_t bytes)
{
    const uint64_t need = record_bytes(bytes), at = writer->written & (writer->bytes - 1), tail = writer->bytes - at;
    const uint64_t all = need <= tail ? need : tail + need;
    const uint64_t skip = SKIP;

    if (writer->bytes - (writer->written - writer->read) < all) {
        writer->read = atomic_load_explicit(&writer->ring->read, memory_order_acquire);
        if (writer->bytes - (writer->written - writer->read) < all)
            return NULL;
    }
    if (need > tail) {
        memcpy(writer->data + at, &skip, HEAD_BYTES);
        writer->written += tail;
    }
    memcpy(writer->data + (writer->written & (writer->bytes - 1)), &bytes, HEAD_BYTES);
    writer->written += need;
    return writer->data + ((writer->written - need) & (writer->bytes - 1)) + HEAD_BYTES;
}

void ring_publish(struct ring_end *writer)
{
    atomic_store_explicit(&writer->ring->written, writer->written, memory_order_release);
}

const char *ring_peek(struct ring_end *reader, uint64_t *bytes)
{
    for (;;) {
        const uint64_t at = reader->read & (reader->bytes - 1), tail = reader->bytes - at;

        if (reader->read == reader->written) {
            reader->written = atomic_load_explicit(&reader->ring->written, memory_order_acquire);
            if (reader->read == reader->written)
                return NULL;
        }
        memcpy(bytes, reader->data + at, HEAD_BYTES);
        if (reader->written - reader->read > reader->bytes || (*bytes != SKIP && *bytes > tail - HEAD_BYTES))
            *bytes = 0;
        if (*bytes != SKIP) {
            reader->record = *bytes;
            return reader->data + at + HEAD_BYTES;
        }
        reader->read += tail;
    }
}

void ring_release(struct ring_end *reader)
{
    reader->read += record_bytes(reader->record);
    atomic_store_explicit(&reader->ring->read, reader->read, memory_order_release);
}
