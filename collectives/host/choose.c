#include "choose.h"

#include "algorithms/algorithms.h"

#define ANY INT64_MAX

enum { EVERYWHERE, SHARED_MEMORY, POWER_OF_2 };

struct rule {
    enum operation operation;
    int only;     /* where the rule holds */
    int64_t most; /* bytes of all parts together */
    transfer_algorithm *transfer;
    reduction_algorithm *reduction;
};

/* The first that holds counts. In shared memory data cross once, whoever reads them, so few rounds win; over networks a
 * chain or ring keeps one link busy in each direction, and large sends from all to all would meet at a receiver. */
static const struct rule rules[] = {
    {OPERATION_ALL_GATHER, SHARED_MEMORY, ANY, all_gather_direct, NULL},
    {OPERATION_ALL_GATHER, EVERYWHERE, 262144, all_gather_direct, NULL},
    {OPERATION_ALL_GATHER, EVERYWHERE, ANY, all_gather_ring, NULL},
    {OPERATION_SPLIT, EVERYWHERE, ANY, all_gather_direct, NULL},
    {OPERATION_ALL_TO_ALL, EVERYWHERE, ANY, all_to_all_direct, NULL},
    {OPERATION_BROADCAST, EVERYWHERE, 262144, broadcast_tree, NULL},
    {OPERATION_BROADCAST, EVERYWHERE, ANY, broadcast_chain, NULL},
    {OPERATION_REDUCE_SCATTER, EVERYWHERE, ANY, NULL, reduce_scatter_pairwise},
    {OPERATION_ALL_REDUCE, POWER_OF_2, 16384, NULL, all_reduce_doubling},
    {OPERATION_ALL_REDUCE, EVERYWHERE, 4096, NULL, all_reduce_gather},
    {OPERATION_ALL_REDUCE, EVERYWHERE, ANY, NULL, all_reduce_halves},
};

static const struct rule *find(const struct llmrun_request *request, int64_t bytes)
{
    const int32_t ranks = request->communicator->ranks;
    const struct rule *rule = rules;

    while (rule->operation != request->operation || bytes > rule->most ||
           (rule->only == SHARED_MEMORY && !request->communicator->mesh->shared) ||
           (rule->only == POWER_OF_2 && (ranks & (ranks - 1)) != 0))
        rule++;
    return rule;
}

/* The bytes that all ranks' parts have together. */
static int64_t bytes_of(const struct llmrun_request *request, const struct llmrun_transfer *transfer)
{
    const struct llmrun_blocks *side = &transfer->receive;
    int64_t bytes = 0;

    if (request->operation == OPERATION_BROADCAST) {
        side = transfer->peer == request->communicator->rank ? &transfer->send : side;
        return side->blocks * side->bytes;
    }
    for (int32_t i = 0; i < request->communicator->ranks; i++)
        bytes += side->blocks * (transfer->receive_bytes != NULL ? transfer->receive_bytes[i] : side->bytes);
    return bytes;
}

void choose_transfer(struct llmrun_request *request, const struct llmrun_transfer *transfer)
{
    if (request->operation == OPERATION_SEND || request->operation == OPERATION_RECEIVE)
        point_to_point(request, transfer);
    else if (request->operation == OPERATION_BARRIER)
        barrier_dissemination(request);
    else
        find(request, bytes_of(request, transfer))->transfer(request, 0, transfer);
}

void choose_reduction(struct llmrun_request *request, const struct llmrun_reduction *reduction, const int64_t *bytes)
{
    int64_t all = 0;

    for (int32_t i = 0; i < request->communicator->ranks; i++)
        all += bytes[i];
    find(request, all)->reduction(request, 0, reduction, bytes);
}
