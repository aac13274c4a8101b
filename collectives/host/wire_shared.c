/* Frames between ranks of one machine, as records of rings in shared memory. */
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "link.h"

/* Measured on two processors: below it two copies are faster than an offer, a read and an answer. */
#define EAGER_BYTES    16384
#define FRAGMENT_BYTES 16384

static void wake(struct link *link)
{
    const uint64_t one = 1;

    /* The order of two stores on each side: publish, then look for sleepers; say that one sleeps, then look for
     * records. Whoever sleeps in between is woken. */
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&link->shared.theirs->sleeping, memory_order_relaxed) != 0 &&
        atomic_exchange(&link->shared.theirs->sleeping, 0) != 0 &&
        write(link->shared.bell, &one, sizeof one) != (ssize_t)sizeof one)
        link_break(link, "its bell cannot be rung");
}

static int shared_next(struct link *link, struct frame *frame)
{
    struct shared *shared = &link->shared;
    uint64_t bytes;
    const char *record = ring_peek(&shared->in, &bytes);

    if (record == NULL)
        return 0;
    if (bytes < sizeof *frame)
        return link_break(link, "its shared memory is damaged");
    memcpy(frame, record, sizeof *frame);
    if (frame->bytes != bytes - sizeof *frame)
        return link_break(link, "its shared memory is damaged");
    shared->payload = record + sizeof *frame;
    return 1;
}

static int64_t shared_read(struct link *link, int64_t left, const char **data)
{
    *data = link->shared.payload;
    return left;
}

static void shared_end(struct link *link)
{
    struct side *theirs = link->shared.theirs;

    ring_release(&link->shared.in);
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&theirs->blocked, memory_order_relaxed) != 0 && atomic_exchange(&theirs->blocked, 0) != 0)
        wake(link);
}

static int shared_push(struct link *link, const struct frame *frame, const struct span *payload)
{
    struct shared *shared = &link->shared;
    char *record = ring_reserve(&shared->out, sizeof *frame + frame->bytes);

    if (record == NULL) { /* say so, then look again: the other may have made room meanwhile */
        atomic_store(&shared->mine->blocked, 1);
        record = ring_reserve(&shared->out, sizeof *frame + frame->bytes);
        if (record == NULL)
            return 0;
    }
    memcpy(record, frame, sizeof *frame);
    span_read(payload, 0, record + sizeof *frame, frame->bytes);
    ring_publish(&shared->out);
    wake(link);
    return link->broken[0] != '\0' ? -1 : 1;
}

/* Records are sent whole or not at all. */
static void shared_drop(struct link *link)
{
    (void)link;
}

const struct wire wire_shared = {
    .eager_bytes = EAGER_BYTES,
    .fragment_bytes = FRAGMENT_BYTES,
    .next = shared_next,
    .read = shared_read,
    .end = shared_end,
    .push = shared_push,
    .drop = shared_drop,
};
