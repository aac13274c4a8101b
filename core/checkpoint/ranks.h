/* How the ranks of a run meet to save or find a checkpoint. The channel comes from outside, as two callbacks.
 *
 * A meeting is one gather and one broadcast, and all ranks leave it with the same status: that of rank 0's work, or the
 * root cause of the rank that could not come that far. So no rank ever takes a checkpoint for saved that another takes
 * for failed, unless the channel itself fails. */
#ifndef LLMRUN_CHECKPOINT_RANKS_H
#define LLMRUN_CHECKPOINT_RANKS_H

#include <stdint.h>

#include "base/status.h"

/* The callbacks are called in the same order on all ranks, on the thread that calls checkpoint_save, resume_find or
 * saver_create: where saving is async that is the saver's own thread, while others of the process communicate too.
 * Never by two threads at once. They block, with a deadline of their own, and return STATUS_PEER where a rank is gone.
 *
 * After a gather that failed rank 0 still broadcasts, once, and other ranks call no callback for that meeting. */
struct checkpoint_ranks {
    int32_t rank, ranks;
    /* Rank 0 gets the bytes that all ranks gave, in their order, one after the other; it frees *all. sizes[ranks].
     * Other ranks may get them too, or NULL. */
    int (*gather)(void *context, const void *mine, int64_t bytes, char **all, int64_t *sizes, struct error *error);
    /* All ranks get a copy of rank 0's bytes, which the caller frees. */
    int (*broadcast)(void *context, const void *mine, int64_t bytes, char **told, int64_t *told_bytes,
                     struct error *error);
    void *context;
};

/* Bytes that ranks send. `data` is freed with free(). */
struct ranks_message {
    char *data; /* NULL where there are none */
    int64_t bytes;
};

/* What rank 0 does when all have come: `given[ranks]` is what each brought, `answer` what all are told. */
typedef int ranks_work(void *context, const struct ranks_message *given, struct ranks_message *answer,
                       struct error *error);

/* A rank comes with the status of what it has done so far (and the error of that in *error where it failed) and what it
 * brings. Where all are STATUS_OK rank 0 does its work (NULL: none); else nothing is done, and all get the first rank's
 * error that is not STATUS_PEER, "rank 3: ...". *told (may be NULL) is the answer, freed by the caller; empty on
 * failure. With `ranks` NULL there is one rank. */
int ranks_meet(const struct checkpoint_ranks *ranks, int status, const struct ranks_message *mine, ranks_work *work,
               void *context, struct ranks_message *told, struct error *error);

/* A meeting without work: all return the same status. */
int ranks_agree(const struct checkpoint_ranks *ranks, int status, struct error *error);

/* A message with a copy of `data`. */
int ranks_message_of(const void *data, int64_t bytes, struct ranks_message *message, struct error *error);

#endif
