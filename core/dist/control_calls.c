#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dist/control_calls.h"
#include "dist/control_state.h"

int32_t control_rank(const struct control *control)
{
    return control->rank;
}

int32_t control_world(const struct control *control)
{
    return control->world;
}

const char *control_host(const struct control *control, int32_t rank)
{
    return rank >= 0 && rank < control->world ? control->peers[rank].host : "";
}

static int32_t group_count(const struct control *control, const struct control_group *group)
{
    return group == NULL || group->ranks == NULL ? control->world : group->count;
}

void gathered_finish(struct gathered *gathered)
{
    free(gathered->memory);
    *gathered = (struct gathered){0};
}

/* Of a result frame: {call, count, sizes, parts}. */
static int open_result(struct frame *frame, int32_t count, struct gathered *gathered, struct error *error)
{
    struct wire_reader reader = wire_read(frame->data, frame->bytes);
    int64_t total = 0;

    gathered->memory = frame->data;
    wire_take_u64(&reader);
    if (wire_take_u32(&reader) != (uint32_t)count)
        reader.failed = true;
    gathered->sizes = wire_take(&reader, 8 * (uint64_t)count);
    for (int32_t i = 0; i < count && !reader.failed; i++)
        total += gathered_size(gathered, i);
    gathered->data = reader.at;
    if (!reader.failed && total == reader.end - reader.at)
        return STATUS_OK;
    gathered_finish(gathered);
    return error_set(error, STATUS_PEER, "rank 0 sent a result over the control channel that has no sense");
}

int64_t gathered_size(const struct gathered *gathered, int32_t index)
{
    return (int64_t)wire_load_u64(gathered->sizes + 8 * (int64_t)index);
}

/* Of a group of one: what rank 0 would send. */
static int gather_alone(const void *mine, int64_t bytes, struct gathered *gathered, struct error *error)
{
    struct wire wire = {0};
    struct frame frame;

    wire_put_u64(&wire, 0);
    wire_put_u32(&wire, 1);
    wire_put_u64(&wire, (uint64_t)bytes);
    wire_put(&wire, mine, bytes);
    if (wire.failed) {
        free(wire.data);
        return error_set(error, STATUS_MEMORY, "no memory for %lld bytes", (long long)bytes);
    }
    frame = (struct frame){.bytes = wire.length, .data = wire.data};
    return open_result(&frame, 1, gathered, error);
}

/* Sends the request and puts the call among those that wait. With the mutex. */
static int begin_call(struct control *control, enum gather_kind kind, const struct control_group *group,
                      const void *mine, int64_t bytes, struct call *call, struct error *error)
{
    const bool all = group == NULL || group->ranks == NULL;
    struct wire wire = {0};
    struct frame_part parts[2];
    int status;

    call->number = ++control->call_count;
    gather_encode(&wire, call->number, kind, group != NULL ? group->channel : 0, all ? NULL : group->ranks,
                  all ? 0 : group->count);
    parts[0] = (struct frame_part){wire.data, wire.length};
    parts[1] = (struct frame_part){mine, bytes};
    status = wire.failed ? error_set(error, STATUS_MEMORY, "no memory for a message to rank 0")
                         : control_queue(control, FRAME_GATHER, parts, 2, error);
    free(wire.data);
    if (status != STATUS_OK)
        return status;
    call->next = control->calls;
    control->calls = call;
    return STATUS_OK;
}

static void end_call(struct control *control, struct call *call)
{
    struct call **at = &control->calls;

    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
}

int control_gather(struct control *control, enum gather_kind kind, const struct control_group *group, const void *mine,
                   int64_t bytes, struct gathered *gathered, struct error *error)
{
    const int32_t count = group_count(control, group);
    struct call call = {0};
    int status;

    *gathered = (struct gathered){0};
    status = control_failed(control, error);
    if (status != STATUS_OK)
        return status;
    if (count == 1)
        return gather_alone(mine, bytes, gathered, error);
    pthread_mutex_lock(&control->mutex);
    status = begin_call(control, kind, group, mine, bytes, &call, error);
    if (status == STATUS_OK) {
        while (!call.done && !atomic_load(&control->failed))
            pthread_cond_wait(&control->changed, &control->mutex);
        end_call(control, &call);
        if (!call.done)
            status = control_failed(control, error);
    }
    pthread_mutex_unlock(&control->mutex);
    return status == STATUS_OK ? open_result(&call.result, count, gathered, error) : status;
}

