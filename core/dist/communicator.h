/* One rank's end of a group of ranks, over a collective plugin: calls that carry names, and waits with a deadline. What
 * fails is STATUS_PEER, with the group, the operation and what a caller says that it is for.
 *
 * One thread at a time uses a communicator; communicator_abort may come from any. */
#ifndef LLMRUN_DIST_COMMUNICATOR_H
#define LLMRUN_DIST_COMMUNICATOR_H

#include <stdatomic.h>
#include <stdbool.h>

#include "dist/control.h"
#include "plugin/collective.h"

struct communicator {
    const struct collective *collective;
    struct llmrun_communicator *handle; /* NULL: none, as in a struct of zeros */
    int32_t rank, ranks;                /* in the group */
    int64_t timeout_ns;                 /* for an operation */
    atomic_bool aborted;
    char name[16];             /* "tp", for messages */
    struct control *control;   /* told what this rank does; NULL: nobody is */
    struct recorder *recorder; /* of the operations; NULL: none */
    int32_t group;             /* of it */
};

struct communicator_options {
    const struct collective *collective;
    const char *name;
    int32_t rank, ranks;
    int64_t timeout_ns;
    /* As in struct llmrun_communicator_desc: over the control channel, among the ranks of the group. */
    int32_t (*exchange)(void *context, const void *mine, void *all, int64_t bytes, struct llmrun_error *error);
    void *context;
    const struct llmrun_option *options;
    int64_t option_count;
    struct control *control; /* these may be NULL; else they outlive the communicator */
    struct recorder *recorder;
    int32_t group; /* recorder_group */
};

/* All ranks of the group call it. STATUS_USAGE: the plugin refuses its options. The domain is "host": other memory is
 * staged (runtime/transfer.h). */
int communicator_create(const struct communicator_options *options, struct communicator *communicator,
                        struct error *error);
void communicator_destroy(struct communicator *communicator); /* accepts a zeroed struct */

/* Ends what blocks in it, and all later calls, with a failure. */
void communicator_abort(struct communicator *communicator);

enum communicator_call {
    CALL_ALL_GATHER,
    CALL_ALL_TO_ALL,
    CALL_SEND,
    CALL_RECEIVE,
    CALL_ALL_REDUCE,    /* a reduction */
    CALL_REDUCE_SCATTER /* a reduction */
};

/* What an operation is for, in messages and records. */
struct purpose {
    const char *what; /* the value: "layers.3.attn.out"; lives until the operation has ended. NULL: not told */
    int64_t step;     /* 0: of none */
    int64_t bytes;    /* that this rank sends */
};

/* An operation that was posted. Ended by communicator_wait, or with its communicator. */
struct posted {
    struct communicator *communicator;
    struct llmrun_request *request; /* NULL: none */
    uint8_t call;                   /* enum communicator_call */
    struct purpose purpose;
    int64_t record; /* in the recorder */
};

/* The first kind takes a transfer, the second a reduction. */
int communicator_post_transfer(struct communicator *communicator, enum communicator_call call,
                               const struct llmrun_transfer *transfer, const struct purpose *purpose,
                               struct posted *posted, struct error *error);
int communicator_post_reduction(struct communicator *communicator, enum communicator_call call,
                                const struct llmrun_reduction *reduction, const struct purpose *purpose,
                                struct posted *posted, struct error *error);

/* Blocks until it has ended, at most communicator->timeout_ns: then it is cancelled, and the communicator has failed.
 * Nothing to do for one that has ended. */
int communicator_wait(struct posted *posted, struct error *error);

/* Gives it up, where it has not ended. */
void communicator_cancel(struct posted *posted);

const char *communicator_call_name(enum communicator_call call);

#endif
