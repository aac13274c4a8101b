/* In round k rank r tells rank r + 2^k that it and those it heard of have come (Hensgen, Finkel and Manber, Two
 * algorithms for barrier synchronization, 1988). */
#include "algorithms/algorithms.h"

int32_t barrier_dissemination(struct llmrun_request *request)
{
    const int32_t rank = request->communicator->rank, ranks = request->communicator->ranks;
    int32_t round = 0;

    for (int64_t far = 1; far < ranks; far *= 2, round++) {
        schedule_receive(request, round, (int32_t)((rank + ranks - far) % ranks), span_of_memory(NULL, 0));
        schedule_send(request, round, (int32_t)((rank + far) % ranks), span_of_memory(NULL, 0));
    }
    return round;
}
