/* A binomial tree: in round k the first 2^k ranks, counted from the root, send to as many others. */
#include "algorithms/algorithms.h"

int32_t broadcast_tree(struct llmrun_request *request, int32_t round, const struct llmrun_transfer *transfer)
{
    const int32_t ranks = request->communicator->ranks, root = transfer->peer;
    const int32_t place = (request->communicator->rank + ranks - root) % ranks;
    const struct span whole = span_of(place == 0 ? &transfer->send : &transfer->receive);

    for (int64_t have = 1; have < ranks; have *= 2) {
        if (place < have && place + have < ranks)
            schedule_send(request, round, (int32_t)((place + have + root) % ranks), whole);
        else if (place >= have && place < 2 * have)
            schedule_receive(request, round, (int32_t)((place - have + root) % ranks), whole);
        round++;
    }
    return round;
}
