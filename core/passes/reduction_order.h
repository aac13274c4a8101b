/* Where sums over features, sequences and positions are cut, so that their bits do not depend on how a rank, or many,
 * compute them (docs/numerics.md). Without exact numerics every sum is one chain and a step is one accumulation group.
 *
 * - Feature parts: each product, and the loss, sums `feature_parts` parts of its axis as a balanced tree (fewer, a
 *   power of two, where the extent is not a multiple).
 * - Batch parts: equal runs of the step's sequences. Within one the gradient of a weight is one chain over its tokens;
 *   batch parts meet in a balanced tree. Those inside a microbatch meet inside the ops; an accumulation group is such a
 *   microbatch, or the microbatches that make up one batch part.
 * - Position parts: sums of a channel over tokens have a chain for each part of the positions.
 *
 * The pass sets the attributes with the roles `parts` and `extent s` (ops.def), gives per-channel sums their rows,
 * and gives each further use of a parameter an accumulator of its own. What is summed apart meets in the sections of
 * passes/combine.h. */
#ifndef LLMRUN_PASSES_REDUCTION_ORDER_H
#define LLMRUN_PASSES_REDUCTION_ORDER_H

#include "program/program.h"

/* Of one rank, but for position and feature parts. */
struct reduction_form {
    bool exact;
    int64_t sequence; /* positions of one */
    int64_t feature_parts;
    int64_t position_parts;
    int64_t batch_parts; /* inside a microbatch */
    int64_t groups;      /* of a step; a power of two */
    bool shared_uses;    /* further uses of a parameter go on with the chain of the first one */
    bool accumulate;     /* a group has several microbatches: gradients are added to, and zero at its start */
};

/* What the form follows from. */
struct reduction_request {
    bool exact;
    bool one_backward;      /* one section of one chunk adds up all gradients (passes/cut.h) */
    int64_t sequence;       /* positions of one */
    int64_t global_batch;   /* sequences of a step, of all ranks */
    int64_t micro_batch;    /* of one rank; times dp it divides global_batch */
    int64_t batch_parts;    /* of a step, a power of two that divides global_batch; 0: the largest one up to 8 */
    int64_t position_parts; /* a power of two up to 64, of which the largest that divides `sequence` is taken; 0: 8 */
    int32_t dp;             /* ranks of data parallelism, each with a run of the batch parts; 0: one */
};

/* STATUS_USAGE names the key of a number that cannot be, or a microbatch that is neither a part nor a multiple of a
 * batch part. Without `exact` one group holds all microbatches. */
int reduction_form_make(const struct reduction_request *request, struct reduction_form *form, struct error *error);

/* Largest power of two up to `most` that divides `extent`. */
int64_t reduction_parts(int64_t extent, int64_t most);

int pass_reduction_order(struct program *program, const struct reduction_form *form, struct error *error);

#endif
