#include "message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arithmetic.h"
#include "direct.h"

/* ---- lists ---- */

static void put(struct step **list, struct step *step)
{
    struct step **end = list;

    while (*end != NULL)
        end = &(*end)->next;
    step->next = NULL;
    step->list = list;
    *end = step;
}

static void take(struct step *step)
{
    struct step **link = step->list;

    if (link == NULL)
        return;
    while (*link != step)
        link = &(*link)->next;
    *link = step->next;
    step->list = NULL;
}

static uint64_t tag_of(const struct step *step)
{
    return step->request->number << 24 | (uint64_t)step->round;
}

static struct step *find(struct step *list, const struct frame *frame)
{
    while (list != NULL && (tag_of(list) != frame->tag || list->request->communicator->context != frame->context))
        list = list->next;
    return list;
}

static uint16_t operation_of(const struct step *step)
{
    const enum operation operation = step->request->operation;

    return (uint16_t)(operation == OPERATION_RECEIVE ? OPERATION_SEND : operation);
}

static struct link *link_of(const struct step *step)
{
    return communicator_link(step->request->communicator, step->peer);
}

static void end(struct step *step)
{
    take(step);
    step->ended = true;
    step->request->under_way--;
}

/* ---- what goes out ---- */

static void enqueue(struct link *link, struct outgoing *item)
{
    item->next = NULL;
    item->sent = 0;
    if (link->first == NULL)
        link->first = item;
    else
        link->last->next = item;
    link->last = item;
    if (item->step != NULL)
        item->step->queued = true;
}

static void enqueue_step(struct link *link, struct step *step, enum frame_kind kind, struct span payload)
{
    step->out.step = step;
    step->out.payload = payload;
    step->out.frame = (struct frame){.kind = (uint16_t)kind,
                                     .operation = operation_of(step),
                                     .context = step->request->communicator->context,
                                     .tag = tag_of(step),
                                     .total = step->span.bytes};
    enqueue(link, &step->out);
}

static void sent(struct link *link, struct outgoing *item)
{
    link->first = item->next;
    if (item->step == NULL) {
        free(item);
        return;
    }
    item->step->queued = false;
    if (item->frame.kind == FRAME_EAGER || item->frame.kind == FRAME_DATA || item->frame.kind == FRAME_DONE)
        end(item->step);
}

static bool flush(struct link *link)
{
    bool moved = false;

    while (link->first != NULL && link->broken[0] == '\0') {
        struct outgoing *item = link->first;
        int64_t bytes = item->payload.bytes - item->sent;
        struct span payload;

        bytes = bytes < link->wire->fragment_bytes ? bytes : link->wire->fragment_bytes;
        payload = span_slice(&item->payload, item->sent, bytes);
        item->frame.bytes = (uint32_t)bytes;
        item->frame.offset = item->sent;
        if (link->wire->push(link, &item->frame, &payload) <= 0)
            break;
        moved = true;
        item->sent += bytes;
        if (item->sent == item->payload.bytes)
            sent(link, item);
    }
    return moved;
}

void message_tell(struct link *link, enum frame_kind kind, uint64_t context, int32_t code, const char *text)
{
    const size_t bytes = strlen(text);
    struct outgoing *item = link->broken[0] == '\0' && !link->left ? malloc(sizeof *item + bytes) : NULL;

    if (item == NULL)
        return;
    memcpy(item + 1, text, bytes);
    *item = (struct outgoing){.frame = {.kind = (uint16_t)kind, .context = context, .tag = (uint64_t)code},
                              .payload = span_of_memory(item + 1, (int64_t)bytes)};
    enqueue(link, item);
    flush(link);
}

/* ---- failures ---- */

static void fail_unreachable(const struct step *step, const struct link *link)
{
    if (link->broken[0] != '\0' && !link->left)
        communicator_fail(step->request->communicator, LLMRUN_ERROR_DEVICE, "rank %d (process %d on %s) is gone: %s",
                          step->peer, (int)link->pid, link->host, link->broken);
    else
        communicator_fail(step->request->communicator, LLMRUN_ERROR_DEVICE,
                          "rank %d destroyed its communicator while rank %d waited for it in %s", step->peer,
                          step->request->communicator->rank, operation_name(step->request->operation));
}

