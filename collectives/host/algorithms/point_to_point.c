#include "algorithms/algorithms.h"

int32_t point_to_point(struct llmrun_request *request, const struct llmrun_transfer *transfer)
{
    if (request->operation == OPERATION_SEND)
        schedule_send(request, 0, transfer->peer, span_of(&transfer->send));
    else
        schedule_receive(request, 0, transfer->peer, span_of(&transfer->receive));
    return 1;
}
