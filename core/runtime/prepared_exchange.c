#include "runtime/prepared_exchange.h"

#include <string.h>

#include "base/checked.h"
#include "hal/stream.h"
#include "program/op_table.h"

static bool is_transfer(enum exchange_kind kind)
{
    return kind != EXCHANGE_COPY && kind != EXCHANGE_REDUCE;
}

/* The side has a part of each rank in each of its blocks. */
static int64_t run_bytes(const struct exchange_step *step, const struct exchange_side *side, bool all_ranks)
{
    int64_t bytes = 0;

    if (!all_ranks)
        return side->bytes;
    for (int32_t i = 0; i < step->ranks; i++)
        bytes += side->parts != NULL ? side->parts[i] : side->bytes;
    return bytes;
}

static int64_t span(const struct exchange_step *step, const struct exchange_side *side, bool all_ranks)
{
    return side->blocks == 0 ? 0 : (side->blocks - 1) * side->pitch + run_bytes(step, side, all_ranks);
}

static bool sends_parts(const struct exchange_step *step)
{
    return step->kind == EXCHANGE_ALL_TO_ALL;
}

static bool receives_parts(const struct exchange_step *step)
{
    return step->kind == EXCHANGE_ALL_TO_ALL || step->kind == EXCHANGE_ALL_GATHER;
}

static int make_staging(const struct compiled *compiled, struct exchange_host *host, struct error *error)
{
    int64_t most[2] = {1, 1};
    int status;

    for (int64_t s = 0; s < compiled->program.section_count; s++)
        for (int i = 0; i < compiled->exchanges[s].count; i++) {
            const struct exchange_step *step = &compiled->exchanges[s].steps[i];
            const int64_t spans[2] = {span(step, &step->send, sends_parts(step)),
                                      span(step, &step->receive, receives_parts(step))};

            for (int k = 0; is_transfer(step->kind) && k < 2; k++)
                most[k] = spans[k] > most[k] ? spans[k] : most[k];
        }
    status = host_buffer_create(host->device, most[0], &host->send, error);
    return status == STATUS_OK ? host_buffer_create(host->device, most[1], &host->receive, error) : status;
}

int exchange_host_create(struct device *device, const struct compiled *compiled, const struct arena *arena,
                         const struct communication *communication, struct exchange_host *host, struct error *error)
{
    int status;

    *host = (struct exchange_host){.device = device, .arena = arena, .communication = communication};
    if (compiled->exchanges == NULL)
        return STATUS_OK;
    host->staged = strcmp(device->info.domain, "host") != 0;
    status = event_create(device, &host->reached, error);
    if (status == STATUS_OK && device_signals(device))
        status = transfer_queue_create(device, &host->queue, error);
    if (status == STATUS_OK && host->staged)
        status = make_staging(compiled, host, error);
    if (status != STATUS_OK)
        exchange_host_destroy(host);
    return status;
}

void exchange_host_destroy(struct exchange_host *host)
{
    transfer_queue_destroy(host->queue);
    event_destroy(&host->reached);
    host_buffer_destroy(&host->send);
    host_buffer_destroy(&host->receive);
}

static struct communicator *communicator_of(const struct exchange_host *host, const struct exchange *exchange,
                                            const struct exchange_step *step)
{
    if (host->communication == NULL)
        return NULL;
    return exchange->peer >= 0 && exchange->link % 2 != 0 ? host->communication->upward
                                                          : host->communication->groups[step->group];
}

static bool is_send(const struct exchange *exchange)
{
    return exchange->count > 0 && exchange->steps[exchange->count - 1].kind == EXCHANGE_SEND;
}

/* Sends that are on their way have host memory of their own. */
static int make_send_staging(const struct exchange_host *host, const struct exchange *exchange,
                             struct prepared_exchange *prepared, struct error *error)
{
    int status = STATUS_OK;

    for (int i = 0; status == STATUS_OK && host->staged && is_send(exchange) && i < EXCHANGE_SENDS; i++)
        status = host_buffer_create(host->device, exchange->steps[exchange->count - 1].send.bytes,
                                    &prepared->staging[i], error);
    return status;
}

static struct binding place_of(const struct compiled *compiled, int32_t value, const struct arena *arena)
{
    return value != NO_VALUE ? binding_of(compiled, value, arena) : (struct binding){.address = 1, .pool = NO_POOL};
}

int prepared_exchange_create(const struct exchange_host *host, const struct compiled *compiled, int64_t section,
                             struct prepared_exchange *prepared, struct error *error)
{
    const struct exchange *exchange = &compiled->exchanges[section];
    const struct op *op = &compiled->program.ops[compiled->program.sections[section].first_op];
    const int32_t *operands = program_operands(&compiled->program, op);
    const int64_t workspace = compiled->plan.region_offset[REGION_WORKSPACE];
    int status = STATUS_OK;

