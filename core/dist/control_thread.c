#include "dist/control_state.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The frame is an answer to a call that waits: it takes the frame over. */
static void take_result(struct control *control, struct frame *frame)
{
    struct wire_reader reader = wire_read(frame->data, frame->bytes);
    const uint64_t number = wire_take_u64(&reader);

    for (struct call *call = control->calls; call != NULL; call = call->next)
        if (call->number == number && !call->done) {
            call->result = *frame;
            call->done = true;
            frame->data = NULL;
            pthread_cond_broadcast(&control->changed);
            return;
        }
}

static void take_start(struct control *control, struct wire_reader *reader)
{
    for (int32_t i = 0; i < control->world && !control->started; i++) {
        wire_take_text(reader, control->peers[i].host, sizeof control->peers[i].host);
        control->peers[i].process = wire_take_u32(reader);
    }
    control->started = true;
    pthread_cond_broadcast(&control->changed);
}

static void take_verdict(struct control *control, struct wire_reader *reader)
{
    const int status = (int)wire_take_u32(reader);
    const uint32_t rank = wire_take_u32(reader);
    char sentence[sizeof control->failure.message];

    wire_take_text(reader, sentence, sizeof sentence);
    control_set_failure(control, rank == (uint32_t)control->rank ? status : STATUS_PEER, sentence);
}

static void take_refusal(struct control *control, struct wire_reader *reader)
{
    const int status = (int)wire_take_u32(reader);
    char sentence[sizeof control->failure.message];

    wire_take_text(reader, sentence, sizeof sentence);
    control_set_failure(control, status, sentence);
}

static void send_report(struct control *control)
{
    struct wire wire = {0};
    struct frame_part part;

    if (control->recorder != NULL)
        recorder_encode(control->recorder, &wire);
    part = (struct frame_part){wire.data, wire.failed ? 0 : wire.length};
    control_queue_beat(control);
    control_queue(control, FRAME_REPORT, &part, 1, NULL);
    free(wire.data);
}

static void send_join(struct control *control)
{
    struct wire wire = {0};
    struct frame_part part;
    char host[256] = "";

    gethostname(host, sizeof host - 1);
    host[PROTOCOL_HOST_BYTES - 1] = '\0';
    wire_put_text(&wire, host);
    wire_put_u32(&wire, (uint32_t)getpid());
    part = (struct frame_part){wire.data, wire.length};
    control_queue(control, FRAME_JOIN, &part, 1, NULL);
    free(wire.data);
}

static void take_frame(struct control *control, struct frame *frame)
{
    struct wire_reader reader = wire_read(frame->data, frame->bytes);

    switch (frame->type) {
    case FRAME_WELCOME:
        send_join(control);
        break;
    case FRAME_REFUSE:
        take_refusal(control, &reader);
        break;
    case FRAME_START:
        take_start(control, &reader);
        break;
    case FRAME_RESULT:
        take_result(control, frame);
        break;
    case FRAME_BEAT:
        control->root_step = (int64_t)wire_take_u64(&reader);
        wire_take_text(&reader, control->root_what, sizeof control->root_what);
        break;
    case FRAME_COLLECT:
        send_report(control);
        break;
    case FRAME_VERDICT:
        take_verdict(control, &reader);
        break;
    case FRAME_BYE:
        control->ended = true;
        break;
    default:
        break;
    }
    free(frame->data);
}

/* Rank 0 is the only one of which there is no verdict. */
static void lose_root(struct control *control, const char *how)
{
    const char *doing = atomic_load(&control->note_what);
    char sentence[sizeof control->failure.message], step[48] = "", own[160] = "";

    if (control->root_step > 0)
        snprintf(step, sizeof step, "step %lld in ", (long long)control->root_step);
    if (doing != NULL)
        snprintf(own, sizeof own, "; this rank is at step %lld in %.96s", (long long)atomic_load(&control->note_step),
                 doing);
    if (control->peers[0].host[0] == '\0')
        snprintf(sentence, sizeof sentence, "rank 0 %s before all ranks had come", how);
    else
        snprintf(sentence, sizeof sentence, "rank 0 on host %s (process %u) %s%s%s%s%s", control->peers[0].host,
                 control->peers[0].process, how, control->root_what[0] != '\0' ? "; it was at " : "",
                 control->root_what[0] != '\0' ? step : "", control->root_what, own);
    control_set_failure(control, STATUS_PEER, sentence);
}

