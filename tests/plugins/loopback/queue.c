#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "loopback.h"

void group_fail(struct group *group, int32_t code, const char *format, ...)
{
    va_list arguments;

    if (group->failure.code == LLMRUN_OK) {
        group->failure.code = code;
        va_start(arguments, format);
        vsnprintf(group->failure.message, sizeof group->failure.message, format, arguments);
        va_end(arguments);
    }
    for (; group->requests != NULL; group->requests = group->requests->next) {
        group->requests->done = true;
        group->requests->code = group->failure.code;
    }
    pthread_cond_broadcast(&group->changed);
}

static void unlink_request(const struct llmrun_request *request)
{
    struct llmrun_request **link = &request->group->requests;

    while (*link != NULL && *link != request)
        link = &(*link)->next;
    if (*link != NULL)
        *link = request->next;
}

/* Finds what `request`, the last in the queue, completes: the requests of all ranks in their order, or the send and the
 * receive. Returns how many, 0 where some are not there yet. */
static int32_t gather(struct llmrun_request *request, struct llmrun_request **all)
{
    const int32_t ranks = request->group->ranks;
    int32_t found = 0;

    for (struct llmrun_request *other = request->group->requests; other != NULL; other = other->next) {
        if (request->call >= 0 && other->call == request->call) {
            all[other->rank] = other;
            found++;
        }
        if (request->call < 0 && other->call < 0 && other->kind != request->kind &&
            other->rank == request->transfer.peer && other->transfer.peer == request->rank) {
            all[request->kind == SEND ? 0 : 1] = request;
            all[request->kind == SEND ? 1 : 0] = other;
            return 2;
        }
    }
    return found == ranks ? ranks : 0;
}

/* Carries out what the last request in the queue completes. */
static void progress(struct llmrun_request *request)
{
    struct llmrun_request *all[RANKS_MAX];
    struct llmrun_error error = {0};
    const int32_t count = gather(request, all);
    int32_t code = LLMRUN_OK;

    for (int32_t i = 0; i < count && request->call >= 0; i++)
        if (all[i]->kind != request->kind)
            code = llmrun_fail(&error, LLMRUN_ERROR_ARGUMENT, "rank %d calls another operation than rank %d", i,
                               request->rank);
    if (count > 0 && code == LLMRUN_OK)
        code = move(all, count, &error);
    if (code != LLMRUN_OK) {
        group_fail(request->group, code, "%s", error.message);
        return;
    }
    for (int32_t i = 0; i < count; i++) {
        unlink_request(all[i]);
        all[i]->done = true;
    }
    if (count > 0)
        pthread_cond_broadcast(&request->group->changed);
}

int32_t post(struct llmrun_communicator *communicator, const struct llmrun_request *draft,
             struct llmrun_request **request, struct llmrun_error *error)
{
    struct group *group = communicator->group;
    struct llmrun_request **link, *made = malloc(sizeof *made);
    int32_t code;

    if (made == NULL)
        return llmrun_fail(error, LLMRUN_ERROR_MEMORY, "no memory for a request");
    *made = *draft;
    made->group = group;
    made->rank = communicator->rank;
    made->call = draft->kind == SEND || draft->kind == RECEIVE ? -1 : communicator->calls++;
    if (draft->transfer.send_bytes != NULL)
        made->transfer.send_bytes = made->sizes[0];
    if (draft->transfer.receive_bytes != NULL)
        made->transfer.receive_bytes = made->sizes[1];
    if (draft->reduction.counts != NULL)
        made->reduction.counts = made->sizes[0];
    pthread_mutex_lock(&group->mutex);
    code = group->failure.code;
    if (code == LLMRUN_OK) {
        link = &group->requests;
        while (*link != NULL)
            link = &(*link)->next;
        *link = made;
        progress(made);
        *request = made;
    } else {
        llmrun_fail(error, code, "%s", group->failure.message);
        free(made);
    }
    pthread_mutex_unlock(&group->mutex);
    return code;
}

int32_t request_wait(struct llmrun_request *request, int64_t timeout_ns, struct llmrun_error *error)
{
    struct group *group = request->group;
    struct timespec until;
    int32_t code = LLMRUN_OK;
    bool late = false;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ns / 1000000000 + (until.tv_nsec + timeout_ns % 1000000000) / 1000000000;
    until.tv_nsec = (until.tv_nsec + timeout_ns % 1000000000) % 1000000000;
    pthread_mutex_lock(&group->mutex);
    while (!request->done && !late) {
        if (timeout_ns < 0)
            pthread_cond_wait(&group->changed, &group->mutex);
        else
            late = pthread_cond_timedwait(&group->changed, &group->mutex, &until) != 0;
    }
    late = !request->done;
    if (late)
        code = llmrun_fail(error, LLMRUN_ERROR_TIMEOUT, "rank %d waits for other ranks", request->rank);
    else if (request->code != LLMRUN_OK)
        code = llmrun_fail(error, request->code, "%s", group->failure.message);
    pthread_mutex_unlock(&group->mutex);
    if (!late)
        free(request);
    return code;
}

int32_t request_cancel(struct llmrun_request *request, struct llmrun_error *error)
{
    struct group *group = request->group;

    (void)error;
    pthread_mutex_lock(&group->mutex);
    if (!request->done)
        group_fail(group, LLMRUN_ERROR_ABORTED, "rank %d cancelled an operation", request->rank);
    pthread_mutex_unlock(&group->mutex);
    free(request);
    return LLMRUN_OK;
}
