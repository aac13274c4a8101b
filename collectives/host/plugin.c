/* The table of the plugin: descriptions are read and checked here, before anything is done. */
#include <llmrun/plugin.h>

#include "arithmetic.h"
#include "count.h"
#include "group.h"
#include "meeting.h"
#include "request.h"

#ifdef LLMRUN_HOST_FAULTS
#define PLUGIN_NAME "host-faulty"
#else
#define PLUGIN_NAME "host"
#endif

LLMRUN_PLUGIN_NOTE(LLMRUN_PLUGIN_COLLECTIVE, PLUGIN_NAME, "0.1.0");

static const struct llmrun_host *host; /* lives as long as the process */

static int32_t create(const struct llmrun_communicator_desc *from, struct llmrun_communicator **communicator,
                      struct llmrun_error *error)
{
    struct llmrun_communicator_desc desc;
    struct options options;
    int32_t code;

    llmrun_copy_struct(&desc, sizeof desc, from, llmrun_size_of(from));
    if (desc.ranks < 1 || desc.rank < 0 || desc.rank >= desc.ranks)
        return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "rank %d of %d", desc.rank, desc.ranks);
    if (desc.ranks > RANKS_MOST || desc.domain == NULL || strcmp(desc.domain, "host") != 0)
        return llmrun_fail(error, LLMRUN_ERROR_UNSUPPORTED,
                           "%d ranks in memory domain '%s'; up to %d in 'host' are possible", desc.ranks,
                           desc.domain != NULL ? desc.domain : "", RANKS_MOST);
    code = options_read(&desc, &options, error);
    return code == LLMRUN_OK ? group_create(&desc, &options, communicator, error) : code;
}

static int32_t split(struct llmrun_communicator *communicator, int32_t color, int32_t key, int64_t timeout_ns,
                     struct llmrun_communicator **part, struct llmrun_error *error)
{
    return group_split(communicator, color, key, timeout_ns, part, error);
}

/* A call that fails in a group fails the communicator. */
static int32_t answer(struct llmrun_communicator *communicator, int32_t code, const struct llmrun_error *error)
{
    if (code != LLMRUN_OK && communicator->grouping)
        communicator_fail(communicator, code, "%s", error != NULL ? error->message : "a call in a group failed");
    return code;
}

/* ---- transfers ---- */

/* Reads a description, without what the operation does not use. */
static void read_transfer(const struct llmrun_communicator *communicator, enum operation operation,
                          const struct llmrun_transfer *from, struct llmrun_transfer *own)
{
    const bool root = operation == OPERATION_BROADCAST && from->peer == communicator->rank;

    llmrun_copy_struct(own, sizeof *own, from, llmrun_size_of(from));
    if (operation != OPERATION_ALL_TO_ALL)
        own->send_bytes = NULL;
    if (operation != OPERATION_ALL_TO_ALL && operation != OPERATION_ALL_GATHER)
        own->receive_bytes = NULL;
    if (operation == OPERATION_RECEIVE || (operation == OPERATION_BROADCAST && !root))
        memset(&own->send, 0, sizeof own->send);
    if (operation == OPERATION_SEND || root)
        memset(&own->receive, 0, sizeof own->receive);
}

static int32_t check_transfer(const struct llmrun_communicator *communicator, enum operation operation,
                              const struct llmrun_transfer *transfer, struct llmrun_error *error)
{
    const int32_t ranks = communicator->ranks, peer = transfer->peer;
    const bool gathers = operation == OPERATION_ALL_GATHER, exchanges = operation == OPERATION_ALL_TO_ALL;
    const bool root = operation == OPERATION_BROADCAST;

    if (transfer->stream != 0)
        return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "%s on a stream; this collective is host-driven",
                           operation_name(operation));
    if (gathers || exchanges ? peer != -1 : peer < 0 || peer >= ranks || (!root && peer == communicator->rank))
        return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "%s with peer %d by rank %d of %d", operation_name(operation),
                           peer, communicator->rank, ranks);
    if (!span_allows(&transfer->send, transfer->send_bytes, exchanges ? ranks : 1) ||
        !span_allows(&transfer->receive, transfer->receive_bytes, gathers || exchanges ? ranks : 1))
        return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT,
                           "%s: a side has no address, overlapping blocks or negative or too many bytes",
                           operation_name(operation));
    return LLMRUN_OK;
}

