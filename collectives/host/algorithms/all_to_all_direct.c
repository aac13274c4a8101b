/* Each rank sends each other its part. */
#include "algorithms/algorithms.h"

int32_t all_to_all_direct(struct llmrun_request *request, int32_t round, const struct llmrun_transfer *transfer)
{
    const int32_t rank = request->communicator->rank, ranks = request->communicator->ranks;

    schedule_copy(request, round, span_of_part(&transfer->receive, transfer->receive_bytes, rank),
                  span_of_part(&transfer->send, transfer->send_bytes, rank));
    for (int32_t i = 1; i < ranks; i++) {
        const int32_t to = (rank + i) % ranks, from = (rank + ranks - i) % ranks;

        schedule_receive(request, round, from, span_of_part(&transfer->receive, transfer->receive_bytes, from));
        schedule_send(request, round, to, span_of_part(&transfer->send, transfer->send_bytes, to));
    }
    return round + 1;
}
