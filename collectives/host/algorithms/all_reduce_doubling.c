/* Recursive doubling: in round k rank r exchanges its sum with rank r xor 2^k. Both add the same two numbers, so all
 * ranks end with the same bits. */
#include "algorithms/algorithms.h"

int32_t all_reduce_doubling(struct llmrun_request *request, int32_t round, const struct llmrun_reduction *reduction,
                            const int64_t *bytes)
{
    const int32_t rank = request->communicator->rank, ranks = request->communicator->ranks;
    const char *sum = (const char *)(uintptr_t)reduction->send;
    int64_t all = 0;
    char *memory;

    for (int32_t i = 0; i < ranks; i++)
        all += bytes[i];
    memory = schedule_memory(request, 2 * all);
    if (memory == NULL)
        return round;
    for (int32_t far = 1, k = 0; far < ranks; far *= 2, k++, round++) {
        char *next = memory + (k & 1) * all; /* the sum before is still being sent */

        schedule_receive_join(request, round, rank ^ far, span_of_memory(next, all), sum, reduction);
        schedule_send(request, round, rank ^ far, span_of_memory(sum, all));
        sum = next;
    }
    schedule_copy(request, round, span_of_memory((const char *)(uintptr_t)reduction->receive, all),
                  span_of_memory(sum, all));
    return round + 1;
}