static bool unreachable(const struct link *link)
{
    return link->left || link->broken[0] != '\0';
}

void message_abandon(struct link *link)
{
    struct step *const lists[] = {link->posted, link->accepted, link->reading, link->offered};

    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        for (const struct step *step = lists[i]; step != NULL; step = step->next)
            fail_unreachable(step, link);
    for (const struct outgoing *item = link->first; item != NULL; item = item->next)
        if (item->step != NULL)
            fail_unreachable(item->step, link);
}

static void fail_told(struct link *link, const struct frame *frame, const char *text, int64_t bytes)
{
    for (struct llmrun_communicator *one = link->mesh->communicators; one != NULL; one = one->next)
        if (one->context == frame->context)
            communicator_fail(one, frame->tag == 0 ? LLMRUN_ERROR_INTERNAL : (int32_t)frame->tag, "%.*s", (int)bytes,
                              text);
}

void message_recall(struct llmrun_communicator *communicator)
{
    for (int32_t i = 0; i < communicator->ranks; i++) {
        struct link *link = communicator_link(communicator, i);
        struct arrival *arrival = link != NULL ? link->arrivals : NULL;

        for (; arrival != NULL; arrival = arrival->next)
            if (arrival->frame.kind == FRAME_FAIL)
                fail_told(link, &arrival->frame, arrival->payload, arrival->frame.bytes);
    }
}

/* Is it the message that `step` expects? The communicator fails where it is not. */
static bool fits(const struct step *step, const struct frame *frame)
{
    struct llmrun_communicator *communicator = step->request->communicator;
    const char *own = operation_name(step->request->operation);

    if (frame->operation != operation_of(step))
        communicator_fail(communicator, LLMRUN_ERROR_ARGUMENT,
                          "rank %d calls %s where rank %d calls %s: their operation number %lld", step->peer,
                          frame->operation < OPERATIONS ? operation_name((enum operation)frame->operation) : "another",
                          communicator->rank, own, (long long)(step->request->number & ~BETWEEN_TWO));
    else if (frame->total != step->span.bytes)
        communicator_fail(communicator, LLMRUN_ERROR_ARGUMENT,
                          "%s: rank %d sends %lld bytes where rank %d receives %lld", own, step->peer,
                          (long long)frame->total, communicator->rank, (long long)step->span.bytes);
    else
        return true;
    return false;
}

/* ---- sends ---- */

static void send_now(struct step *step)
{
    struct link *link = link_of(step);

    if (step->span.bytes <= link->wire->eager_bytes) {
        enqueue_step(link, step, FRAME_EAGER, step->span);
    } else {
        step->offer = (struct offer){.side = step->span.side, .first = step->span.first};
        put(&link->offered, step);
        enqueue_step(link, step, FRAME_OFFER, span_of_memory(&step->offer, sizeof step->offer));
    }
    flush(link);
}

void message_send(struct step *step, int64_t now_ns)
{
    struct link *link = link_of(step);
    const struct options *options = &link->mesh->options;

    if (unreachable(link)) {
        fail_unreachable(step, link);
        return;
    }
    if (options->throttle_mbps == 0 && options->latency_us == 0) {
        send_now(step);
        return;
    }
    link->free_ns = link->free_ns > now_ns ? link->free_ns : now_ns;
    if (options->throttle_mbps > 0)
        link->free_ns += (int64_t)((double)step->span.bytes * 8e3 / (double)options->throttle_mbps);
    step->ready_ns = link->free_ns + options->latency_us * 1000;
    put(&link->mesh->held, step);
}

