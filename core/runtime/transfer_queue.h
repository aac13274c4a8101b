/* The communication thread of an executor: transfers run there, in the order in which they were enqueued, while the
 * device goes on with what does not depend on them. For a device whose events the host can signal (hal/stream.h).
 *
 * A transfer begins when the device has done what was enqueued on the stream before it; what is enqueued behind it
 * waits until it has ended. A failure abandons the waits for the device with its sentence, and lets all that waits go
 * on, so that nothing stays blocked: what the device computes then is of no use. */
#ifndef LLMRUN_RUNTIME_TRANSFER_QUEUE_H
#define LLMRUN_RUNTIME_TRANSFER_QUEUE_H

#include <llmrun/collective.h>

#include "dist/communicator.h"
#include "hal/stream.h"

#define TRANSFER_ENDS 4

/* One transfer; `reduction` is looked at where the call takes one. Copied when it is enqueued, with the arrays that it
 * names living as long as the queue. */
struct transfer_job {
    struct communicator *communicator; /* NULL: nothing is transferred, `ends` are */
    /* A send is posted here and not waited for; the owner has it ended by a later job. NULL: the job ends it. */
    struct posted *keep;
    struct posted *ends[TRANSFER_ENDS]; /* transfers that are waited for too, last; NULL behind them */
    uint8_t call;                       /* enum communicator_call */
    struct llmrun_transfer transfer;
    struct llmrun_reduction reduction;
    struct purpose purpose; /* its text lives as long as the queue */
    double seconds;         /* that the device may take for what was enqueued before */
};

/* Posts a transfer, and waits for its end and that of `ends`. */
int transfer_run(const struct transfer_job *job, struct error *error);

struct transfer_queue;

int transfer_queue_create(struct device *device, struct transfer_queue **queue, struct error *error);
/* Ends the thread; what has not begun does not begin. NULL is accepted. */
void transfer_queue_destroy(struct transfer_queue *queue);

/* Blocks only while many transfers wait. One thread calls it. */
int transfer_queue_put(struct transfer_queue *queue, const struct stream *stream, const struct transfer_job *job,
                       struct error *error);

#endif
