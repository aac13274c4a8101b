/* What a communicator, its operations and their steps are. Apart from what says otherwise, all of it belongs to the
 * engine's mutex (engine.h). */
#ifndef LLMRUN_HOST_COMMUNICATOR_H
#define LLMRUN_HOST_COMMUNICATOR_H

#include <pthread.h>
#include <stdatomic.h>

#include "link.h"
#include "options.h"

enum operation {
    OPERATION_ALL_REDUCE,
    OPERATION_REDUCE_SCATTER,
    OPERATION_ALL_GATHER,
    OPERATION_BROADCAST,
    OPERATION_ALL_TO_ALL,
    OPERATION_SEND,
    OPERATION_RECEIVE,
    OPERATION_BARRIER,
    OPERATION_SPLIT,
    OPERATIONS
};

const char *operation_name(enum operation operation);

/* The links of one create, shared by the communicators that were split from it. */
struct engine;

struct mesh {
    struct mesh *next; /* of the engine */
    int32_t rank, ranks;
    int32_t neighbours; /* ranks on this machine, with this one */
    bool crowded;       /* these are more than processors */
    bool shared;        /* all ranks, of all links, share memory */
    struct options options;
    struct link **links; /* by rank; NULL for this one */
    struct llmrun_communicator *communicators;
    struct step *held; /* sends whose time has not come, over a throttled link */
    char *scratch;     /* SCRATCH_BYTES */
};

#define SCRATCH_BYTES 131072

struct llmrun_communicator {
    struct llmrun_communicator *next; /* of the mesh */
    struct mesh *mesh;
    struct engine *engine; /* referred to once a communicator */
    uint64_t context;      /* names it in frames */
    uint64_t splits;
    int32_t rank, ranks;
    int32_t *members;                             /* ranks of the mesh */
    bool grouping;                                /* its thread's */
    int64_t posted;                               /* operations of all ranks so far */
    int64_t *sends;                               /* to each rank so far */
    int64_t *receives;                            /* from each rank so far */
    int64_t calls[OPERATIONS], bytes[OPERATIONS]; /* what counts say: payload that this rank's algorithms send */
    struct llmrun_request *requests;              /* that have not ended */
    bool settled;                                 /* the failure was acted upon */
    atomic_int failed;                            /* failure.code */
    pthread_mutex_t failure_mutex;                /* of `failure`, the first; code LLMRUN_OK while healthy */
    struct llmrun_error failure;
};

enum step_kind {
    STEP_SEND,
    STEP_RECEIVE,
    STEP_COPY, /* `from` to `span` */
    STEP_JOIN  /* `span` becomes `base` op `from`, contiguous all */
};

/* A part of an operation. Those of one round are under way at the same time; a round starts when the one before it has
 * ended. Between two ranks there is at most one message a round and direction. */
struct step {
    enum step_kind kind;
    int32_t round;
    int32_t peer;     /* rank in the communicator */
    struct span span; /* what is sent; or where what is received, copied or joined goes */
    struct span from;
    uint32_t dtype; /* of STEP_JOIN, and of a receive that joins what comes with `base`; LLMRUN_NONE: it is stored */
    uint32_t reduction; /* LLMRUN_REDUCE_SUM ... */
    const char *base;

    /* Under way. */
    struct llmrun_request *request;
    struct step *next;  /* in the list that `list` says */
    struct step **list; /* NULL: in none */
    struct outgoing out;
    bool queued; /* `out` is */
    bool ended;
    int64_t done;     /* bytes received or read */
    int64_t ready_ns; /* not sent before */
    struct offer offer;
};

/* Set in numbers of operations between two ranks, which are counted apart from those of all. */
#define BETWEEN_TWO (UINT64_C(1) << 39)

struct llmrun_request {
    struct llmrun_request *next; /* of the communicator */
    struct llmrun_communicator *communicator;
    enum operation operation;
    uint64_t number; /* of the operation; for tags */
    bool ended;
    int32_t code; /* once ended */
    bool stuck;   /* never ends; this and the next two are faults of the plugin that tests use (fault.h) */
    bool late;    /* fails when it has ended */
    char *spoilt; /* a byte of the result that is wrong; NULL: none */
    int32_t started, count, capacity; /* steps */
    int32_t under_way;
    struct step *steps;
    char *memory; /* that steps use */
};

/* Of ranks `members` of the mesh, copied; NULL: all. With the mutex held, or before the mesh has been given to the
 * engine. NULL where there is no memory. */
struct llmrun_communicator *communicator_create(struct mesh *mesh, uint64_t context, int32_t rank, int32_t ranks,
                                                const int32_t *members);
void communicator_destroy(struct llmrun_communicator *communicator); /* leaves the mesh, which may be left empty */

/* Notes a failure: the first counts. Any thread. The engine ends the communicator's requests when it comes to it. */
void communicator_fail(struct llmrun_communicator *communicator, int32_t code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* LLMRUN_OK, or the failure, which *error then has. Any thread. */
int32_t communicator_failure(struct llmrun_communicator *communicator, struct llmrun_error *error);
/* The link to a rank of the communicator; NULL to itself. */
struct link *communicator_link(const struct llmrun_communicator *communicator, int32_t rank);
/* The rank in it of a rank of the mesh; -1: not a member. */
int32_t communicator_rank_of(const struct llmrun_communicator *communicator, int32_t peer);

#endif
