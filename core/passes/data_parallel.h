/* Data parallelism, and ZeRO stage 1 (Rajbhandari et al., arXiv 1910.02054): the ranks of the axis dp hold different
 * sequences. Runs after recomputation and before the cut into sections.
 *
 * What has a letter b is split over dp by it; what sums over b is a term over dp, of the batch parts that this rank
 * has. A gradient's term is reduced over dp once, when all accumulation groups have met (passes/combine.h), before
 * position and head parts meet. With ZeRO 1 it is reduced to a shard, which AdamW updates with moments of the same
 * shard, and the weights are gathered, in the compute type where they have a copy in it.
 *
 * Losses and norm slots are joined over dp, tp and pp: each is counted once, whatever layout. */
#ifndef LLMRUN_PASSES_DATA_PARALLEL_H
#define LLMRUN_PASSES_DATA_PARALLEL_H

#include "passes/reduction_order.h"
#include "program/mesh.h"
#include "program/program.h"

struct data_parallel_form {
    struct mesh mesh;
    int32_t zero;                      /* stage: 0 or 1 */
    int32_t zero_group;                /* ranks of dp that share one optimizer state; divides dp; 0: all */
    const struct reduction_form *sums; /* of this rank */
};

/* What an evaluation makes of this rank's sequences is gathered: the result of all ranks is "<its name>.all". */
#define DATA_PARALLEL_ALL "all"

/* Leaves a program alone whose mesh has one rank. */
int pass_data_parallel(struct program *program, const struct data_parallel_form *form, struct error *error);

#endif
