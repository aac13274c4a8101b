/* Tensor and sequence parallelism (Megatron's: Shoeybi et al., arXiv 1909.08053; Korthikanti et al., arXiv 2205.05198):
 * makes of the whole model's program that of one rank of the axis tp. Values get their types over it
 * (program/sharding.h), and where the type at hand is not the one that an op takes stands a communication op. Runs
 * after the precision pass and before recomputation. Ranks' programs have the same ops and values in the same order;
 * parts and origins differ.
 *
 * One letter an op is split, chosen from its row of ops.def and the types of its operands alone: no model and no table
 * of names is known here. In this order:
 *  1. that on which a parameter, its cast or gradient, or a cache was split before;
 *  2. that on which an activation is split, but for positions: so a product over split features is row parallel;
 *  3. of a matrix of parameters that nothing has split, in a section of no gradients, its outputs (column parallel),
 *     where a later op sums over them before one needs them whole, or the host reads them; else rows that are looked
 * up;
 *  4. with sequence parallelism, positions, where an input is split on them.
 * An op that can lose none of these is the same on each rank. Parameters are split where the ops that use them split
 * them, and with them gradients, moments and casts; every factor that is split has equal parts.
 *
 * A sum over what is split is an f32 term, `<value>.partial`, with aligned parts of the sum. all_reduce, or with
 * sequence parallelism reduce_scatter over positions, makes of it `<value>.reduced`; `finish` then adds the bias,
 * rounds and activates. Where nothing of it is to be done the value itself is what the communication makes. A look-up
 * in split rows is a selection in the compute type; its addend is added behind. linear_cross_entropy:
 * passes/shard_loss.h.
 *
 * Other values it makes: `<value>.gathered` (whole), `<value>.part` (split). Rows of channels are split over positions,
 * or heads, and pass_combine makes a term of them and all_reduces it. Slots of norms are terms, zero where other ranks
 * write, and one all_reduce joins them, `grad_squares.joined`, before slot_tree. Without exact sums a rank's part of a
 * sum is one chain.
 *
 * Positions are split in forward and backward, in evaluation where its sequences divide, and never in prefill and
 * decode. */
#ifndef LLMRUN_PASSES_SHARD_H
#define LLMRUN_PASSES_SHARD_H

#include "passes/reduction_order.h"
#include "program/mesh.h"
#include "program/program.h"

struct shard_form {
    struct mesh mesh;
    bool sequence_parallel; /* what lies between blocks is split over positions */
    /* Tokens whose logits are there at once: whole sequences or equal pieces of one (an even number in bf16) that
     * divide a batch part of the microbatch, or all of it; an evaluation takes the most of these that is no more.
     * 0: the most of which a rank's logits take 8 MiB, at least 64. */
    int64_t loss_chunk;
    const struct reduction_form
        *sums; /* where sums are cut; with sums->exact ranks hold whole, aligned parts of them */
};

/* Leaves a program alone whose mesh has tp 1. STATUS_USAGE names what the ranks cannot share equally, its extent or
 * parts, and the nearest tp that works; the program is then as it was. The optimizer pass must have given norms the
 * slots of exact sums (update_policy.exact): ranks that share a tensor write slots of their own. */
int pass_shard(struct program *program, const struct shard_form *form, struct error *error);

#endif
