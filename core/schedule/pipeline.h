/* Pipeline schedules: the order in which each rank of a pipeline runs the sections of its chunks, for all ranks at
 * once. Pure functions of five numbers, one file a schedule; every rank makes all tables, and all make the same ones.
 *
 * An entry launches the sections {action, chunk, layer, level} of all layers of a chunk. The chunks of all ranks in the
 * order of the model are its virtual stages; `placement` says who holds which.
 *
 * How tensors travel. Between neighbouring virtual stages are two links: outputs of F go down, those of B and BW up.
 * Sends are unbuffered, and a link's sends and receives match in order. A rank runs its entries in order:
 *  - F, B or BW waits until its input is received;
 *  - as it begins, it posts the receive of the link's next input (the first ones are posted before all entries);
 *  - when it has run, it waits until the link's send before it is over, and posts the send of its output.
 * W, ZERO and COMBINE wait for nothing, and run while tensors travel. Each end of a link needs two buffers; they come
 * on top of `slots`. A send and a receive of two neighbours that cross are both posted, so neither waits for the other.
 * Posted transfers must progress on their own: as requests, or on a stream a link. A device with one communication
 * stream runs its transfers in the order in which they end in a walk of all tables: that is one order for all ranks, so
 * it does not deadlock where the walk does not. Neighbouring stages of one rank (one rank only, or the turn of the V)
 * are linked alike, at no cost. */
#ifndef LLMRUN_SCHEDULE_PIPELINE_H
#define LLMRUN_SCHEDULE_PIPELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

#define PIPELINE_CHUNKS_MAX 64

enum pipeline_action {
    PIPELINE_F,  /* forward */
    PIPELINE_B,  /* gradients of activations, and of what accumulates in B */
    PIPELINE_W,  /* gradients of weights */
    PIPELINE_BW, /* B and W of each layer in turn: nothing is kept from B to W; the output is sent when both have run */
    PIPELINE_ZERO_B, /* the accumulators of B become zero: `microbatch` is the first of its accumulation group */
    PIPELINE_ZERO_W,
    PIPELINE_COMBINE_B, /* `microbatch` is the last of its group; `level`: levels of the tree of groups that close */
    PIPELINE_COMBINE_W
};

/* "F", "B", ...: for people. */
const char *pipeline_action_name(int action);

struct pipeline_entry {
    uint8_t action; /* enum pipeline_action */
    uint8_t level;  /* 0 except for COMBINE */
    uint16_t chunk; /* of this rank */
    int32_t microbatch;
};

/* Most (chunk, microbatch) pairs of a rank between two of its sections, all chunks together. A slot counts from the
 * section that fills it to the end of the one that empties it. */
struct pipeline_slots {
    int32_t f_to_b, b_to_w, f_to_w; /* BW empties f_to_b and f_to_w, and fills nothing */
};

struct pipeline_rank {
    struct pipeline_entry *entries;
    int64_t count;
    struct pipeline_slots slots;
};

enum pipeline_placement {
    PIPELINE_LOOP, /* virtual stage s is on rank s mod ranks (Narayanan et al. 2021) */
    PIPELINE_V     /* two chunks: down the ranks, and up again (Qi et al., arXiv 2401.10241) */
};

struct pipeline_shape {
    int32_t ranks, chunks; /* chunks of each rank */
    int32_t microbatches;
    int32_t groups; /* accumulation groups of consecutive microbatches: a power of two that divides microbatches */
    bool zero;      /* groups begin with ZERO_B and ZERO_W; else their first write overwrites */
};

struct pipeline {
    struct pipeline_shape shape;
    enum pipeline_placement placement;
    struct pipeline_rank *ranks; /* [shape.ranks], owned with their entries */
};

/* One schedule. STATUS_USAGE where it cannot have these chunks or microbatches, and *pipeline is empty. */
typedef int pipeline_make(const struct pipeline_shape *shape, struct pipeline *pipeline, struct error *error);

enum pipeline_kind { PIPELINE_ONE_F_ONE_B, PIPELINE_GPIPE, PIPELINE_INTERLEAVED, PIPELINE_ZERO_BUBBLE };

/* That of a kind. `pipeline_splits`: its tables have W apart from B. */
int pipeline_of_kind(enum pipeline_kind kind, const struct pipeline_shape *shape, struct pipeline *pipeline,
                     struct error *error);
bool pipeline_splits(enum pipeline_kind kind);
/* Where a schedule of this kind has its stages, for a program without a step, which has no tables. */
enum pipeline_placement pipeline_placement_of(enum pipeline_kind kind, int32_t chunks);
const char *pipeline_kind_name(enum pipeline_kind kind); /* "1f1b" ... */

pipeline_make pipeline_gpipe;       /* chunks 1 */
pipeline_make pipeline_one_f_one_b; /* chunks 1 */
pipeline_make pipeline_interleaved; /* chunks 2 and more, microbatches a multiple of ranks */
pipeline_make pipeline_zero_bubble; /* chunks 1: ZB-H1; chunks 2: ZB-V */

void pipeline_finish(struct pipeline *pipeline);

/* The virtual stage of a rank's chunk, from 0 to ranks * chunks - 1, and the rank that holds a stage. */
int32_t pipeline_stage(const struct pipeline *pipeline, int32_t rank, int32_t chunk);
int32_t pipeline_holder(const struct pipeline *pipeline, int32_t stage);

/* Checks the tables of all ranks, and assumes the worst: unbuffered sends, a rank that blocks at each wait. STATUS_BUG
 * names rank and entry where
 *  - the tables deadlock, or two neighbours run F in different orders;
 *  - F, B or W of a chunk's microbatch is missing, comes twice or before what it needs;
 *  - B, or W, of a chunk is not in ascending order of microbatches (exact numerics, rule 3);
 *  - a group is written before its ZERO or after its last microbatch without its COMBINE, or one of these is not where
 *    a group begins or ends, or has another level;
 *  - more slots are in use than the rank states. */
int pipeline_check(const struct pipeline *pipeline, struct error *error);

/* Costs of one section of one chunk and of one transfer between two ranks, in one unit; BW costs b + w. */
struct pipeline_costs {
    int64_t f, b, w, transfer;
};

struct pipeline_times {
    int64_t makespan; /* from the first start to the last end of all ranks */
    int64_t bubble;   /* the longest time from first start to last end of a rank, less its work (as Qi et al. count) */
};

/* Runs tables as the links above say, ZERO and COMBINE at no cost; each entry and each transfer is looked at a fixed
 * number of times. `times` may be NULL. STATUS_BUG names a rank and its entry where the tables deadlock; of each rank's
 * own rules pipeline_check sees that they are kept. */
int pipeline_time(const struct pipeline *pipeline, const struct pipeline_costs *costs, struct pipeline_times *times,
                  struct error *error);

struct pipeline_span {
    int64_t begin, end; /* end - begin is the cost of the entry; what it waits for is outside */
};

/* The same, and when each entry runs: spans[rank][entry], arrays of the caller. */
int pipeline_spans(const struct pipeline *pipeline, const struct pipeline_costs *costs, struct pipeline_times *times,
                   struct pipeline_span *const *spans, struct error *error);

#endif