bool message_release(struct mesh *mesh, int64_t now_ns, int64_t *next_ns)
{
    bool moved = false;

    for (struct step *step = mesh->held, *next; step != NULL; step = next) {
        next = step->next;
        if (step->ready_ns <= now_ns) {
            take(step);
            send_now(step);
            moved = true;
        } else if (step->ready_ns < *next_ns) {
            *next_ns = step->ready_ns;
        }
    }
    return moved;
}

/* ---- receives ---- */

/* The sender has offered what `step` is to receive. */
static void fetch(struct link *link, struct step *step, const struct frame *frame, const struct offer *offer)
{
    if (!fits(step, frame))
        return;
    step->offer = *offer;
    if (link->shared.direct) {
        put(&link->reading, step);
    } else {
        put(&link->accepted, step);
        enqueue_step(link, step, FRAME_ACCEPT, span_of_memory(NULL, 0));
        flush(link);
    }
}

static void store(struct step *step, const char *data, int64_t bytes)
{
    int64_t run;

    if (step->dtype == LLMRUN_NONE)
        span_write(&step->span, step->done, data, bytes);
    else if (bytes > 0)
        arithmetic_join(step->dtype, step->reduction, span_at(&step->span, step->done, &run), step->base + step->done,
                        data, bytes);
    step->done += bytes;
}

/* The message for `step` that came before it, or NULL. It leaves the list of arrivals. */
static struct arrival *take_arrival(struct link *link, const struct step *step)
{
    struct arrival **place = &link->arrivals, *found;

    while (*place != NULL && ((*place)->frame.kind == FRAME_FAIL || (*place)->frame.tag != tag_of(step) ||
                              (*place)->frame.context != step->request->communicator->context))
        place = &(*place)->next;
    found = *place;
    if (found == NULL || !found->whole)
        return NULL;
    *place = found->next;
    return found;
}

void message_receive(struct step *step)
{
    struct link *link = link_of(step);
    struct arrival *arrival = take_arrival(link, step);
    struct offer offer;

    if (arrival == NULL) {
        put(&link->posted, step);
        if (unreachable(link) && link->gone)
            fail_unreachable(step, link);
        return;
    }
    if (arrival->frame.kind == FRAME_OFFER) {
        memcpy(&offer, arrival->payload, sizeof offer);
        fetch(link, step, &arrival->frame, &offer);
    } else if (fits(step, &arrival->frame)) {
        store(step, arrival->payload, arrival->frame.bytes);
        end(step);
    }
    free(arrival);
}

/* ---- what comes in ---- */

static struct arrival *keep(struct link *link)
{
    struct arrival *arrival = malloc(sizeof *arrival + link->frame.bytes), **last = &link->arrivals;

    if (arrival == NULL) {
        link_break(link, "there is no memory for a message of %u bytes that came from it", link->frame.bytes);
        return NULL;
    }
    *arrival = (struct arrival){.frame = link->frame};
    while (*last != NULL)
        last = &(*last)->next;
    *last = arrival;
    return arrival;
}

/* Chooses where the payload of the frame that begins goes. */
static void begin_frame(struct link *link)
{
    const struct frame *frame = &link->frame;
    struct step *step;

    link->taken = 0;
    link->to = NULL;
    link->kept = NULL;
    if (frame->kind == FRAME_DATA) {
        step = find(link->accepted, frame);
        if (step != NULL && frame->offset == step->done && frame->bytes <= step->span.bytes - step->done)
            link->to = step;
        return;
    }
    if (frame->kind != FRAME_EAGER && frame->kind != FRAME_OFFER && frame->kind != FRAME_FAIL)
        return;
    if (frame->bytes > FRAME_KEPT_BYTES || (frame->kind == FRAME_OFFER && frame->bytes != sizeof(struct offer))) {
        link_break(link, "it sent a frame of kind %u with %u bytes", frame->kind, frame->bytes);
        return;
    }
    step = frame->kind == FRAME_EAGER ? find(link->posted, frame) : NULL;
    if (step != NULL && frame->bytes == frame->total && fits(step, frame)) {
        take(step);
        put(&link->accepted, step);
        link->to = step;
    } else if (step == NULL) {
        link->kept = keep(link);
    }
}