static void read_all(struct control *control, int64_t now_ns)
{
    enum connection_answer answer;
    struct frame frame;

    while (!control->ended) {
        answer = connection_read(&control->connection, &frame);
        if (answer == CONNECTION_NOTHING)
            return;
        if (answer != CONNECTION_FRAME)
            break;
        control->heard_ns = now_ns;
        take_frame(control, &frame);
    }
    if (control->ended)
        return;
    control->ended = true;
    lose_root(control, answer == CONNECTION_CLOSED    ? "is gone: its connection was closed without a word"
                       : answer == CONNECTION_DAMAGED ? "sent a message that is damaged or forged"
                                                      : "sent a message for which this rank has no memory");
}

static void keep_time(struct control *control, int64_t now_ns)
{
    char how[160];

    if (now_ns - control->seen_ns > control->timeout_ns / 2)
        control->heard_ns += now_ns - control->seen_ns; /* this process did not run itself */
    control->seen_ns = now_ns;
    if (control->started && now_ns - control->beat_ns >= hub_beat_ns(control->timeout_ns)) {
        control->beat_ns = now_ns;
        control_queue_beat(control);
    }
    if (!control->started || control->ended || now_ns - control->heard_ns <= control->timeout_ns)
        return;
    snprintf(how, sizeof how, "has not been heard for %.1f s (parallel.timeout is %.6g s): it is stopped or cut off",
             1e-9 * (double)(now_ns - control->heard_ns), 1e-9 * (double)control->timeout_ns);
    lose_root(control, how);
    control->ended = true;
}

/* Once, without the mutex, so that it may ask control_failed. */
static void call_back(struct control *control)
{
    void (*callback)(void *, const struct error *) = control->callback;
    void *context = control->callback_context;
    const struct error failure = control->failure;

    if (callback == NULL || control->callback_done || !atomic_load(&control->failed))
        return;
    control->callback_done = control->callback_runs = true;
    pthread_mutex_unlock(&control->mutex);
    callback(context, &failure);
    pthread_mutex_lock(&control->mutex);
    control->callback_runs = false;
    pthread_cond_broadcast(&control->changed);
}

/* Whether nothing is left to do: rank 0 said goodbye, or it is gone and nobody needs this thread any more. */
static bool is_done(const struct control *control)
{
    return control->leaving && (control->ended || atomic_load(&control->failed));
}

void *control_thread(void *context)
{
    struct control *control = context;
    const int pause_ms = (int)(hub_beat_ns(control->timeout_ns) / 2000000 + 1);

    pthread_mutex_lock(&control->mutex);
    control->seen_ns = control->heard_ns = control->clock->monotonic_ns(control->clock);
    while (!is_done(control)) {
        struct pollfd waits[2] = {{.fd = control->wake, .events = POLLIN},
                                  {.fd = control->ended ? -1 : control->connection.socket, .events = POLLIN}};
        uint64_t woken;
        int64_t now_ns;

        if (connection_has_queue(&control->connection))
            waits[1].events |= POLLOUT;
        pthread_mutex_unlock(&control->mutex);
        poll(waits, 2, pause_ms);
        if (read(control->wake, &woken, sizeof woken) < 0)
            woken = 0; /* nobody did */
        pthread_mutex_lock(&control->mutex);
        now_ns = control->clock->monotonic_ns(control->clock);
        if (!control->ended)
            read_all(control, now_ns);
        keep_time(control, now_ns);
        if (!control->ended)
            connection_write(&control->connection);
        call_back(control);
    }
    pthread_mutex_unlock(&control->mutex);
    return NULL;
}
