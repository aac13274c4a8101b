/* A communication op made ready for a device (compile/exchange.h): its transfers over a collective plugin, whose memory
 * is the device's own where that is the host's, else staged, and its reductions on the device.
 *
 * Where the host can signal events of the device, transfers run on a thread of their own (runtime/transfer_queue.h),
 * and the walker goes on. Else it blocks: the device does what was enqueued, the ranks exchange, and what depends on it
 * is enqueued then. A send is only posted: it ends before its buffer is used again, or, without one, before the receive
 * behind it has ended (passes/pipeline_parallel.h). */
#ifndef LLMRUN_RUNTIME_PREPARED_EXCHANGE_H
#define LLMRUN_RUNTIME_PREPARED_EXCHANGE_H

#include "compile/compiled.h"
#include "dist/communication.h"
#include "runtime/arena.h"
#include "runtime/binding.h"
#include "runtime/exchange_reduction.h"
#include "runtime/transfer_queue.h"

#define EXCHANGE_SENDS 2 /* of a link that may be on their way */

/* What all exchanges of an executor share. */
struct exchange_host {
    struct device *device;
    const struct arena *arena;
    const struct communication *communication;
    struct transfer_queue *queue;     /* NULL: the device's events cannot be signalled, the walker transfers */
    struct event reached;             /* without a queue: the device has done what was enqueued */
    struct host_buffer send, receive; /* staging, where the device's memory is not the host's */
    struct prepared_exchange *open;   /* sends without a buffer that have not ended, and their next_open */
    bool staged;
    int64_t step; /* for messages and records: of what is enqueued; 0: none */
};

int exchange_host_create(struct device *device, const struct compiled *compiled, const struct arena *arena,
                         const struct communication *communication, struct exchange_host *host, struct error *error);
void exchange_host_destroy(struct exchange_host *host);

struct prepared_exchange {
    const struct exchange *exchange; /* of the compiled step; NULL: none */
    const char *name;                /* of y, for messages */
    struct binding places[EXCHANGE_PLACES];
    struct exchange_reduction reductions[EXCHANGE_STEPS];
    uint64_t workspace;
    struct posted sends[EXCHANGE_SENDS]; /* of a send: by the slot of its buffer */
    struct host_buffer staging[EXCHANGE_SENDS];
    struct prepared_exchange *next_open;
};

int prepared_exchange_create(const struct exchange_host *host, const struct compiled *compiled, int64_t section,
                             struct prepared_exchange *prepared, struct error *error);
void prepared_exchange_destroy(struct prepared_exchange *prepared);

/* Carries it out; `slots` as in prepared_section_launch, `seconds` what the device may take for what was enqueued since
 * the host last waited for it. */
int prepared_exchange_run(struct prepared_exchange *prepared, struct exchange_host *host, const struct stream *stream,
                          const int32_t *slots, double seconds, struct error *error);

#endif
