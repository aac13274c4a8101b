/* In each round a rank passes on to its right what it got last from its left (Chan, Heimlich, Purkayastha and van de
 * Geijn, Collective communication: theory, practice, and experience, 2007, "bucket"). */
#include "algorithms/algorithms.h"

int32_t all_gather_ring(struct llmrun_request *request, int32_t round, const struct llmrun_transfer *transfer)
{
    const int32_t rank = request->communicator->rank, ranks = request->communicator->ranks;
    const int32_t right = (rank + 1) % ranks, left = (rank + ranks - 1) % ranks;
    struct span next = span_of(&transfer->send);

    schedule_copy(request, round, span_of_part(&transfer->receive, transfer->receive_bytes, rank), next);
    for (int32_t i = 1; i < ranks; i++) {
        const struct span part = span_of_part(&transfer->receive, transfer->receive_bytes, (rank + ranks - i) % ranks);

        schedule_receive(request, round, left, part);
        schedule_send(request, round, right, next);
        next = part;
        round++;
    }
    return round;
}
