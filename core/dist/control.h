/* The control channel: what the ranks of a job agree on, tell each other and fail by. Rank 0 serves, every rank
 * connects to it over TCP and proves to know the job's secret; every frame is authenticated (dist/connection.h).
 * Weights and gradients do not travel here: those are collectives (llmrun/collective.h).
 *
 * Each rank has a thread of its own that tells rank 0 now and then that it lives and what it does. A rank that fails,
 * ends or falls silent is told to all others, with one sentence that is the same for all: see control_failed.
 *
 * Threads: any, unless a function says otherwise. Calls that involve other ranks block until these have made the same
 * call. Threads that make such calls at the same time use different channels. A single rank has no thread and no
 * connection, and its calls return at once.
 *
 * Failures: STATUS_PEER, unless a function says otherwise; after the first one all calls of the control fail with it.
 */
#ifndef LLMRUN_DIST_CONTROL_H
#define LLMRUN_DIST_CONTROL_H

#include <llmrun/types.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/status.h"
#include "dist/environment.h"
#include "dist/recorder.h"

struct control;

struct control_options {
    const struct rank_environment *environment;
    const char *secret;        /* dist/secret.h; may be NULL for a single rank */
    int64_t timeout_ns;        /* parallel.timeout: for all to come, and for a rank that is not heard; > 0 */
    int64_t call_timeout_ns;   /* a call may wait so long for the last rank; 0: as long as all are heard */
    struct recorder *recorder; /* of this rank's collectives, asked for after a failure; NULL: none. Outlives it */
    const struct clock *clock; /* NULL: the system's */
};

/* Connects this rank; returns when all ranks are there. Where some do not come in time every rank that came is told
 * which. STATUS_USAGE where the secrets or the numbers of ranks differ, or a rank comes twice. */
int control_open(const struct control_options *options, struct control **control, struct error *error);

/* Says goodbye and frees it; accepts NULL. Rank 0 waits for the others to do the same, as long as they are heard, and
 * after a failure for 3 s at most. No other call is under way. */
void control_close(struct control *control);

int32_t control_rank(const struct control *control);
int32_t control_world(const struct control *control);
const char *control_host(const struct control *control, int32_t rank); /* its host's name; lives as long as control */

/* Who makes a call: some ranks in ascending order, this one among them, on a channel. NULL in place of a group is all
 * ranks on channel 0. */
struct control_group {
    const int32_t *ranks; /* [count]; NULL: all */
    int32_t count;
    uint32_t channel;
};

#define CONTROL_EXCHANGE_MOST (INT64_C(1) << 20)
#define CONTROL_TEXT_MOST     (INT64_C(16) << 20)

/* All-gather: `all` gets the `bytes` bytes of each rank of the group, in their order. Up to CONTROL_EXCHANGE_MOST. */
int control_exchange(struct control *control, const struct control_group *group, const void *mine, void *all,
                     int64_t bytes, struct error *error);

/* For `exchange` of struct llmrun_communicator_desc and struct communicator_options. */
struct control_exchange_context {
    struct control *control;
    struct control_group group;
};
int32_t control_exchange_callback(void *context, const void *mine, void *all, int64_t bytes,
                                  struct llmrun_error *error);

/* All-gather of strings of different lengths, up to CONTROL_TEXT_MOST each and 256 MiB together. *all are those of all
 * ranks of the group, one after the other, then a 0 byte; the caller frees it. sizes [ranks of the group]. */
int control_gather_texts(struct control *control, const struct control_group *group, const void *mine, int64_t bytes,
                         char **all, int64_t *sizes, struct error *error);

/* The bytes of the group's first rank to all of it; `data` has room for them on each. Up to CONTROL_TEXT_MOST. */
int control_broadcast(struct control *control, const struct control_group *group, void *data, int64_t bytes,
                      struct error *error);

int control_barrier(struct control *control, const struct control_group *group, struct error *error);

struct control_item {
    const char *key;  /* "numerics.batch_parts" */
    uint64_t hash;    /* is compared */
    const char *text; /* the value for people, or "" */
};

/* Compares items by key over all ranks. STATUS_USAGE on every rank, with the same sentence, where a rank has another
 * hash or does not have the key: names key, ranks and values. This is no failure of the control. */
int control_agree(struct control *control, const struct control_item *items, int32_t count, struct error *error);

/* Says what this rank does: a step (0: none) and words ("forward") that live as long as the control. Two stores; when
 * another rank reads between them it sees the new step with the old words. */
void control_note(struct control *control, int64_t step, const char *what);

/* On rank 0 of several: `llmrun status RUN_DIR` is answered from now on, until control_close. Nothing on others. Once.
 * STATUS_STORAGE where the folder takes no socket, which is no failure of the control. */
int control_serve_status(struct control *control, const char *run_folder, struct error *error);

/* Whether the job has failed: STATUS_OK, or STATUS_PEER with the root cause. On the rank that is the root cause itself
 * the status is its own. Does not block. */
int control_failed(struct control *control, struct error *error);

/* `callback` is called once, on the control's thread, when the job fails: as soon as a rank is lost. It must not block
 * nor call functions of control but control_failed. Called at once by the thread where the job has failed already. With
 * NULL none is called any more, and one that runs has ended when this returns. */
void control_on_failure(struct control *control, void (*callback)(void *context, const struct error *error),
                        void *context);

/* This rank gives up: with STATUS_PEER because of another rank (a collective failed or took too long), else because of
 * itself. Blocks until rank 0 has named the root cause, some seconds at most, and fills *root as control_failed does.
 * Returns root->status. A rank that ends because of control_failed need not call it. */
int control_fail(struct control *control, int status, const char *sentence, struct error *root);

#endif