/* A message is there, whole. */
static void finish_kept(struct link *link)
{
    struct arrival *arrival = link->kept;
    struct step *step;

    arrival->whole = true;
    if (arrival->frame.kind == FRAME_FAIL) {
        fail_told(link, &arrival->frame, arrival->payload, arrival->frame.bytes);
        return;
    }
    step = find(link->posted, &arrival->frame);
    if (step != NULL) {
        take(step);
        message_receive(step);
    }
}

static void finish_frame(struct link *link)
{
    const struct frame frame = link->frame;
    struct step *step;

    link->frame.kind = 0;
    if (link->kept != NULL)
        finish_kept(link);
    else if (link->to != NULL && link->to->done == link->to->span.bytes)
        end(link->to);
    link->to = NULL;
    link->kept = NULL;
    switch (frame.kind) {
    case FRAME_ACCEPT:
        step = find(link->offered, &frame);
        if (step != NULL && !step->queued) {
            take(step);
            enqueue_step(link, step, FRAME_DATA, step->span);
        }
        break;
    case FRAME_DONE:
        step = find(link->offered, &frame);
        if (step != NULL && !step->queued)
            end(step);
        break;
    case FRAME_BYE:
        link->left = true;
        break;
    default:
        break;
    }
}

/* Moves some payload to where it goes. Returns how much, 0 where none is there. */
static int64_t take_payload(struct link *link, int64_t left)
{
    const bool stores = link->to != NULL && link->to->dtype == LLMRUN_NONE;
    const char *data;
    int64_t bytes, run;

    if (stores && link->wire->read_into != NULL) {
        char *at = span_at(&link->to->span, link->to->done, &run);

        bytes = link->wire->read_into(link, at, run < left ? run : left);
        link->to->done += bytes > 0 ? bytes : 0;
        return bytes;
    }
    bytes = link->wire->read(link, left, &data);
    if (bytes <= 0)
        return bytes;
    if (link->to != NULL)
        store(link->to, data, bytes);
    else if (link->kept != NULL)
        memcpy(link->kept->payload + link->taken, data, (size_t)bytes);
    return bytes;
}

/* Takes one frame in, or as much of it as there is. True when something came. */
static bool take_frame(struct link *link)
{
    bool moved = false;

    if (link->frame.kind == 0) {
        if (link->wire->next(link, &link->frame) <= 0)
            return false;
        begin_frame(link);
        moved = true;
    }
    while (link->taken < link->frame.bytes && link->broken[0] == '\0') {
        const int64_t bytes = take_payload(link, link->frame.bytes - link->taken);

        if (bytes <= 0)
            return moved;
        link->taken += bytes;
        moved = true;
    }
    if (link->broken[0] != '\0')
        return false;
    link->wire->end(link);
    finish_frame(link);
    return true;
}

bool message_progress(struct link *link)
{
    bool moved = false;

    if (link->gone)
        return false;
    while (take_frame(link))
        moved = true;
    if (link->reading != NULL && !link->closed) {
        struct step *step = link->reading;

        moved = true;
        if (direct_read(link)) {
            take(step);
            enqueue_step(link, step, FRAME_DONE, span_of_memory(NULL, 0));
        } else if (atomic_load(&step->request->communicator->failed) != LLMRUN_OK) {
            take(step);
        }
    }
    return flush(link) || moved;
}

void message_withdraw(struct step *step)
{
    struct link *link;

    take(step);
    if (step->peer < 0)
        return;
    link = link_of(step);
    if (link == NULL)
        return;
    if (link->to == step)
        link->to = NULL;
    if (step->queued) {
        struct outgoing **place = &link->first, *last = NULL;

        if (link->first == &step->out)
            link->wire->drop(link);
        for (; *place != &step->out; place = &(*place)->next)
            last = *place;
        *place = step->out.next;
        link->last = link->last == &step->out ? last : link->last;
        step->queued = false;
    }
}
