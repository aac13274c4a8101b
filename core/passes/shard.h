/* Tensor and sequence parallelism (Megatron's: Shoeybi et al., arXiv 1909.08053; Korthikanti et al., arXiv 2205.05198):
 * gives the values of a program their types over the axis tp of the mesh, and puts communication ops where the type at
 * hand is not the type that an op takes. Runs after the precision pass and before recomputation; the program is the
 * same on each rank but for what `mesh` says.
 *
 * One walk over the forward ops in their order picks one letter an op from the annotations of ops.def alone: no model
 * and no table of names is known here. Gradients follow from the same types. Parameters are split where the ops that
 * use them split them, and with them their gradients, moments and casts.
 *
 * Where the op needs it, it is taken apart: bias and activation of a split sum go to `finish`, the addend of a split
 * look-up to `add`, and linear_cross_entropy over a split vocabulary becomes matmul, loss_statistics, loss_gradient and
 * the gradient matmuls, one token chunk after the other. */
#ifndef LLMRUN_PASSES_SHARD_H
#define LLMRUN_PASSES_SHARD_H

#include "passes/reduction_order.h"
#include "program/mesh.h"
#include "program/program.h"

struct shard_form {
    struct mesh mesh;
    bool sequence_parallel; /* what lies between blocks is split over positions */
    int64_t loss_chunk;     /* tokens whose logits are there at once; 0: chosen here */
    const struct reduction_form
        *sums; /* where sums are cut; with sums->exact ranks hold whole, aligned parts of them */
};

/* Leaves a program alone whose mesh has tp 1. STATUS_USAGE names the axis, its parts and the nearest layout that
 * works. */
int pass_shard(struct program *program, const struct shard_form *form, struct error *error);

#endif
