/* Data parallelism, and ZeRO stage 1 (Rajbhandari et al., arXiv 1910.02054): the ranks of the axis dp hold different
 * sequences. Runs after recomputation and before the cut into sections, on a program whose batches are those of one
 * rank.
 *
 * In forward, backward and evaluation what has a letter b is split over dp by it, and what sums over b is a term over
 * dp, of the batch parts that this rank has. passes/combine.h sums a gradient's terms once, when all accumulation
 * groups have met and before position and head parts meet. The update takes "<gradient>.whole", a view of the
 * accumulator.
 *
 * With ZeRO 1 a gradient's terms meet in this rank's rows, "<gradient>.shard", where rows and the slots of its norm
 * divide by the ranks; other tensors stay whole, and all ranks update them. AdamW updates "<parameter>.rows" with
 * moments of these rows, and an all_gather in place makes the parameter whole, or its cast: then the fp32 master is
 * split itself.
 *
 * Each element is counted once in the norm: its slots are terms, filled by one rank and zero on the others, joined by
 * one all_reduce. So are the losses of a step, "losses.rank". Results of an evaluation are gathered. */
#ifndef LLMRUN_PASSES_DATA_PARALLEL_H
#define LLMRUN_PASSES_DATA_PARALLEL_H

#include "passes/reduction_order.h"
#include "program/mesh.h"
#include "program/program.h"

struct data_parallel_form {
    struct mesh mesh;
    int32_t zero;                      /* stage: 0 or 1; over the groups MESH_SHARDS of the mesh */
    const struct reduction_form *sums; /* of this rank */
};

/* What an evaluation makes of this rank's sequences is gathered: the result of all ranks is "<its name>.all". */
#define DATA_PARALLEL_ALL "all"

/* Leaves a program alone whose mesh has one rank. */
int pass_data_parallel(struct program *program, const struct data_parallel_form *form, struct error *error);

#endif
