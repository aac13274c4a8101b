/* Where sums over tokens and features are cut, so that their bits do not depend on how a rank, or many, compute them
 * (docs/numerics.md). Without exact numerics every sum is one chain and a step is one unit.
 *
 * - Features: each product, and the loss, sums `features` leaves of its axis as a balanced tree (fewer, a power of two,
 *   where the extent is not a multiple).
 * - Sequences: the step's sequences form lanes. Within a lane the gradient of a weight is one chain over its tokens;
 * lanes meet in a balanced tree. Lanes inside a microbatch meet inside the ops; a unit is such a microbatch, or the
 *   microbatches that make up one lane.
 * - Positions: sums of a channel over tokens have `chunks` chains a lane, each over a part of the positions.
 *
 * The pass sets the ops' attributes, gives per-channel sums their rows, gives each further use of a
 * parameter an accumulator of its own, and adds the close sections: section c is to run after unit u where u + 1 has c
 * factors of two, or after the last unit. It folds the rows of channels, adds the c sums that wait for this one, and
 * leaves the result to wait on level c, or, after the last unit, in the gradients. What waits is
 * "<accumulator>.lane<level>" (scratch). */
#ifndef LLMRUN_PASSES_LANES_H
#define LLMRUN_PASSES_LANES_H

#include "program/program.h"

struct lanes_form {
    bool exact;
    int64_t sequence; /* positions of one */
    int64_t features; /* leaves of a feature axis */
    int64_t chunks;   /* of the positions */
    int64_t lanes;    /* inside a microbatch */
    int64_t units;    /* of a step; a power of two */
    bool accumulate;  /* a unit has several microbatches: gradients are added to, and zero at its start */
};

/* The form of a step. `lanes` of the step: a power of two that divides global_batch. STATUS_USAGE when a microbatch is
 * neither a part nor a multiple of a lane. With exact false one unit holds all microbatches. */
int lanes_form_make(bool exact, int64_t sequence, int64_t global_batch, int64_t micro_batch, int64_t lanes,
                    struct lanes_form *form, struct error *error);

/* Lanes where the user names none: the largest power of two up to 8 that divides global_batch. */
int64_t lanes_default(int64_t global_batch);

/* Largest power of two up to `most` that divides `extent`. */
int64_t lanes_leaves(int64_t extent, int64_t most);

int pass_lanes(struct program *program, const struct lanes_form *form, struct error *error);

#endif
