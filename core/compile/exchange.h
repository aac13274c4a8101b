/* What a communication op does, as steps: transfers, which a collective plugin makes, reductions and copies, which the
 * device makes. With exact numerics a sum of floats is never a plugin's: ranks exchange their terms, and each adds its
 * part as a balanced tree with `reduce_rows`, nearest rank first. So its bits depend neither on a ring nor on a size.
 *
 * Sums (terms of all n ranks, N elements; bytes that each rank sends):
 *  - reduce_scatter: all_to_all of the terms, then the tree: 4 N (n - 1) / n.
 *  - all_reduce, small: all_gather of the terms, then the tree: 4 N (n - 1).
 *  - all_reduce, large: the reduce_scatter of equal runs of elements, then an all_gather: 8 N (n - 1) / n.
 *  - reduce_scatter to fewer shards than ranks, of which each is in c copies: the same among the s ranks of a group of
 *    all shards, then an all_reduce of the shard among its copies: with 4 N (s - 1) / s + 8 N / s (c - 1) / c.
 * What one rank alone has (select, slot), and any sum without exact numerics, is the plugin's to add, but for a
 * reduce_scatter in f32 to parts of several runs, which is exchanged like exact ones.
 * A send copies x to its buffer and sends that, a receive fills its buffer and copies it to y. */
#ifndef LLMRUN_COMPILE_EXCHANGE_H
#define LLMRUN_COMPILE_EXCHANGE_H

#include <llmrun/collective.h>

#include "program/mesh.h"
#include "program/program.h"

enum exchange_kind {
    EXCHANGE_ALL_GATHER,
    EXCHANGE_ALL_TO_ALL,
    EXCHANGE_ALL_REDUCE,
    EXCHANGE_REDUCE_SCATTER,
    EXCHANGE_SEND,
    EXCHANGE_RECEIVE,
    EXCHANGE_COPY,  /* of the device */
    EXCHANGE_REDUCE /* of the device: y = tree of the terms */
};

enum exchange_place { EXCHANGE_X, EXCHANGE_Y, EXCHANGE_TERMS, EXCHANGE_PLACES };

/* One side of a step: `offset` bytes behind the start of a place. As struct llmrun_blocks. */
struct exchange_side {
    uint8_t place; /* enum exchange_place */
    int64_t offset;
    int64_t blocks, bytes, pitch;
    const int64_t *parts; /* bytes of a block of each rank's part; NULL: `bytes` of all */
};

struct exchange_step {
    uint8_t kind;  /* enum exchange_kind */
    uint8_t group; /* enum mesh_axis, or enum mesh_group: its ranks take part */
    int32_t ranks; /* how many they are */
    struct exchange_side send, receive;
    uint32_t dtype;     /* of reductions by the plugin */
    uint32_t operation; /* LLMRUN_REDUCE_SUM ... */
    int64_t count;      /* elements of a reduction: of one part for reduce_scatter, of y for EXCHANGE_REDUCE */
    int64_t sent_bytes; /* by this rank, as the published algorithms count them */
};

#define EXCHANGE_STEPS 5

struct exchange {
    struct exchange_step steps[EXCHANGE_STEPS];
    int count;
    uint8_t axis;        /* enum mesh_axis: of the op */
    int32_t peer;        /* of send and receive: index along the axis; else -1 */
    uint32_t link;       /* theirs (passes/pipeline_parallel.h) */
    bool buffered;       /* a send from a buffer, which ends later; without one it ends with the receive behind it */
    int64_t terms_bytes; /* scratch */
    int64_t y_offset;    /* bytes of y from the value whose memory it lies in */
    int64_t *parts;      /* of the sides; owned */
};

/* `batch`: sequences of the rows of the op, of which a part of the positions has a run each. STATUS_BUG for what has no
 * exchange: a maximum, a split over another dimension. */
int exchange_make(const struct program *program, const struct op *op, const struct mesh *mesh, int64_t batch,
                  bool exact, struct exchange *exchange, struct error *error);
void exchange_finish(struct exchange *exchange);

/* The op by which the device carries out a step EXCHANGE_REDUCE; values have `alignment`, views what their place in
 * these gives; `tensors` holds LLMRUN_MAX_OPERANDS entries and lives
 * as long as *out is used. */
void exchange_describe_reduce(const struct exchange *exchange, const struct exchange_step *step, int64_t alignment,
                              bool exact, struct llmrun_tensor *tensors, struct llmrun_op *out);

const char *exchange_kind_name(enum exchange_kind kind);

#endif