static int32_t post_transfer(struct llmrun_communicator *communicator, enum operation operation,
                             const struct llmrun_transfer *from, struct llmrun_request **request,
                             struct llmrun_error *error)
{
    struct llmrun_transfer transfer;
    int32_t code;

    read_transfer(communicator, operation, from, &transfer);
    code = check_transfer(communicator, operation, &transfer, error);
    if (code == LLMRUN_OK)
        code = request_post_transfer(communicator->engine, communicator, operation, &transfer, request, error);
    return answer(communicator, code, error);
}

/* ---- reductions ---- */

static int32_t check_reduction(const struct llmrun_reduction *reduction, enum operation operation,
                               struct llmrun_error *error)
{
    if (arithmetic_width(reduction->dtype) == 0)
        return llmrun_fail(error, LLMRUN_ERROR_UNSUPPORTED, "%s of type %u; f32, bf16, f16 and u32 are reduced",
                           operation_name(operation), reduction->dtype);
    if (reduction->operation != LLMRUN_REDUCE_SUM && reduction->operation != LLMRUN_REDUCE_MAX)
        return llmrun_fail(error, LLMRUN_ERROR_UNSUPPORTED, "%s by the reduction %u; there are sum and max",
                           operation_name(operation), reduction->operation);
    if (reduction->stream != 0)
        return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "%s on a stream; this collective is host-driven",
                           operation_name(operation));
    return LLMRUN_OK;
}

/* The bytes of each rank's part: of an all_reduce, elements as equally as they divide. */
static int32_t divide(const struct llmrun_reduction *reduction, enum operation operation, int32_t ranks, int64_t *bytes,
                      struct llmrun_error *error)
{
    const int64_t width = arithmetic_width(reduction->dtype);
    int64_t all = 0;

    for (int32_t i = 0; i < ranks; i++) {
        int64_t count = reduction->counts != NULL ? reduction->counts[i] : reduction->count;

        if (operation == OPERATION_ALL_REDUCE)
            count = reduction->count / ranks + (i < reduction->count % ranks);
        if (count < 0 || __builtin_mul_overflow(count, width, &bytes[i]) || __builtin_add_overflow(all, bytes[i], &all))
            return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "%s of %lld elements by rank %d",
                               operation_name(operation), (long long)count, i);
    }
    if (all > 0 && (reduction->send == 0 || (reduction->receive == 0 && operation == OPERATION_ALL_REDUCE)))
        return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "%s: a side has no address", operation_name(operation));
    return LLMRUN_OK;
}

static int32_t post_reduction(struct llmrun_communicator *communicator, enum operation operation,
                              const struct llmrun_reduction *from, struct llmrun_request **request,
                              struct llmrun_error *error)
{
    struct llmrun_reduction reduction;
    int64_t bytes[RANKS_MOST];
    int32_t code;

    llmrun_copy_struct(&reduction, sizeof reduction, from, llmrun_size_of(from));
    if (operation == OPERATION_ALL_REDUCE)
        reduction.counts = NULL;
    code = check_reduction(&reduction, operation, error);
    if (code == LLMRUN_OK)
        code = divide(&reduction, operation, communicator->ranks, bytes, error);
    if (code == LLMRUN_OK)
        code = request_post_reduction(communicator->engine, communicator, operation, &reduction, bytes, request, error);
    return answer(communicator, code, error);
}

