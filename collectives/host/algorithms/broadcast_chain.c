/* Segments go from rank to rank: while one is passed on the next is received. */
#include "algorithms/algorithms.h"

#define SEGMENT_BYTES 524288

int32_t broadcast_chain(struct llmrun_request *request, int32_t round, const struct llmrun_transfer *transfer)
{
    const int32_t ranks = request->communicator->ranks, rank = request->communicator->rank;
    const int32_t place = (rank + ranks - transfer->peer) % ranks;
    const struct span whole = span_of(place == 0 ? &transfer->send : &transfer->receive);
    const int64_t segments = (whole.bytes + SEGMENT_BYTES - 1) / SEGMENT_BYTES;

    /* Rank `place` sends segment s in round s + place, and receives it in the round before. */
    for (int64_t i = 0; i <= segments; i++) {
        const int64_t first = i * SEGMENT_BYTES, before = first - SEGMENT_BYTES;
        const int32_t now = round + (int32_t)i + place - 1;

        if (place > 0 && i < segments)
            schedule_receive(
                request, now, (rank + ranks - 1) % ranks,
                span_slice(&whole, first, whole.bytes - first < SEGMENT_BYTES ? whole.bytes - first : SEGMENT_BYTES));
        if (place < ranks - 1 && i > 0)
            schedule_send(request, now, (rank + 1) % ranks,
                          span_slice(&whole, before,
                                     whole.bytes - before < SEGMENT_BYTES ? whole.bytes - before : SEGMENT_BYTES));
    }
    return round + (int32_t)segments + ranks;
}
