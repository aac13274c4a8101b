/* llmrun plugin contract: collectives between ranks. With exact numerics a collective only moves bytes, and arithmetic
 * is the host's; reductions are for unordered numerics, and for sums of integers.
 *
 * Modes. A plugin declares the memory domains that it reaches ("host", "cuda", ...) and one of two modes:
 * - stream-ordered: a call enqueues on the native stream that the backend exported (export_native of llmrun/backend.h).
 *   It has completed when an event recorded there later has. `request` may be NULL and is left alone.
 * - host-driven: a call posts the operation and gives a request, which `wait` or `cancel` ends. `stream` is 0.
 *
 * Threads and blocking
 * - A communicator is used by one thread at a time, and with it its requests; different communicators may be used by
 *   different threads at once. `status` and `abort`: any thread, at any time between create and destroy.
 * - create, split, barrier, wait and destroy block. The rest do not wait for other ranks, except that a first call may
 *   while connections are made, until abort at most. timeout_ns < 0: no limit.
 * - Whoever waits progresses all operations that the process has posted with the plugin, and operations progress at
 *   the latest then: ranks may wait for the operations of several communicators in different orders.
 *
 * Order and ownership
 * - All ranks of a communicator make the same calls in the same order with counts that fit together; send and receive
 *   concern the two ranks only, and match in order. A plugin need not notice where they do not fit.
 * - Descriptions and their arrays are read during the call. Memory that they name stays valid, and receive sides
 *   untouched, until completion; gaps between blocks are neither read nor written.
 * - The creator destroys. All requests are ended before destroy, which accepts NULL. Parts of a split live on without
 *   the communicator that they came from.
 *
 * Failures. A call outside a group that answers LLMRUN_ERROR_ARGUMENT or LLMRUN_ERROR_UNSUPPORTED has done nothing, and
 * LLMRUN_ERROR_TIMEOUT of `wait` leaves all as it is. After any other failure, of a call or of an operation, the
 * communicator is good for wait, cancel, status, abort and destroy only; other ranks fail too or run into a timeout.
 *
 * After "~" stand the calls of vendors that do the same or most of it. RCCL has NCCL's names. */
#ifndef LLMRUN_COLLECTIVE_H
#define LLMRUN_COLLECTIVE_H

#include <llmrun/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct llmrun_communicator; /* one rank's end of a group of ranks */
struct llmrun_request;      /* an operation of a host-driven plugin */

#define LLMRUN_COLLECTIVE_STREAM_ORDERED 1
#define LLMRUN_COLLECTIVE_HOST_DRIVEN    2

/* One side of a transfer: `blocks` runs of `bytes` bytes, `pitch` bytes from the start of one to that of the next
 * (ignored for one block). The runs count as one string of bytes, so both sides of a transfer have the same blocks x
 * bytes and may cut them differently. A side of 0 blocks or bytes has no address.
 *
 * A side with a part for each rank has them side by side: block j of part r stands at address + j x pitch + the bytes
 * of a block of each of the parts 0 to r - 1; pitch is at least the bytes of a block of all parts together. One block:
 * parts one after the other. Several: a split of an inner dimension, e.g. of s in [b, s, h], where blocks is b. Other
 * layouts are sends and receives in a group. */
struct llmrun_blocks {
    uint64_t address; /* of the backend; in the domain "host" a host address */
    int64_t blocks;
    int64_t bytes;
    int64_t pitch;
};

/* An operation that moves bytes. Its sides do not overlap, except that for all_gather `send` may be the own part of
 * `receive`, with the same blocks and pitch. */
struct llmrun_transfer {
    uint32_t size;
    int32_t peer; /* root of broadcast, other rank of send and receive; else -1 */
    uint64_t stream;
    struct llmrun_blocks send;
    struct llmrun_blocks receive;
    /* Unequal parts: the bytes of a block of each rank's part, one entry a rank, 0 allowed, in place of `bytes` of the
     * side. NULL: all parts have `bytes`. What rank a sends to b has the size that b receives from a. */
    const int64_t *send_bytes;    /* all_to_all */
    const int64_t *receive_bytes; /* all_to_all, all_gather */
};

