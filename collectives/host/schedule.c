#include "schedule.h"

#include <stdlib.h>

#include "arithmetic.h"
#include "message.h"

static struct step *add(struct llmrun_request *request, enum step_kind kind, int32_t round, int32_t peer,
                        struct span span)
{
    struct step *step;

    if (request->count == request->capacity) {
        const int32_t capacity = request->capacity == 0 ? 8 : 2 * request->capacity;
        struct step *steps = request->capacity < 0 ? NULL : realloc(request->steps, (size_t)capacity * sizeof *steps);

        if (steps == NULL) {
            request->capacity = -1;
            request->count = -1;
            return NULL;
        }
        request->steps = steps;
        request->capacity = capacity;
    }
    step = &request->steps[request->count++];
    *step = (struct step){.kind = kind, .round = round, .peer = peer, .span = span, .request = request};
    return step;
}

static bool left_out(const struct llmrun_request *request, struct span span)
{
    return span.bytes == 0 && request->operation != OPERATION_BARRIER && request->operation != OPERATION_SEND &&
           request->operation != OPERATION_RECEIVE;
}

void schedule_send(struct llmrun_request *request, int32_t round, int32_t peer, struct span from)
{
    if (left_out(request, from))
        return;
    if (add(request, STEP_SEND, round, peer, from) != NULL)
        request->communicator->bytes[request->operation] += from.bytes;
}

void schedule_receive(struct llmrun_request *request, int32_t round, int32_t peer, struct span to)
{
    if (!left_out(request, to))
        add(request, STEP_RECEIVE, round, peer, to);
}

void schedule_receive_join(struct llmrun_request *request, int32_t round, int32_t peer, struct span to,
                           const char *base, const struct llmrun_reduction *form)
{
    struct step *step = left_out(request, to) ? NULL : add(request, STEP_RECEIVE, round, peer, to);

    if (step == NULL)
        return;
    step->dtype = form->dtype;
    step->reduction = form->operation;
    step->base = base;
}

void schedule_copy(struct llmrun_request *request, int32_t round, struct span to, struct span from)
{
    const bool same = to.side.address == from.side.address && to.first == from.first &&
                      (to.side.blocks == 1 || to.side.pitch == from.side.pitch) && to.side.blocks == from.side.blocks;
    struct step *step = to.bytes == 0 || same ? NULL : add(request, STEP_COPY, round, -1, to);

    if (step != NULL)
        step->from = from;
}

void schedule_join(struct llmrun_request *request, int32_t round, struct span to, const char *base, struct span from,
                   const struct llmrun_reduction *form)
{
    struct step *step = to.bytes == 0 ? NULL : add(request, STEP_JOIN, round, -1, to);

    if (step == NULL)
        return;
    step->from = from;
    step->dtype = form->dtype;
    step->reduction = form->operation;
    step->base = base;
}

char *schedule_memory(struct llmrun_request *request, int64_t bytes)
{
    request->memory = malloc(bytes > 0 ? (size_t)bytes : 1);
    if (request->memory == NULL)
        request->count = request->capacity = -1;
    return request->memory;
}

bool schedule_is_whole(const struct llmrun_request *request)
{
    return request->capacity >= 0;
}

static void start(struct step *step, int64_t now_ns)
{
    int64_t run;

    switch (step->kind) {
    case STEP_SEND:
        message_send(step, now_ns);
        return;
    case STEP_RECEIVE:
        message_receive(step);
        return;
    case STEP_COPY:
        span_copy(&step->span, &step->from, 0, step->span.bytes);
        break;
    case STEP_JOIN:
        arithmetic_join(step->dtype, step->reduction, span_at(&step->span, 0, &run), step->base,
                        span_at(&step->from, 0, &run), step->span.bytes);
        break;
    }
    step->ended = true;
    step->request->under_way--;
}

bool schedule_advance(struct llmrun_request *request, int64_t now_ns)
{
    bool moved = false;

    while (!request->ended && request->under_way == 0 && !request->stuck &&
           atomic_load(&request->communicator->failed) == LLMRUN_OK) {
        const int32_t first = request->started;
        int32_t end = first;

        moved = true;
        if (first == request->count) {
            request->ended = true;
            break;
        }
        while (end < request->count && request->steps[end].round == request->steps[first].round)
            end++;
        request->started = end;
        request->under_way = end - first;
        for (int32_t i = first; i < end; i++)
            start(&request->steps[i], now_ns);
    }
    return moved;
}

void schedule_withdraw(struct llmrun_request *request, int32_t code)
{
    for (int32_t i = 0; i < request->started; i++)
        if (!request->steps[i].ended)
            message_withdraw(&request->steps[i]);
    request->ended = true;
    request->code = code;
}

int32_t schedule_awaited(const struct llmrun_request *request)
{
    for (int32_t i = 0; i < request->started; i++)
        if (!request->steps[i].ended && request->steps[i].kind == STEP_RECEIVE)
            return request->steps[i].peer;
    for (int32_t i = 0; i < request->started; i++)
        if (!request->steps[i].ended)
            return request->steps[i].peer;
    return -1;
}