    *prepared = (struct prepared_exchange){
        .exchange = exchange, .name = compiled->program.values[operands[is_send(exchange) ? SEND_X : 1]].name};
    prepared->places[EXCHANGE_X] = place_of(compiled, operands[0], host->arena);
    prepared->places[EXCHANGE_Y] = place_of(compiled, operands[1], host->arena);
    prepared->places[EXCHANGE_TERMS] =
        (struct binding){.address = arena_address(host->arena, workspace), .offset = workspace, .pool = NO_POOL};
    prepared->workspace = prepared->places[EXCHANGE_TERMS].address +
                          (uint64_t)round_up(exchange->terms_bytes, compiled_alignment(compiled));
    if (prepared->places[EXCHANGE_X].address == 0 || prepared->places[EXCHANGE_Y].address == 0)
        return error_set(error, STATUS_BUG, "%s is exchanged and has no place in the memory plan", prepared->name);
    for (int i = 0; i < exchange->count; i++)
        if (is_transfer(exchange->steps[i].kind) && communicator_of(host, exchange, &exchange->steps[i]) == NULL)
            return error_set(error, STATUS_BUG, "%s is exchanged over %s, and there is no communicator", prepared->name,
                             mesh_group_name(exchange->steps[i].group));
    status = make_send_staging(host, exchange, prepared, error);
    for (int i = 0; status == STATUS_OK && i < exchange->count; i++)
        status =
            exchange_reduction_create(host->device, compiled, exchange, i,
                                      compiled->plan.region_bytes[REGION_WORKSPACE], &prepared->reductions[i], error);
    if (status != STATUS_OK)
        prepared_exchange_destroy(prepared);
    return status;
}

void prepared_exchange_destroy(struct prepared_exchange *prepared)
{
    for (int i = 0; i < EXCHANGE_STEPS; i++)
        exchange_reduction_destroy(&prepared->reductions[i]);
    for (int i = 0; i < EXCHANGE_SENDS; i++) {
        communicator_cancel(&prepared->sends[i]);
        host_buffer_destroy(&prepared->staging[i]);
    }
    *prepared = (struct prepared_exchange){.exchange = NULL};
}

/* A run of an exchange that has begun. */
struct running {
    struct prepared_exchange *prepared;
    struct exchange_host *host;
    const struct stream *stream;
    int64_t offsets[EXCHANGE_PLACES]; /* in the arena */
    int32_t slot;                     /* of the buffer of a send */
    double seconds;
    struct error *error;
};

static int64_t offset_of(const struct running *running, const struct exchange_side *side)
{
    return running->offsets[side->place] + side->offset;
}

static uint64_t address_of(const struct running *running, const struct exchange_side *side)
{
    return arena_address(running->host->arena, offset_of(running, side));
}

/* Until the device has done what was enqueued. */
static int settle(const struct running *running)
{
    const struct device *device = running->host->device;
    const struct awaited awaited = {.what = "the work before the exchange of", .name = running->prepared->name};
    int status = stream_record(running->stream, &running->host->reached, running->error);

    return status == STATUS_OK
               ? event_finish(&running->host->reached, device->timeout_ns + (int64_t)(running->seconds * 1e9), &awaited,
                              running->error)
               : status;
}

static int copy(const struct running *running, const struct exchange_step *step)
{
    const int64_t from = offset_of(running, &step->send), to = offset_of(running, &step->receive);
    int status = STATUS_OK;

    for (int64_t b = 0; status == STATUS_OK && b < step->send.blocks; b++)
        status = arena_copy(running->stream, running->host->arena, to + b * step->receive.pitch,
                            from + b * step->send.pitch, step->send.bytes, running->error);
    return status;
}

static struct llmrun_blocks blocks(const struct exchange_side *side, uint64_t address)
{
    return (struct llmrun_blocks){
        .address = address, .blocks = side->blocks, .bytes = side->bytes, .pitch = side->pitch};
}

static struct transfer_job job_of(const struct running *running, const struct exchange_step *step, uint64_t send,
                                  uint64_t receive)
{
    static const enum communicator_call calls[] = {[EXCHANGE_ALL_GATHER] = CALL_ALL_GATHER,
                                                   [EXCHANGE_ALL_TO_ALL] = CALL_ALL_TO_ALL,
                                                   [EXCHANGE_ALL_REDUCE] = CALL_ALL_REDUCE,
                                                   [EXCHANGE_REDUCE_SCATTER] = CALL_REDUCE_SCATTER,
                                                   [EXCHANGE_SEND] = CALL_SEND,
                                                   [EXCHANGE_RECEIVE] = CALL_RECEIVE};
    const struct exchange *exchange = running->prepared->exchange;

    return (struct transfer_job){
        .communicator = communicator_of(running->host, exchange, step),
        .call = (uint8_t)calls[step->kind],
        .transfer = {.size = sizeof(struct llmrun_transfer),
                     .peer = exchange->peer,
                     .send = blocks(&step->send, send),
                     .receive = blocks(&step->receive, receive),
                     .send_bytes = sends_parts(step) ? step->send.parts : NULL,
                     .receive_bytes = receives_parts(step) ? step->receive.parts : NULL},
        .reduction = {.size = sizeof(struct llmrun_reduction),
                      .dtype = step->dtype,
                      .operation = step->operation,
                      .send = send,
                      .receive = receive,
                      .count = step->count},
        .purpose = {.what = running->prepared->name, .step = running->host->step, .bytes = step->sent_bytes},
        .seconds = running->seconds};
}

