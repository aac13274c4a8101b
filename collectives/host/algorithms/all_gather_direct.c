/* Each rank sends its part to all others. */
#include "algorithms/algorithms.h"

int32_t all_gather_direct(struct llmrun_request *request, int32_t round, const struct llmrun_transfer *transfer)
{
    const int32_t rank = request->communicator->rank, ranks = request->communicator->ranks;
    const struct span own = span_of(&transfer->send);

    schedule_copy(request, round, span_of_part(&transfer->receive, transfer->receive_bytes, rank), own);
    for (int32_t i = 1; i < ranks; i++) { /* each begins with another, so that none is asked by all at once */
        const int32_t to = (rank + i) % ranks, from = (rank + ranks - i) % ranks;

        schedule_receive(request, round, from, span_of_part(&transfer->receive, transfer->receive_bytes, from));
        schedule_send(request, round, to, own);
    }
    return round + 1;
}
