/* A host-driven collective whose ranks are threads of one process. The last rank to post an operation carries it out
 * for all of them, so that operations progress without anybody's waiting. */
#ifndef LLMRUN_LOOPBACK_H
#define LLMRUN_LOOPBACK_H

#include <pthread.h>
#include <stdbool.h>

#include <llmrun/collective.h>
#include <llmrun/plugin.h>

#define RANKS_MAX 64

enum kind { ALL_REDUCE, REDUCE_SCATTER, ALL_GATHER, BROADCAST, ALL_TO_ALL, SEND, RECEIVE, BARRIER, SPLIT };

/* What the ranks of a communicator share. */
struct group {
    pthread_mutex_t mutex; /* of all below, and of `done` and `code` of requests */
    pthread_cond_t changed;
    int32_t ranks;
    int32_t ends;                    /* that were not destroyed */
    struct llmrun_error failure;     /* the first; code LLMRUN_OK while healthy */
    struct llmrun_request *requests; /* that wait for other ranks, in order of posting */
};

struct llmrun_communicator {
    struct group *group;
    int32_t rank;
    bool grouping;
    int64_t calls; /* of operations of all ranks, so far */
};

struct llmrun_request {
    struct llmrun_request *next;
    struct group *group;
    int32_t rank;
    enum kind kind;
    int64_t call; /* the number of the operation of all ranks; -1: of two ranks */
    bool done;
    int32_t code;
    struct llmrun_transfer transfer; /* with arrays of its own */
    struct llmrun_reduction reduction;
    int32_t color, key; /* of SPLIT, and where its result goes */
    struct llmrun_communicator **part;
    int64_t sizes[2][RANKS_MAX];
};

/* plugin.c. Fills *error and returns `code`. */
struct group *group_make(int32_t ranks);
void group_free(struct group *group);

/* queue.c. Posts a copy of `draft`. */
int32_t post(struct llmrun_communicator *communicator, const struct llmrun_request *draft,
             struct llmrun_request **request, struct llmrun_error *error);
int32_t request_wait(struct llmrun_request *request, int64_t timeout_ns, struct llmrun_error *error);
int32_t request_cancel(struct llmrun_request *request, struct llmrun_error *error);
/* With the mutex held. Ends all requests of the group. */
void group_fail(struct group *group, int32_t code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Carries an operation out: `all` are the requests of its ranks, or the send and the receive. */
int32_t move(struct llmrun_request *const *all, int32_t count, struct llmrun_error *error);   /* move.c */
int32_t divide(struct llmrun_request *const *all, int32_t count, struct llmrun_error *error); /* plugin.c: SPLIT */

#endif
