/* Each rank sums one part, then all get all parts (Rabenseifner, Optimization of collective reduction operations,
 * 2004, with the exchanges in pairs). */
#include "algorithms/algorithms.h"

int32_t all_reduce_halves(struct llmrun_request *request, int32_t round, const struct llmrun_reduction *reduction,
                          const int64_t *bytes)
{
    const int32_t rank = request->communicator->rank;
    struct llmrun_reduction scatter = *reduction;
    struct llmrun_transfer gather = {.peer = -1, .receive = {reduction->receive, 1, 0, 0}, .receive_bytes = bytes};

    for (int32_t i = 0; i < rank; i++)
        scatter.receive += (uint64_t)bytes[i];
    gather.send = (struct llmrun_blocks){scatter.receive, 1, bytes[rank], 0};
    round = reduce_scatter_pairwise(request, round, &scatter, bytes);
    return all_gather_direct(request, round, &gather);
}