#define OPERATION(name, form, operation)                                                                               \
    static int32_t name(struct llmrun_communicator *communicator, const struct llmrun_##form *form,                    \
                        struct llmrun_request **request, struct llmrun_error *error)                                   \
    {                                                                                                                  \
        return post_##form(communicator, operation, form, request, error);                                             \
    }

OPERATION(all_reduce, reduction, OPERATION_ALL_REDUCE)
OPERATION(reduce_scatter, reduction, OPERATION_REDUCE_SCATTER)
OPERATION(all_gather, transfer, OPERATION_ALL_GATHER)
OPERATION(broadcast, transfer, OPERATION_BROADCAST)
OPERATION(all_to_all, transfer, OPERATION_ALL_TO_ALL)
OPERATION(send_to, transfer, OPERATION_SEND)
OPERATION(receive_from, transfer, OPERATION_RECEIVE)

/* ---- the rest ---- */

static int32_t status(struct llmrun_communicator *communicator, struct llmrun_error *error)
{
    engine_try(communicator->engine);
    return communicator_failure(communicator, error);
}

/* No operation waits for another when it is posted, so nothing has to be started together. */
static int32_t group_begin(struct llmrun_communicator *communicator, struct llmrun_error *error)
{
    if (communicator->grouping)
        return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "a group in a group");
    communicator->grouping = true;
    return LLMRUN_OK;
}

static int32_t group_end(struct llmrun_communicator *communicator, struct llmrun_error *error)
{
    if (!communicator->grouping)
        return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "no group was begun");
    communicator->grouping = false;
    return communicator_failure(communicator, error);
}

static int32_t barrier(struct llmrun_communicator *communicator, int64_t timeout_ns, struct llmrun_error *error)
{
    const struct llmrun_transfer nothing = {.peer = -1};

    return request_call(communicator->engine, communicator, OPERATION_BARRIER, &nothing, timeout_ns, error);
}

static int32_t wait(struct llmrun_request *request, int64_t timeout_ns, struct llmrun_error *error)
{
    return request_wait(request->communicator->engine, request, timeout_ns, error);
}

static int32_t cancel(struct llmrun_request *request, struct llmrun_error *error)
{
    (void)error;
    request_cancel(request->communicator->engine, request);
    return LLMRUN_OK;
}

static void end_all(struct llmrun_communicator *communicator)
{
    communicator_fail(communicator, LLMRUN_ERROR_ABORTED, "rank %d aborted", communicator->rank);
    engine_wake(communicator->engine);
}

static void destroy(struct llmrun_communicator *communicator)
{
    if (communicator == NULL)
        return;
    count_write(communicator, host);
    group_destroy(communicator);
}

static const struct llmrun_collective_table table = {
    .size = sizeof table,
    .create = create,
    .split = split,
    .all_reduce = all_reduce,
    .reduce_scatter = reduce_scatter,
    .all_gather = all_gather,
    .broadcast = broadcast,
    .all_to_all = all_to_all,
    .send = send_to,
    .receive = receive_from,
    .group_begin = group_begin,
    .group_end = group_end,
    .barrier = barrier,
    .wait = wait,
    .cancel = cancel,
    .status = status,
    .abort = end_all,
    .destroy = destroy,
};

static const char *const domains[] = {"host", NULL};

static const struct llmrun_collective collective = {
    .size = sizeof collective,
    .abi_major = LLMRUN_ABI_MAJOR,
    .abi_minor = LLMRUN_ABI_MINOR,
    .mode = LLMRUN_COLLECTIVE_HOST_DRIVEN,
    .name = PLUGIN_NAME,
    .version = "0.1.0",
    .domains = domains,
    .table = &table,
};

const struct llmrun_collective *llmrun_collective_entry(const struct llmrun_host *from, struct llmrun_error *error)
{
    host = from;
    return llmrun_check_host(from, PLUGIN_NAME, error) == LLMRUN_OK ? &collective : NULL;
}
