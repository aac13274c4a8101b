#include "dist/communicator.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "plugin/guard.h"

/* Of a wait in the plugin: an abort, and a watchdog that looks at calls, need it to return now and then. */
#define SLICE_NS INT64_C(200000000)

const char *communicator_call_name(enum communicator_call call)
{
    static const char *const names[] = {"all_gather", "all_to_all", "send", "receive", "all_reduce", "reduce_scatter"};

    return names[call];
}

static int fail(const struct communicator *communicator, const char *call, const char *what,
                const struct llmrun_error *from, struct error *error)
{
    return error_set(error, STATUS_PEER, "%s%s%s over %s (rank %d of %d, collective %s) failed: %s", call,
                     what != NULL ? " of " : "", what != NULL ? what : "", communicator->name, communicator->rank,
                     communicator->ranks, communicator->collective->name,
                     from->message[0] != '\0' ? from->message : "no reason was given");
}

int communicator_create(const struct communicator_options *options, struct communicator *communicator,
                        struct error *error)
{
    const struct llmrun_communicator_desc desc = {.size = sizeof desc,
                                                  .option_bytes = sizeof *options->options,
                                                  .rank = options->rank,
                                                  .ranks = options->ranks,
                                                  .domain = "host",
                                                  .timeout_ns = options->timeout_ns,
                                                  .exchange = options->exchange,
                                                  .context = options->context,
                                                  .options = options->options,
                                                  .option_count = options->option_count};
    struct llmrun_error from = {0};
    int32_t code;

    memset(communicator, 0, sizeof *communicator);
    communicator->collective = options->collective;
    communicator->rank = options->rank;
    communicator->ranks = options->ranks;
    communicator->timeout_ns = options->timeout_ns;
    snprintf(communicator->name, sizeof communicator->name, "%s", options->name);
    if (options->collective->mode != LLMRUN_COLLECTIVE_HOST_DRIVEN)
        return error_set(error, STATUS_BACKEND, "collective %s is stream-ordered; host-driven ones can be used",
                         options->collective->name);
    code = GUARDED_LONG(options->collective, table, create, &desc, &communicator->handle, &from);
    if (code != LLMRUN_OK) {
        communicator->handle = NULL;
        return fail(communicator, "create", NULL, &from, error);
    }
    return STATUS_OK;
}

void communicator_destroy(struct communicator *communicator)
{
    if (communicator->handle != NULL)
        GUARDED_VOID(communicator->collective, table, destroy, communicator->handle);
    communicator->handle = NULL;
}

void communicator_abort(struct communicator *communicator)
{
    atomic_store(&communicator->aborted, true);
    if (communicator->handle != NULL)
        communicator->collective->table.abort(communicator->handle);
}

int communicator_post_transfer(struct communicator *communicator, enum communicator_call call,
                               const struct llmrun_transfer *transfer, const char *what, struct posted *posted,
                               struct error *error)
{
    const struct collective *collective = communicator->collective;
    struct llmrun_error from = {0};
    int32_t code;

    *posted = (struct posted){.communicator = communicator, .call = (uint8_t)call, .what = what};
    switch (call) {
    case CALL_ALL_GATHER:
        code = GUARDED(collective, table, all_gather, communicator->handle, transfer, &posted->request, &from);
        break;
    case CALL_ALL_TO_ALL:
        code = GUARDED(collective, table, all_to_all, communicator->handle, transfer, &posted->request, &from);
        break;
    case CALL_SEND:
        code = GUARDED(collective, table, send, communicator->handle, transfer, &posted->request, &from);
        break;
    case CALL_RECEIVE:
        code = GUARDED(collective, table, receive, communicator->handle, transfer, &posted->request, &from);
        break;
    default:
        return error_set(error, STATUS_BUG, "%s takes a reduction", communicator_call_name(call));
    }
    if (code == LLMRUN_OK)
        return STATUS_OK;
    posted->request = NULL;
    return fail(communicator, communicator_call_name(call), what, &from, error);
}

int communicator_post_reduction(struct communicator *communicator, enum communicator_call call,
                                const struct llmrun_reduction *reduction, const char *what, struct posted *posted,
                                struct error *error)
{
    const struct collective *collective = communicator->collective;
    struct llmrun_error from = {0};
    int32_t code;

    *posted = (struct posted){.communicator = communicator, .call = (uint8_t)call, .what = what};
    if (call == CALL_ALL_REDUCE)
        code = GUARDED(collective, table, all_reduce, communicator->handle, reduction, &posted->request, &from);
    else if (call == CALL_REDUCE_SCATTER)
        code = GUARDED(collective, table, reduce_scatter, communicator->handle, reduction, &posted->request, &from);
    else
        return error_set(error, STATUS_BUG, "%s takes a transfer", communicator_call_name(call));
    if (code == LLMRUN_OK)
        return STATUS_OK;
    posted->request = NULL;
    return fail(communicator, communicator_call_name(call), what, &from, error);
}

void communicator_cancel(struct posted *posted)
{
    struct llmrun_error ignored = {0};

    if (posted->request != NULL)
        GUARDED(posted->communicator->collective, table, cancel, posted->request, &ignored);
    posted->request = NULL;
}

int communicator_wait(struct posted *posted, struct error *error)
{
    struct communicator *communicator = posted->communicator;
    const char *call = communicator_call_name(posted->call);
    const int64_t start = clock_system.monotonic_ns(&clock_system);
    int32_t code = LLMRUN_ERROR_TIMEOUT;
    struct llmrun_error from;

    if (posted->request == NULL)
        return STATUS_OK;
    while (code == LLMRUN_ERROR_TIMEOUT) {
        from = (struct llmrun_error){0};
        code = GUARDED(communicator->collective, table, wait, posted->request, SLICE_NS, &from);
        if (code == LLMRUN_ERROR_TIMEOUT &&
            clock_system.monotonic_ns(&clock_system) - start > communicator->timeout_ns) {
            communicator_cancel(posted);
            return error_set(error, STATUS_PEER,
                             "%s%s%s over %s (rank %d of %d) did not end within %lld s (parallel.timeout): another "
                             "rank does not take part in it",
                             call, posted->what != NULL ? " of " : "", posted->what != NULL ? posted->what : "",
                             communicator->name, communicator->rank, communicator->ranks,
                             (long long)(communicator->timeout_ns / 1000000000));
        }
    }
    posted->request = NULL;
    return code == LLMRUN_OK ? STATUS_OK : fail(communicator, call, posted->what, &from, error);
}
