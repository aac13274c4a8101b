#include "dist/communicator.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "plugin/guard.h"

/* Of a wait in the plugin: an abort, and a watchdog that looks at calls, need it to return now and then. */
#define SLICE_NS        INT64_C(200000000)
#define DESCRIBED_BYTES 256

const char *communicator_call_name(enum communicator_call call)
{
    static const char *const names[] = {"all_gather", "all_to_all", "send", "receive", "all_reduce", "reduce_scatter"};

    return names[call];
}

/* "all_reduce of layers.3.attn.out over tp in step 7": what failed. */
static void describe(const struct communicator *communicator, const char *call, const struct purpose *purpose,
                     char text[DESCRIBED_BYTES])
{
    const char *what = purpose != NULL ? purpose->what : NULL;
    char step[32] = "";

    if (purpose != NULL && purpose->step > 0)
        snprintf(step, sizeof step, " in step %lld", (long long)purpose->step);
    snprintf(text, DESCRIBED_BYTES, "%s%s%.120s over %s%s", call, what != NULL ? " of " : "", what != NULL ? what : "",
             communicator->name, step);
}

static int fail(const struct communicator *communicator, const char *call, const struct purpose *purpose,
                const struct llmrun_error *from, struct error *error)
{
    char text[DESCRIBED_BYTES];

    describe(communicator, call, purpose, text);
    return error_set(error, STATUS_PEER, "%s (rank %d of %d, collective %s) failed: %s", text, communicator->rank,
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
    communicator->control = options->control;
    communicator->recorder = options->recorder;
    communicator->group = options->group;
    snprintf(communicator->name, sizeof communicator->name, "%s", options->name);
    if (options->collective->mode != LLMRUN_COLLECTIVE_HOST_DRIVEN)
        return error_set(error, STATUS_BACKEND, "collective %s is stream-ordered; host-driven ones can be used",
                         options->collective->name);
    code = GUARDED_LONG(options->collective, table, create, &desc, &communicator->handle, &from);
    if (code != LLMRUN_OK) {
        communicator->handle = NULL;
        if (code == LLMRUN_ERROR_ARGUMENT)
            return error_set(error, STATUS_USAGE, "parallel.collective_options of %s: %s", options->collective->name,
                             from.message);
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

static void begin(struct communicator *communicator, enum communicator_call call, int32_t peer,
                  const struct purpose *purpose, struct posted *posted)
{
    const char *name = communicator_call_name(call);

    *posted = (struct posted){.communicator = communicator, .call = (uint8_t)call, .purpose = *purpose};
    if (communicator->control != NULL)
        control_note(communicator->control, purpose->step, name);
    if (communicator->recorder != NULL)
        posted->record =
            call == CALL_SEND || call == CALL_RECEIVE
                ? recorder_post_pair(communicator->recorder, communicator->group, name, peer, purpose->bytes,
                                     purpose->step)
                : recorder_post(communicator->recorder, communicator->group, name, purpose->bytes, purpose->step);
}

static void end(struct posted *posted, enum record_state state)
{
    const struct communicator *communicator = posted->communicator;

    posted->request = NULL;
    if (communicator->recorder != NULL)
        recorder_end(communicator->recorder, posted->record, state);
}

static int posted_or_failed(struct posted *posted, int32_t code, const struct llmrun_error *from, struct error *error)
{
    if (code == LLMRUN_OK)
        return STATUS_OK;
    end(posted, RECORD_FAILED);
    return fail(posted->communicator, communicator_call_name((enum communicator_call)posted->call), &posted->purpose,
                from, error);
}

int communicator_post_transfer(struct communicator *communicator, enum communicator_call call,
                               const struct llmrun_transfer *transfer, const struct purpose *purpose,
                               struct posted *posted, struct error *error)
{
    const struct collective *collective = communicator->collective;
    struct llmrun_error from = {0};
    int32_t code;

    begin(communicator, call, transfer->peer, purpose, posted);
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
    return posted_or_failed(posted, code, &from, error);
}

int communicator_post_reduction(struct communicator *communicator, enum communicator_call call,
                                const struct llmrun_reduction *reduction, const struct purpose *purpose,
                                struct posted *posted, struct error *error)
{
    const struct collective *collective = communicator->collective;
    struct llmrun_error from = {0};
    int32_t code;

    begin(communicator, call, -1, purpose, posted);
    if (call == CALL_ALL_REDUCE)
        code = GUARDED(collective, table, all_reduce, communicator->handle, reduction, &posted->request, &from);
    else if (call == CALL_REDUCE_SCATTER)
        code = GUARDED(collective, table, reduce_scatter, communicator->handle, reduction, &posted->request, &from);
    else
        return error_set(error, STATUS_BUG, "%s takes a transfer", communicator_call_name(call));
    return posted_or_failed(posted, code, &from, error);
}

static void give_up(struct posted *posted, enum record_state state)
{
    struct llmrun_error ignored = {0};

    if (posted->request == NULL)
        return;
    /* First of all, so that it is known when the cancelled operation fails elsewhere. */
    if (posted->communicator->recorder != NULL)
        recorder_end(posted->communicator->recorder, posted->record, state);
    GUARDED(posted->communicator->collective, table, cancel, posted->request, &ignored);
    posted->request = NULL;
}

void communicator_cancel(struct posted *posted)
{
    give_up(posted, RECORD_FAILED);
}

static int too_late(struct posted *posted, struct error *error)
{
    const struct communicator *communicator = posted->communicator;
    char text[DESCRIBED_BYTES];

    describe(communicator, communicator_call_name((enum communicator_call)posted->call), &posted->purpose, text);
    give_up(posted, RECORD_LATE);
    return error_set(error, STATUS_PEER,
                     "%s (rank %d of %d) did not end within %lld s (parallel.timeout): another rank does not take part "
                     "in it, or the collective hangs",
                     text, communicator->rank, communicator->ranks, (long long)(communicator->timeout_ns / 1000000000));
}

int communicator_wait(struct posted *posted, struct error *error)
{
    struct communicator *communicator = posted->communicator;
    const int64_t start = clock_system.monotonic_ns(&clock_system);
    struct llmrun_error from;
    int32_t code = LLMRUN_ERROR_TIMEOUT;

    if (posted->request == NULL)
        return STATUS_OK;
    while (code == LLMRUN_ERROR_TIMEOUT) {
        from = (struct llmrun_error){0};
        code = GUARDED(communicator->collective, table, wait, posted->request, SLICE_NS, &from);
        if (code == LLMRUN_ERROR_TIMEOUT && clock_system.monotonic_ns(&clock_system) - start > communicator->timeout_ns)
            return too_late(posted, error);
    }
    end(posted, code == LLMRUN_OK ? RECORD_DONE : RECORD_FAILED);
    return code == LLMRUN_OK ? STATUS_OK
                             : fail(communicator, communicator_call_name((enum communicator_call)posted->call),
                                    &posted->purpose, &from, error);
}