#define LLMRUN_REDUCE_SUM 1 /* required of f32, bf16, f16 and u32 (modulo 2^32) */
#define LLMRUN_REDUCE_MAX 2 /* optional, as are other types: LLMRUN_ERROR_UNSUPPORTED */

/* An operation that computes, over contiguous elements, in any order and grouping of the ranks. `receive` is `send`, or
 * for reduce_scatter the own part of it, or does not overlap with it. */
struct llmrun_reduction {
    uint32_t size;
    uint32_t dtype;
    uint32_t operation; /* LLMRUN_REDUCE_SUM ... */
    uint32_t reserved;  /* 0 */
    uint64_t stream;
    uint64_t send;
    uint64_t receive;
    int64_t count; /* elements; of one part for reduce_scatter */
    /* reduce_scatter with unequal parts: the elements of each, one entry a rank, in place of `count`. Part r begins
     * behind those before it. NULL: all have `count`. */
    const int64_t *counts;
};

/* What a communicator is made of. */
struct llmrun_communicator_desc {
    uint32_t size;
    uint32_t option_bytes; /* from one option to the next */
    int32_t rank;          /* 0 to ranks - 1 */
    int32_t ranks;         /* at least 1 */
    const char *domain;    /* one of the plugin's */
    uint64_t device;       /* native device of the domain (struct llmrun_native), 0 for "host" */
    int64_t timeout_ns;    /* of create */
    /* All-gather of small byte strings over the host's own authenticated connections, by which a plugin makes its
     * ranks known to each other: an id of rank 0's, addresses of workers. It never listens for whoever connects.
     * `all` gets ranks x bytes, those of rank r at r x bytes. All ranks call it equally often with equal `bytes`, 1 to
     * LLMRUN_EXCHANGE_BYTES. During create only, from its thread; blocks; a failure is passed on by create. */
    int32_t (*exchange)(void *context, const void *mine, void *all, int64_t bytes, struct llmrun_error *error);
    void *context;                       /* first argument of exchange */
    const struct llmrun_option *options; /* unknown keys are ignored; a known key with a bad value: ARGUMENT */
    int64_t option_count;
};

#define LLMRUN_EXCHANGE_BYTES 65536

struct llmrun_collective_table {
    uint32_t size;
    uint32_t reserved;
    /* All ranks call it. ~ ncclCommInitRankConfig, hcclCommInitRank, MPI_Comm_create_from_group, ucp_ep_create */
    int32_t (*create)(const struct llmrun_communicator_desc *desc, struct llmrun_communicator **communicator,
                      struct llmrun_error *error);
    /* All ranks call it, with no operation in flight. Those of one color >= 0 form a new communicator, in order of
     * key, then of rank; color < 0 takes part and gets NULL. ~ ncclCommSplit, MPI_Comm_split */
    int32_t (*split)(struct llmrun_communicator *communicator, int32_t color, int32_t key, int64_t timeout_ns,
                     struct llmrun_communicator **part, struct llmrun_error *error);

    /* Operations. On success a host-driven plugin gives a request that is not NULL. */

