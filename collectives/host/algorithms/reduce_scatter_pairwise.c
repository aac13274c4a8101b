/* In round k a rank gets its part of the rank k before it, and adds it to its sum: always in the same order. */
#include "algorithms/algorithms.h"

static struct span part_of(const char *parts, const int64_t *bytes, int32_t rank)
{
    for (int32_t i = 0; i < rank; i++)
        parts += bytes[i];
    return span_of_memory(parts, bytes[rank]);
}

int32_t reduce_scatter_pairwise(struct llmrun_request *request, int32_t round, const struct llmrun_reduction *reduction,
                                const int64_t *bytes)
{
    const int32_t rank = request->communicator->rank, ranks = request->communicator->ranks;
    const char *parts = (const char *)(uintptr_t)reduction->send;
    const struct span own = part_of(parts, bytes, rank);
    const struct span sum = span_of_memory((const char *)(uintptr_t)reduction->receive, bytes[rank]);
    const char *base = (const char *)(uintptr_t)own.side.address;

    if (ranks == 1)
        schedule_copy(request, round, sum, own);
    for (int32_t i = 1; i < ranks; i++, round++) {
        const int32_t to = (rank + i) % ranks, from = (rank + ranks - i) % ranks;

        schedule_receive_join(request, round, from, sum, base, reduction);
        schedule_send(request, round, to, part_of(parts, bytes, to));
        base = (const char *)(uintptr_t)sum.side.address;
    }
    return round;
}
