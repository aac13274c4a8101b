/* Ranks as threads of one process that meet, and of which one can be gone from some call on. And tensors that are cut
 * among them. */
#ifndef LLMRUN_TESTS_CHECKPOINT_RANK_THREADS_H
#define LLMRUN_TESTS_CHECKPOINT_RANK_THREADS_H

#include <pthread.h>

#include "checkpoint/ranks.h"
#include "checkpoint/save.h"

#define RANKS_MOST 8

struct rank_threads;

/* One rank. The thread's function finds all of it. */
struct rank_thread {
    struct checkpoint_ranks ranks; /* for what is tested */
    struct rank_threads *group;
    int calls;     /* of its callbacks */
    int gone_from; /* the call from which on it is gone, counted from 1; 0: none */
    int status;    /* what its function returned */
    struct error error;
    const void *task; /* of the test */
};

struct rank_threads {
    int32_t count;
    struct rank_thread threads[RANKS_MOST];
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool broken; /* a rank is gone */
    int arrived;
    int64_t meetings;
    char *given[RANKS_MOST];
    int64_t given_bytes[RANKS_MOST];
    char *told;
    int64_t told_bytes;
};

void rank_threads_init(struct rank_threads *group, int32_t count);
void rank_threads_finish(struct rank_threads *group);

/* Calls `work` on each rank, in a thread of its own, and waits for all: threads[i].status and error are what it gave.
 */
void rank_threads_run(struct rank_threads *group, int (*work)(struct rank_thread *rank, struct error *error));

#endif
