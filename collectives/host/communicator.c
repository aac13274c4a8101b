#include "communicator.h"

#include <stdarg.h>
#include <stdlib.h>

#include <llmrun/plugin.h>

const char *operation_name(enum operation operation)
{
    static const char *const names[] = {"all_reduce", "reduce_scatter", "all_gather", "broadcast", "all_to_all",
                                        "send",       "receive",        "barrier",    "split"};

    return names[operation];
}

struct llmrun_communicator *communicator_create(struct mesh *mesh, uint64_t context, int32_t rank, int32_t ranks,
                                                const int32_t *members)
{
    struct llmrun_communicator *made = calloc(1, sizeof *made);

    if (made == NULL)
        return NULL;
    made->members = calloc((size_t)ranks, sizeof *made->members);
    made->sends = calloc((size_t)ranks, sizeof *made->sends);
    made->receives = calloc((size_t)ranks, sizeof *made->receives);
    pthread_mutex_init(&made->failure_mutex, NULL);
    made->mesh = mesh;
    made->context = context;
    made->rank = rank;
    made->ranks = ranks;
    made->next = mesh->communicators;
    mesh->communicators = made;
    if (made->members == NULL || made->sends == NULL || made->receives == NULL) {
        communicator_destroy(made);
        return NULL;
    }
    for (int32_t i = 0; i < ranks; i++)
        made->members[i] = members != NULL ? members[i] : i;
    return made;
}

void communicator_destroy(struct llmrun_communicator *communicator)
{
    struct llmrun_communicator **place = &communicator->mesh->communicators;

    while (*place != communicator)
        place = &(*place)->next;
    *place = communicator->next;
    pthread_mutex_destroy(&communicator->failure_mutex);
    free(communicator->members);
    free(communicator->sends);
    free(communicator->receives);
    free(communicator);
}

void communicator_fail(struct llmrun_communicator *communicator, int32_t code, const char *format, ...)
{
    struct llmrun_error *failure = &communicator->failure;
    va_list arguments;

    pthread_mutex_lock(&communicator->failure_mutex);
    if (failure->code == LLMRUN_OK) {
        va_start(arguments, format);
        vsnprintf(failure->message, sizeof failure->message, format, arguments);
        va_end(arguments);
        failure->code = code;
        atomic_store(&communicator->failed, code);
    }
    pthread_mutex_unlock(&communicator->failure_mutex);
}

int32_t communicator_failure(struct llmrun_communicator *communicator, struct llmrun_error *error)
{
    int32_t code;

    pthread_mutex_lock(&communicator->failure_mutex);
    code = communicator->failure.code;
    if (code != LLMRUN_OK)
        llmrun_fail(error, code, "%s", communicator->failure.message);
    pthread_mutex_unlock(&communicator->failure_mutex);
    return code;
}

struct link *communicator_link(const struct llmrun_communicator *communicator, int32_t rank)
{
    return communicator->mesh->links[communicator->members[rank]];
}

int32_t communicator_rank_of(const struct llmrun_communicator *communicator, int32_t peer)
{
    for (int32_t i = 0; i < communicator->ranks; i++)
        if (communicator->members[i] == peer)
            return i;
    return -1;
}
