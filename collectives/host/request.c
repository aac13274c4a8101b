#include "request.h"

#include <stdlib.h>

#include <llmrun/plugin.h>

#include "choose.h"
#include "fault.h"
#include "schedule.h"

static void destroy(struct llmrun_request *request)
{
    free(request->steps);
    free(request->memory);
    free(request);
}

/* With the mutex held. NULL, with *code set, where the communicator has failed or there is no memory. */
static struct llmrun_request *begin(struct llmrun_communicator *communicator, enum operation operation, int32_t peer,
                                    int32_t *code, struct llmrun_error *error)
{
    struct llmrun_request *request;

    *code = communicator_failure(communicator, error);
    if (*code != LLMRUN_OK)
        return NULL;
    request = calloc(1, sizeof *request);
    if (request == NULL) {
        *code = llmrun_fail(error, LLMRUN_ERROR_MEMORY, "there is no memory for an operation");
        communicator_fail(communicator, *code, "rank %d has no memory for an operation", communicator->rank);
        return NULL;
    }
    request->communicator = communicator;
    request->operation = operation;
    if (operation == OPERATION_SEND)
        request->number = BETWEEN_TWO | (uint64_t)communicator->sends[peer]++;
    else if (operation == OPERATION_RECEIVE)
        request->number = BETWEEN_TWO | (uint64_t)communicator->receives[peer]++;
    else
        request->number = (uint64_t)communicator->posted++;
    communicator->calls[operation]++;
    return request;
}

/* With the mutex held. Starts the request, whose steps are there. */
static int32_t start(struct engine *engine, struct llmrun_request *request, char *result,
                     struct llmrun_request **posted, struct llmrun_error *error)
{
    struct llmrun_communicator *communicator = request->communicator;
    struct llmrun_request **last = &communicator->requests;

    if (!schedule_is_whole(request)) {
        communicator_fail(communicator, LLMRUN_ERROR_MEMORY, "rank %d has no memory for the steps of %s",
                          communicator->rank, operation_name(request->operation));
        destroy(request);
        return communicator_failure(communicator, error);
    }
    fault_plan(request, result);
    while (*last != NULL)
        last = &(*last)->next;
    *last = request;
    schedule_advance(request, engine_now_ns());
    if (communicator->mesh->held != NULL)
        engine_wake(engine); /* who sleeps knows nothing of the time when these are due */
    *posted = request;
    return LLMRUN_OK;
}

int32_t request_post_transfer(struct engine *engine, struct llmrun_communicator *communicator, enum operation operation,
                              const struct llmrun_transfer *transfer, struct llmrun_request **request,
                              struct llmrun_error *error)
{
    struct llmrun_request *made;
    int32_t code;

    engine_lock(engine);
    made = begin(communicator, operation, transfer->peer, &code, error);
    if (made != NULL) {
        choose_transfer(made, transfer);
        code = start(engine, made, (char *)(uintptr_t)transfer->receive.address, request, error);
    }
    engine_unlock(engine);
    return code;
}

int32_t request_post_reduction(struct engine *engine, struct llmrun_communicator *communicator,
                               enum operation operation, const struct llmrun_reduction *reduction, const int64_t *bytes,
                               struct llmrun_request **request, struct llmrun_error *error)
{
    struct llmrun_request *made;
    int32_t code;

    engine_lock(engine);
    made = begin(communicator, operation, -1, &code, error);
    if (made != NULL) {
        choose_reduction(made, reduction, bytes);
        code = start(engine, made, (char *)(uintptr_t)reduction->receive, request, error);
    }
    engine_unlock(engine);
    return code;
}

static void end(struct llmrun_request *request)
{
    struct llmrun_request **place = &request->communicator->requests;

    while (*place != request)
        place = &(*place)->next;
    *place = request->next;
    destroy(request);
}

static int32_t say_late(struct engine *engine, const struct llmrun_request *request, struct llmrun_error *error)
{
    const struct llmrun_communicator *communicator = request->communicator;
    int32_t awaited;

    engine_lock(engine);
    awaited = schedule_awaited(request);
    engine_unlock(engine);
    if (awaited < 0)
        return llmrun_fail(error, LLMRUN_ERROR_TIMEOUT, "%s: rank %d has not ended it in time",
                           operation_name(request->operation), communicator->rank);
    return llmrun_fail(error, LLMRUN_ERROR_TIMEOUT, "%s: rank %d waits for rank %d", operation_name(request->operation),
                       communicator->rank, awaited);
}

int32_t request_wait(struct engine *engine, struct llmrun_request *request, int64_t timeout_ns,
                     struct llmrun_error *error)
{
    int32_t code;

    if (!engine_wait(engine, request, timeout_ns))
        return say_late(engine, request, error);
    engine_lock(engine);
    code = request->code;
    if (code != LLMRUN_OK) {
        code = communicator_failure(request->communicator, error);
    } else if (request->late) {
        code = llmrun_fail(error, LLMRUN_ERROR_DEVICE, "%s failed by order", operation_name(request->operation));
        communicator_fail(request->communicator, code, "%s of rank %d failed by order",
                          operation_name(request->operation), request->communicator->rank);
    } else if (request->spoilt != NULL) {
        *request->spoilt ^= 1;
    }
    end(request);
    engine_unlock(engine);
    return code;
}

void request_cancel(struct engine *engine, struct llmrun_request *request)
{
    engine_lock(engine);
    if (!request->ended) {
        communicator_fail(request->communicator, LLMRUN_ERROR_ABORTED, "rank %d cancelled %s",
                          request->communicator->rank, operation_name(request->operation));
        engine_progress(engine);
    }
    end(request);
    engine_unlock(engine);
}

int32_t request_call(struct engine *engine, struct llmrun_communicator *communicator, enum operation operation,
                     const struct llmrun_transfer *transfer, int64_t timeout_ns, struct llmrun_error *error)
{
    struct llmrun_request *request = NULL;
    int32_t code = request_post_transfer(engine, communicator, operation, transfer, &request, error);

    if (code != LLMRUN_OK)
        return code;
    code = request_wait(engine, request, timeout_ns, error);
    if (code == LLMRUN_ERROR_TIMEOUT)
        request_cancel(engine, request);
    return code;
}
