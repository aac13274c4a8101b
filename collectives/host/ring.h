/* A queue of records in memory that two processes share: one writes, the other reads. Nothing blocks; a reader takes
 * nothing that the other side wrote for granted. */
#ifndef LLMRUN_HOST_RING_H
#define LLMRUN_HOST_RING_H

#include <stdatomic.h>
#include <stdint.h>

/* In the shared memory; zeros are an empty queue. The counters only grow. */
struct ring {
    _Alignas(64) _Atomic uint64_t written;
    _Alignas(64) _Atomic uint64_t read;
};

/* One side's view. */
struct ring_end {
    struct ring *ring;
    char *data;       /* shared, aligned to 64 */
    uint64_t bytes;   /* of data, a power of two */
    uint64_t written; /* the writer's, not yet published; or what the reader has seen */
    uint64_t read;    /* the reader's; or what the writer has seen */
    uint64_t record;  /* bytes of the record that the reader peeked at */
};

void ring_open(struct ring_end *end, struct ring *ring, char *data, uint64_t bytes);

/* Room for a record of `bytes` bytes, at most bytes / 2 - 8 of the ring; NULL while there is none. Aligned to 8. The
 * reader sees it after ring_publish. */
char *ring_reserve(struct ring_end *writer, uint64_t bytes);
void ring_publish(struct ring_end *writer);

/* The oldest record, or NULL. Its length is in *bytes: 0 with an address where the ring is damaged. ring_release gives
 * it back. */
const char *ring_peek(struct ring_end *reader, uint64_t *bytes);
void ring_release(struct ring_end *reader);

#endif