    /* ~ ncclAllReduce, hcclAllReduce, MPI_Iallreduce */
    int32_t (*all_reduce)(struct llmrun_communicator *communicator, const struct llmrun_reduction *reduction,
                          struct llmrun_request **request, struct llmrun_error *error);
    /* `send` has a part for each rank. ~ ncclReduceScatter, hcclReduceScatter, MPI_Ireduce_scatter */
    int32_t (*reduce_scatter)(struct llmrun_communicator *communicator, const struct llmrun_reduction *reduction,
                              struct llmrun_request **request, struct llmrun_error *error);
    /* `receive` has a part for each rank. ~ ncclAllGather, hcclAllGather, MPI_Iallgatherv */
    int32_t (*all_gather)(struct llmrun_communicator *communicator, const struct llmrun_transfer *transfer,
                          struct llmrun_request **request, struct llmrun_error *error);
    /* The root has only `send`, the others only `receive`. ~ ncclBroadcast, hcclBroadcast, MPI_Ibcast */
    int32_t (*broadcast)(struct llmrun_communicator *communicator, const struct llmrun_transfer *transfer,
                         struct llmrun_request **request, struct llmrun_error *error);
    /* Both sides have a part for each rank. ~ ncclSend and ncclRecv in a group, hcclAlltoAll, MPI_Ialltoallv */
    int32_t (*all_to_all)(struct llmrun_communicator *communicator, const struct llmrun_transfer *transfer,
                          struct llmrun_request **request, struct llmrun_error *error);
    /* To and from another rank; completion of a send does not say that it was received.
     * ~ ncclSend, hcclSend, MPI_Isend, ucp_tag_send_nbx */
    int32_t (*send)(struct llmrun_communicator *communicator, const struct llmrun_transfer *transfer,
                    struct llmrun_request **request, struct llmrun_error *error);
    /* ~ ncclRecv, hcclRecv, MPI_Irecv, ucp_tag_recv_nbx */
    int32_t (*receive)(struct llmrun_communicator *communicator, const struct llmrun_transfer *transfer,
                       struct llmrun_request **request, struct llmrun_error *error);
    /* Operations between begin and end are started together, so that crossing sends and receives do not wait for each
     * other. Nothing else is called between them; requests may be waited for after end. A failure of a call in a group
     * fails the communicator, and end is still called; it gives the first failure.
     * ~ ncclGroupStart, hcclGroupStart */
    int32_t (*group_begin)(struct llmrun_communicator *communicator, struct llmrun_error *error);
    /* ~ ncclGroupEnd, hcclGroupEnd */
    int32_t (*group_end)(struct llmrun_communicator *communicator, struct llmrun_error *error);
    /* Returns when all ranks have called it; orders hosts, not streams. ~ MPI_Ibarrier and MPI_Wait */
    int32_t (*barrier)(struct llmrun_communicator *communicator, int64_t timeout_ns, struct llmrun_error *error);

    /* Required of host-driven plugins, NULL in others. */

    /* Blocks, sleeping rather than spinning, until the operation has completed. LLMRUN_ERROR_TIMEOUT where it has not
     * within timeout_ns: the request can be waited for again. Every other answer, LLMRUN_OK or the operation's failure,
     * ends the request. timeout_ns 0 only asks, which makes a `test` of its own needless: one entry, one way to end a
     * request. ~ MPI_Wait and MPI_Test, ucp_request_check_status after ucp_worker_progress and ucp_worker_wait */
    int32_t (*wait)(struct llmrun_request *request, int64_t timeout_ns, struct llmrun_error *error);
    /* Gives the operation up and ends the request, whatever it answers; its memory is free for other use on return.
     * Where the operation had not completed its receive side is undefined and the communicator has failed.
     * ~ MPI_Cancel, ucp_request_cancel */
    int32_t (*cancel)(struct llmrun_request *request, struct llmrun_error *error);

    /* LLMRUN_OK while healthy, else the first failure, LLMRUN_ERROR_ABORTED where that was an abort. Does not block.
     * ~ ncclCommGetAsyncError, hcclCommGetAsyncError */
    int32_t (*status)(struct llmrun_communicator *communicator, struct llmrun_error *error);
    /* Ends all blocked and later calls of the communicator, and enqueued work, with LLMRUN_ERROR_ABORTED. Does not
     * block; may be called twice. ~ ncclCommAbort and hcclCommAbort, which also destroy */
    void (*abort)(struct llmrun_communicator *communicator);
    /* Needs no other rank after abort or a failure. ~ ncclCommDestroy, hcclCommDestroy, MPI_Comm_free */
    void (*destroy)(struct llmrun_communicator *communicator);
};

/* Lives, with its tables and texts, as long as the process. */
struct llmrun_collective {
    uint32_t size;
    uint32_t abi_major;
    uint32_t abi_minor;
    uint32_t mode; /* LLMRUN_COLLECTIVE_STREAM_ORDERED ... */
    const char *name;
    const char *version;
    const char *const *domains; /* 1 to LLMRUN_COLLECTIVE_DOMAINS texts of 1 to 15 bytes, then NULL */
    const struct llmrun_collective_table *table;
};

#define LLMRUN_COLLECTIVE_DOMAINS 8

/* The one symbol of a collective plugin. Called once. NULL with `error` filled when the plugin cannot work with this
 * host. The host may try it in a child process first. */
LLMRUN_EXPORT const struct llmrun_collective *llmrun_collective_entry(const struct llmrun_host *host,
                                                                      struct llmrun_error *error);

#ifdef __cplusplus
}
#endif

#endif