static int check_bytes(const char *what, int64_t bytes, int64_t most, struct error *error)
{
    if (bytes >= 0 && bytes <= most)
        return STATUS_OK;
    return error_set(error, STATUS_BUG, "%s of %lld bytes over the control channel; 0 to %lld are possible", what,
                     (long long)bytes, (long long)most);
}

int control_exchange(struct control *control, const struct control_group *group, const void *mine, void *all,
                     int64_t bytes, struct error *error)
{
    struct gathered gathered;
    int status = check_bytes("an exchange", bytes, CONTROL_EXCHANGE_MOST, error);

    if (status == STATUS_OK)
        status = control_gather(control, GATHER_EXCHANGE, group, mine, bytes, &gathered, error);
    if (status != STATUS_OK)
        return status;
    if (bytes > 0)
        memcpy(all, gathered.data, (size_t)(group_count(control, group) * bytes));
    gathered_finish(&gathered);
    return STATUS_OK;
}

int32_t control_exchange_callback(void *context, const void *mine, void *all, int64_t bytes, struct llmrun_error *error)
{
    const struct control_exchange_context *exchange = context;
    struct error why;

    if (control_exchange(exchange->control, &exchange->group, mine, all, bytes, &why) == STATUS_OK)
        return LLMRUN_OK;
    error->code = LLMRUN_ERROR_ABORTED;
    error->vendor_code = 0;
    snprintf(error->message, sizeof error->message, "%.511s", why.message);
    return LLMRUN_ERROR_ABORTED;
}

int control_gather_texts(struct control *control, const struct control_group *group, const void *mine, int64_t bytes,
                         char **all, int64_t *sizes, struct error *error)
{
    struct gathered gathered;
    int64_t total = 0;
    int status = check_bytes("a text", bytes, CONTROL_TEXT_MOST, error);

    *all = NULL;
    if (status == STATUS_OK)
        status = control_gather(control, GATHER_TEXTS, group, mine, bytes, &gathered, error);
    if (status != STATUS_OK)
        return status;
    for (int32_t i = 0; i < group_count(control, group); i++)
        total += sizes[i] = gathered_size(&gathered, i);
    /* The texts move to the front of their own memory, whose head is longer than the 0 byte. */
    memmove(gathered.memory, gathered.data, (size_t)total);
    gathered.memory[total] = 0;
    *all = (char *)gathered.memory;
    return STATUS_OK;
}

int control_broadcast(struct control *control, const struct control_group *group, void *data, int64_t bytes,
                      struct error *error)
{
    const bool first = control->rank == (group == NULL || group->ranks == NULL ? 0 : group->ranks[0]);
    struct gathered gathered;
    int status = check_bytes("a broadcast", bytes, CONTROL_TEXT_MOST, error);

    if (status == STATUS_OK)
        status = control_gather(control, GATHER_BROADCAST, group, data, first ? bytes : 0, &gathered, error);
    if (status != STATUS_OK)
        return status;
    if (gathered_size(&gathered, 0) != bytes)
        status = error_set(error, STATUS_PEER, "rank 0 broadcasts %lld bytes where this rank expects %lld",
                           (long long)gathered_size(&gathered, 0), (long long)bytes);
    else if (!first && bytes > 0)
        memcpy(data, gathered.data, (size_t)bytes);
    gathered_finish(&gathered);
    return status;
}

int control_barrier(struct control *control, const struct control_group *group, struct error *error)
{
    struct gathered gathered;
    const int status = control_gather(control, GATHER_BARRIER, group, NULL, 0, &gathered, error);

    gathered_finish(&gathered);
    return status;
}
