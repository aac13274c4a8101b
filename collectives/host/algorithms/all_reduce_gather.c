/* All ranks get all terms and add them in the order of ranks: one round, for few bytes. */
#include "algorithms/algorithms.h"

int32_t all_reduce_gather(struct llmrun_request *request, int32_t round, const struct llmrun_reduction *reduction,
                          const int64_t *bytes)
{
    const int32_t rank = request->communicator->rank, ranks = request->communicator->ranks;
    struct span own, sum;
    int64_t all = 0;
    char *memory;

    for (int32_t i = 0; i < ranks; i++)
        all += bytes[i];
    own = span_of_memory((const char *)(uintptr_t)reduction->send, all);
    sum = span_of_memory((const char *)(uintptr_t)reduction->receive, all);
    memory = schedule_memory(request, ranks * all);
    if (memory == NULL)
        return round;
    schedule_copy(request, round, span_of_memory(memory + rank * all, all), own);
    for (int32_t i = 1; i < ranks; i++) {
        const int32_t to = (rank + i) % ranks, from = (rank + ranks - i) % ranks;

        schedule_receive(request, round, from, span_of_memory(memory + from * all, all));
        schedule_send(request, round, to, own);
    }
    round++;
    for (int32_t i = 1; i < ranks; i++, round++) /* a round each, for they follow one another */
        schedule_join(request, round, sum, i == 1 ? memory : (const char *)(uintptr_t)reduction->receive,
                      span_of_memory(memory + i * all, all), reduction);
    return round;
}