/* On the communication thread, where the device can wait for it; else here and now. */
static int carry_out(const struct running *running, const struct transfer_job *job)
{
    int status;

    if (running->host->queue != NULL)
        return transfer_queue_put(running->host->queue, running->stream, job, running->error);
    status = settle(running);
    return status == STATUS_OK ? transfer_run(job, running->error) : status;
}

/* Both spans through host memory. The next one's copies follow on the same stream. */
static int transfer_staged(const struct running *running, const struct exchange_step *step)
{
    const struct exchange_host *host = running->host;
    const int64_t from = offset_of(running, &step->send), to = offset_of(running, &step->receive);
    const struct transfer_job job =
        job_of(running, step, (uint64_t)(uintptr_t)host->send.memory, (uint64_t)(uintptr_t)host->receive.memory);
    int status = arena_download(running->stream, &host->send, 0, host->arena, from,
                                span(step, &step->send, sends_parts(step)), running->error);

    if (status == STATUS_OK)
        status = carry_out(running, &job);
    return status == STATUS_OK ? arena_upload(running->stream, host->arena, to, &host->receive, 0,
                                              span(step, &step->receive, receives_parts(step)), running->error)
                               : status;
}

static int transfer(const struct running *running, const struct exchange_step *step)
{
    const struct transfer_job job =
        job_of(running, step, address_of(running, &step->send), address_of(running, &step->receive));

    return running->host->staged ? transfer_staged(running, step) : carry_out(running, &job);
}

/* Posts it: its buffer, and what stages that, are free. */
static int start_send(const struct running *running, const struct exchange_step *step)
{
    struct exchange_host *host = running->host;
    struct prepared_exchange *prepared = running->prepared;
    const struct host_buffer *staging = &prepared->staging[running->slot];
    struct transfer_job job = job_of(running, step, address_of(running, &step->send), 0);
    int status = STATUS_OK;

    job.keep = &prepared->sends[running->slot];
    if (host->staged) {
        status = arena_download(running->stream, staging, 0, host->arena, offset_of(running, &step->send),
                                step->send.bytes, running->error);
        job.transfer.send.address = (uint64_t)(uintptr_t)staging->memory;
    }
    if (status == STATUS_OK)
        status = carry_out(running, &job);
    if (status == STATUS_OK && !prepared->exchange->buffered) {
        prepared->next_open = host->open;
        host->open = prepared;
    }
    return status;
}

/* Waits for the transfer before, from the same buffer. */
static int end_send(const struct running *running)
{
    const struct transfer_job job = {.ends = {&running->prepared->sends[running->slot]},
                                     .purpose = {.what = running->prepared->name},
                                     .seconds = running->seconds};

    return carry_out(running, &job);
}

static int end_open_sends(const struct running *running)
{
    struct transfer_job job = {.purpose = {.what = running->prepared->name}, .seconds = running->seconds};
    int count = 0;

    for (; running->host->open != NULL; running->host->open = running->host->open->next_open) {
        if (count == TRANSFER_ENDS)
            return error_set(running->error, STATUS_BUG, "more than %d sends without a buffer before %s", TRANSFER_ENDS,
                             running->prepared->name);
        job.ends[count++] = &running->host->open->sends[0];
    }
    return carry_out(running, &job);
}

static int run_step(const struct running *running, int i)
{
    const struct prepared_exchange *prepared = running->prepared;
    const struct exchange_step *step = &prepared->exchange->steps[i];
    int status;

    switch ((enum exchange_kind)step->kind) {
    case EXCHANGE_COPY:
        return copy(running, step);
    case EXCHANGE_REDUCE:
        return exchange_reduction_launch(&prepared->reductions[i], running->stream, address_of(running, &step->send),
                                         address_of(running, &step->receive), prepared->workspace, running->error);
    case EXCHANGE_SEND:
        return start_send(running, step);
    case EXCHANGE_RECEIVE:
        status = transfer(running, step);
        return status == STATUS_OK && !prepared->exchange->buffered ? end_open_sends(running) : status;
    default:
        return transfer(running, step);
    }
}

int prepared_exchange_run(struct prepared_exchange *prepared, struct exchange_host *host, const struct stream *stream,
                          const int32_t *slots, double seconds, struct error *error)
{
    struct running running = {.prepared = prepared, .host = host, .stream = stream, .seconds = seconds, .error = error};
    int status = STATUS_OK;

    for (int i = 0; i < EXCHANGE_PLACES; i++) {
        const struct binding *binding = &prepared->places[i];

        running.offsets[i] = binding->offset + (binding->pool != NO_POOL ? binding->steps[slots[binding->pool]] : 0);
    }
    if (is_send(prepared->exchange)) {
        const struct binding *buffer = &prepared->places[EXCHANGE_Y];

        running.slot = buffer->pool != NO_POOL ? slots[buffer->pool] : 0;
        status = end_send(&running);
    }
    for (int i = 0; status == STATUS_OK && i < prepared->exchange->count; i++)
        status = run_step(&running, i);
    return status;
}
