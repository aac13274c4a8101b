/* The loss over a vocabulary that the ranks of tp split (docs/numerics.md, "Loss"): for one chunk of tokens after the
 * other
 *
 *     logits     = matmul(x, w)                       f32 [chunk, this rank's rows of w]
 *     statistics = loss_statistics(logits, targets)   then all_gather: the one exchange
 *     losses, dlogits = loss_gradient(logits, statistics, ...)
 *     dx's term  = matmul_input_grad(dlogits, w)      a sum over vocabulary parts
 *     dw         = matmul_weight_grad(dlogits, x)     this rank's rows
 *
 * and dx once all chunks are done. Without gradients it ends with the losses.
 *
 * dw of a batch part is one chain over its tokens: chunks add to it in their order. Where a microbatch has several
 * batch parts and a chunk is less than it, their sums meet in a binary counter: "<dw>.pending<level>", scratch. */
#ifndef LLMRUN_PASSES_SHARD_LOSS_H
#define LLMRUN_PASSES_SHARD_LOSS_H

#include "passes/shard_types.h"

/* Writes op number `op` of the program, a linear_cross_entropy, in these. */
void shard_loss(struct shard *shard, int32_t op);

#endif
