/* How an operation becomes messages: one algorithm a file, from which choose.h takes one. Each adds its steps to the
 * request from `round` on and returns the first round that it leaves free. All ranks choose the same one, so it may
 * depend only on what they agree on: the form of the call, its bytes, the number of ranks.
 *
 * Bytes are those that a rank sends of n ranks; T is the sum of all parts. */
#ifndef LLMRUN_HOST_ALGORITHMS_H
#define LLMRUN_HOST_ALGORITHMS_H

#include "schedule.h"

typedef int32_t transfer_algorithm(struct llmrun_request *request, int32_t round,
                                   const struct llmrun_transfer *transfer);
/* `bytes`: of each rank's part; parts lie one after the other. */
typedef int32_t reduction_algorithm(struct llmrun_request *request, int32_t round,
                                    const struct llmrun_reduction *reduction, const int64_t *bytes);

transfer_algorithm all_gather_direct;        /* 1 round; (n - 1) x its own part */
transfer_algorithm all_gather_ring;          /* n - 1 rounds; T less a part; to one neighbour only */
transfer_algorithm all_to_all_direct;        /* 1 round; what goes to the others */
transfer_algorithm broadcast_tree;           /* log n rounds; T x children */
transfer_algorithm broadcast_chain;          /* segments through a chain; T, the last rank 0 */
reduction_algorithm reduce_scatter_pairwise; /* n - 1 rounds; T less its own part */
reduction_algorithm all_reduce_doubling;     /* n a power of 2; log n rounds; T each */
reduction_algorithm all_reduce_gather;       /* 1 round; (n - 1) T */
reduction_algorithm all_reduce_halves;       /* reduce_scatter_pairwise, then all_gather_direct: 2 T (n - 1) / n */

int32_t barrier_dissemination(struct llmrun_request *request); /* log n rounds; 0 */
int32_t point_to_point(struct llmrun_request *request, const struct llmrun_transfer *transfer);

#endif
