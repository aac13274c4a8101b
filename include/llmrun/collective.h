/* llmrun plugin contract: collectives between ranks. Semantics follow NCCL's where nothing else is said.
 *
 * A plugin declares the memory domains that it can reach ("host", "cuda", ...) and one of two modes:
 * - stream-ordered: calls enqueue on the stream that the backend exported; completion is an event there;
 * - host-driven: calls post on host memory and return a request; the core's communication thread polls `test`.
 *
 * A communicator is used by one thread at a time, except `status` and `abort`: any thread, at any time. Every rank
 * calls the same functions in the same order with the same counts. Two buffers of a call are identical (in place) or do
 * not overlap. In place means: all_reduce recv == send; reduce_scatter recv == send + rank * count elements; all_gather
 * send == recv + rank * count elements. FP8 and bytes travel as u32 and are never reduced. */
#ifndef LLMRUN_COLLECTIVE_H
#define LLMRUN_COLLECTIVE_H

#include <llmrun/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct llmrun_communicator;
struct llmrun_request;

#define LLMRUN_COLLECTIVE_STREAM_ORDERED 1
#define LLMRUN_COLLECTIVE_HOST_DRIVEN    2

#define LLMRUN_REDUCE_SUM 1 /* required over f32, f64, bf16, f16, u32 */
#define LLMRUN_REDUCE_MAX 2

#define LLMRUN_UNIQUE_ID_BYTES 1280

struct llmrun_unique_id {
    uint8_t bytes[LLMRUN_UNIQUE_ID_BYTES];
};

/* One operation. Counts are elements; for reduce_scatter and all_gather the count of one rank's part. */
struct llmrun_transfer {
    uint32_t size;
    uint32_t dtype;
    uint32_t reduction; /* LLMRUN_REDUCE_SUM ..., 0 where nothing is reduced */
    int32_t peer;       /* root of broadcast, other side of send and recv, else -1 */
    int64_t count;
    uint64_t send;
    uint64_t receive;
    uint64_t stream; /* native stream of a stream-ordered plugin, else 0 */
};

struct llmrun_collective_table {
    uint32_t size;
    uint32_t reserved;
    /* One rank asks, all others get the bytes from the core. */
    int32_t (*unique_id)(struct llmrun_unique_id *id, struct llmrun_error *error);
    /* Blocks until all `ranks` have called, at most timeout_ns. `device` is the native device of the domain. */
    int32_t (*create)(const struct llmrun_unique_id *id, int32_t rank, int32_t ranks, uint64_t device,
                      int64_t timeout_ns, struct llmrun_communicator **communicator, struct llmrun_error *error);
    /* Ranks with the same color form a new communicator, ordered by key; color < 0 takes part and gets NULL. */
    int32_t (*split)(struct llmrun_communicator *communicator, int32_t color, int32_t key,
                     struct llmrun_communicator **part, struct llmrun_error *error);
    int32_t (*all_reduce)(struct llmrun_communicator *, const struct llmrun_transfer *, struct llmrun_request **,
                          struct llmrun_error *);
    int32_t (*reduce_scatter)(struct llmrun_communicator *, const struct llmrun_transfer *, struct llmrun_request **,
                              struct llmrun_error *);
    int32_t (*all_gather)(struct llmrun_communicator *, const struct llmrun_transfer *, struct llmrun_request **,
                          struct llmrun_error *);
    int32_t (*broadcast)(struct llmrun_communicator *, const struct llmrun_transfer *, struct llmrun_request **,
                         struct llmrun_error *);
    int32_t (*all_to_all)(struct llmrun_communicator *, const struct llmrun_transfer *, struct llmrun_request **,
                          struct llmrun_error *);
    int32_t (*send)(struct llmrun_communicator *, const struct llmrun_transfer *, struct llmrun_request **,
                    struct llmrun_error *);
    int32_t (*receive)(struct llmrun_communicator *, const struct llmrun_transfer *, struct llmrun_request **,
                       struct llmrun_error *);
    int32_t (*barrier)(struct llmrun_communicator *communicator, int64_t timeout_ns, struct llmrun_error *error);
    /* Calls between begin and end are started together. */
    int32_t (*group_begin)(struct llmrun_communicator *communicator, struct llmrun_error *error);
    int32_t (*group_end)(struct llmrun_communicator *communicator, struct llmrun_error *error);
    /* Host-driven only: 1 in *done when the operation has completed, then the request is gone. */
    int32_t (*test)(struct llmrun_request *request, uint32_t *done, struct llmrun_error *error);
    int32_t (*cancel)(struct llmrun_request *request, struct llmrun_error *error);
    /* LLMRUN_OK while healthy, else the first failure. */
    int32_t (*status)(struct llmrun_communicator *communicator, struct llmrun_error *error);
    /* Ends all waiting calls with LLMRUN_ERROR_ABORTED; may be called twice. */
    void (*abort)(struct llmrun_communicator *communicator);
    void (*destroy)(struct llmrun_communicator *communicator);
};

struct llmrun_collective {
    uint32_t size;
    uint32_t abi_major;
    uint32_t abi_minor;
    uint32_t mode; /* LLMRUN_COLLECTIVE_STREAM_ORDERED ... */
    const char *name;
    const char *version;
    const char *const *domains; /* NULL-terminated list */
    const struct llmrun_collective_table *table;
};

/* The one symbol of a collective plugin. */
LLMRUN_EXPORT const struct llmrun_collective *llmrun_collective_entry(const struct llmrun_host *host,
                                                                      struct llmrun_error *error);

#ifdef __cplusplus
}
#endif

#endif
