#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fakegpu.h"
#include "runtime/clock.h"

#define PENDING_MAX 16384 /* enqueueing more makes some of it run, as a full queue of a real device does */

/* splitmix64 (Steele, Lea and Flood 2014) */
static uint64_t draw(struct llmrun_device *device)
{
    uint64_t z = device->random += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void queue_release(struct point *point)
{
    if (point != NULL && --point->references == 0)
        free(point);
}

int32_t queue_command(struct llmrun_stream *stream, enum command_kind kind, struct command **command,
                      struct llmrun_error *error)
{
    struct llmrun_device *device = stream->device;
    struct command *made;
    int32_t code = capture_check(stream, error);

    if (code != LLMRUN_OK)
        return code;
    while (device->pending >= PENDING_MAX && queue_step(device))
        ;
    made = device->spare; /* only now: each step gives one back */
    if (made != NULL)
        device->spare = made->next;
    else
        made = malloc(sizeof *made);
    if (made == NULL)
        return wrapped_fail(error, LLMRUN_ERROR_MEMORY, "no memory for enqueued work");
    made->next = NULL;
    made->kind = kind;
    made->point = NULL;
    *command = made;
    return LLMRUN_OK;
}

void queue_append(struct llmrun_stream *stream, struct command *command)
{
    if (stream->capture != NULL) {
        capture_append(stream, command);
        return;
    }
    if (stream->last != NULL)
        stream->last->next = command;
    else
        stream->first = command;
    stream->last = command;
    stream->device->pending++;
}

static bool may_run(const struct llmrun_stream *stream)
{
    const struct command *command = stream->first;

    return command != NULL && (command->kind != COMMAND_WAIT || command->point->reached);
}

static void run(struct llmrun_stream *stream, struct command *command)
{
    struct llmrun_device *device = stream->device;
    const bool was_well = stream->failure.code == LLMRUN_OK;

    if (command->kind == COMMAND_RECORD) {
        command->point->reached = true;
        command->point->time_ns = clock_now_ns();
        command->point->failure = stream->failure;
    } else if (command->kind == COMMAND_WAIT) {
        if (was_well)
            stream->failure = command->point->failure;
    } else if (was_well) {
        struct llmrun_error failure = {0};
        int32_t code = work_execute(stream, command, &failure);

        if (code != LLMRUN_OK) {
            failure.code = code;
            stream->failure = failure;
        }
    }
    if (was_well && stream->failure.code != LLMRUN_OK && device->failure.code == LLMRUN_OK)
        device->failure = stream->failure;
}

bool queue_step(struct llmrun_device *device)
{
    struct llmrun_stream *chosen = NULL;
    struct command *command;

    /* One stream runs ahead of all others until the lots are drawn again: so orders come up that fair turns never give.
     */
    if (draw(device) % 8 == 0)
        for (struct llmrun_stream *stream = device->streams; stream != NULL; stream = stream->next)
            stream->priority = draw(device);
    for (struct llmrun_stream *stream = device->streams; stream != NULL; stream = stream->next)
        if (may_run(stream) && (chosen == NULL || stream->priority > chosen->priority))
            chosen = stream;
    if (chosen == NULL)
        return false;
    command = chosen->first;
    chosen->first = command->next;
    if (chosen->first == NULL)
        chosen->last = NULL;
    run(chosen, command);
    if (command->kind == COMMAND_LAUNCH)
        command->kernel->pending--;
    queue_release(command->point);
    device->pending--;
    command->next = device->spare;
    device->spare = command;
    return true;
}

bool queue_advance(struct llmrun_device *device, int64_t deadline_ns)
{
    const struct timespec deadline = {deadline_ns / 1000000000, deadline_ns % 1000000000};

    if (queue_step(device))
        return true;
    if (device->armed == 0)
        return false;
    if (deadline_ns < 0)
        return pthread_cond_wait(&device->signalled, &device->lock) == 0;
    return pthread_cond_timedwait(&device->signalled, &device->lock, &deadline) == 0;
}

int32_t queue_stream_create(struct llmrun_device *device, uint32_t kind, struct llmrun_stream **stream,
                            struct llmrun_error *error)
{
    struct llmrun_stream *made = calloc(1, sizeof *made);
    int32_t code;

    if (made == NULL)
        return wrapped_fail(error, LLMRUN_ERROR_MEMORY, "no memory for a stream");
    made->device = device;
    code = inner->device->stream_create(device->worker, kind, &made->worker, error);
    if (code == LLMRUN_OK)
        code = inner->device->event_create(device->worker, &made->done, error);
    if (code != LLMRUN_OK) {
        inner->device->stream_destroy(made->worker);
        free(made);
        return code;
    }
    pthread_mutex_lock(&device->lock);
    made->priority = draw(device);
    made->next = device->streams;
    device->streams = made;
    pthread_mutex_unlock(&device->lock);
    *stream = made;
    return LLMRUN_OK;
}

void queue_stream_destroy(struct llmrun_stream *stream)
{
    struct llmrun_device *device;
    struct llmrun_stream **link;

    if (stream == NULL)
        return;
    device = stream->device;
    pthread_mutex_lock(&device->lock);
    capture_forget_stream(stream);
    while (stream->first != NULL && queue_advance(device, -1))
        ;
    for (link = &device->streams; *link != stream; link = &(*link)->next)
        ;
    *link = stream->next;
    pthread_mutex_unlock(&device->lock);
    inner->device->event_destroy(stream->done);
    inner->device->stream_destroy(stream->worker);
    free(stream);
}

int32_t queue_event_create(struct llmrun_device *device, struct llmrun_event **event, struct llmrun_error *error)
{
    struct llmrun_event *made = calloc(1, sizeof *made);

    if (made == NULL)
        return wrapped_fail(error, LLMRUN_ERROR_MEMORY, "no memory for an event");
    made->device = device;
    *event = made;
    return LLMRUN_OK;
}

/* With the lock held. */
static void complete(struct llmrun_event *event)
{
    event->point->armed = false;
    event->point->reached = true;
    event->point->time_ns = clock_now_ns();
    event->device->armed--;
    pthread_cond_broadcast(&event->device->signalled);
}

static int32_t arm(struct llmrun_event *event, struct llmrun_error *error)
{
    struct point *point;

    if (event->point != NULL && !event->point->reached)
        return wrapped_fail(error, LLMRUN_ERROR_ARGUMENT, "an event is armed that is not ready");
    point = calloc(1, sizeof *point);
    if (point == NULL)
        return wrapped_fail(error, LLMRUN_ERROR_MEMORY, "no memory to arm an event");
    queue_release(event->point);
    *point = (struct point){.references = 1, .armed = true};
    event->point = point;
    event->device->armed++;
    return LLMRUN_OK;
}

int32_t queue_event_signal(struct llmrun_event *event, uint32_t state, struct llmrun_error *error)
{
    struct llmrun_device *device = event->device;
    int32_t code;

    if (state > LLMRUN_EVENT_READY)
        return wrapped_fail(error, LLMRUN_ERROR_UNSUPPORTED, "event state %u is unknown", state);
    pthread_mutex_lock(&device->lock);
    code = capture_refuse_event(event->point, "event_signal", error);
    if (code == LLMRUN_OK && state == LLMRUN_EVENT_NOT_READY)
        code = arm(event, error);
    else if (code == LLMRUN_OK && (event->point == NULL || !event->point->armed))
        code = wrapped_fail(error, LLMRUN_ERROR_ARGUMENT, "an event is completed that was not armed");
    else if (code == LLMRUN_OK)
        complete(event);
    pthread_mutex_unlock(&device->lock);
    return code;
}

void queue_event_destroy(struct llmrun_event *event)
{
    if (event == NULL)
        return;
    pthread_mutex_lock(&event->device->lock);
    if (event->point != NULL && event->point->armed)
        complete(event);
    while (event->point != NULL && !event->point->captured && !event->point->reached &&
           queue_advance(event->device, -1))
        ;
    queue_release(event->point);
    pthread_mutex_unlock(&event->device->lock);
    free(event);
}

int32_t queue_record(struct llmrun_stream *stream, struct llmrun_event *event, struct llmrun_error *error)
{
    struct llmrun_device *device = stream->device;
    struct point *point;
    struct command *command = NULL;
    int32_t code;

    if (event->device != device)
        return wrapped_fail(error, LLMRUN_ERROR_ARGUMENT, "the event belongs to another device");
    if (event->point != NULL && event->point->armed)
        return wrapped_fail(error, LLMRUN_ERROR_ARGUMENT, "an armed event is recorded");
    point = calloc(1, sizeof *point);
    if (point == NULL)
        return wrapped_fail(error, LLMRUN_ERROR_MEMORY, "no memory to record an event");
    pthread_mutex_lock(&device->lock);
    code = queue_command(stream, COMMAND_RECORD, &command, error);
    if (code == LLMRUN_OK) {
        queue_release(event->point);
        point->references = 2; /* the event and the command */
        event->point = point;
        command->point = point;
        queue_append(stream, command);
    } else {
        free(point);
    }
    pthread_mutex_unlock(&device->lock);
    return code;
}

int32_t queue_wait(struct llmrun_stream *stream, struct llmrun_event *event, struct llmrun_error *error)
{
    struct llmrun_device *device = stream->device;
    struct command *command = NULL;
    int32_t code;

    if (event->device != device)
        return wrapped_fail(error, LLMRUN_ERROR_ARGUMENT, "the event belongs to another device");
    pthread_mutex_lock(&device->lock);
    code = capture_join(stream, event->point, error);
    if (code == LLMRUN_OK && event->point != NULL) {
        code = queue_command(stream, COMMAND_WAIT, &command, error);
        if (code == LLMRUN_OK) {
            event->point->references++;
            command->point = event->point;
            queue_append(stream, command);
        }
    }
    pthread_mutex_unlock(&device->lock);
    return code;
}

/* With the lock held: what an event says. */
static int32_t outcome(const struct llmrun_event *event, uint32_t *state, struct llmrun_error *error)
{
    *state = event->point == NULL || event->point->reached ? LLMRUN_EVENT_READY : LLMRUN_EVENT_NOT_READY;
    if (event->point == NULL || !event->point->reached || event->point->failure.code == LLMRUN_OK)
        return LLMRUN_OK;
    if (error != NULL)
        *error = event->point->failure;
    return event->point->failure.code;
}

int32_t queue_event_query(struct llmrun_event *event, uint32_t *state, struct llmrun_error *error)
{
    struct llmrun_device *device = event->device;
    int32_t code;

    pthread_mutex_lock(&device->lock);
    code = capture_refuse_event(event->point, "event_query", error);
    if (code == LLMRUN_OK) {
        for (uint64_t steps = draw(device) % 8; steps > 0 && event->point != NULL && !event->point->reached; steps--)
            queue_step(device);
        code = outcome(event, state, error);
    }
    pthread_mutex_unlock(&device->lock);
    return code;
}

int32_t queue_event_wait(struct llmrun_event *event, int64_t timeout_ns, struct llmrun_error *error)
{
    const int64_t now = clock_now_ns();
    const int64_t deadline = timeout_ns < 0 ? -1 : timeout_ns < INT64_MAX - now ? now + timeout_ns : INT64_MAX;
    struct llmrun_device *device = event->device;
    uint32_t state;
    int32_t code;

    if (timeout_ns == 0) {
        code = queue_event_query(event, &state, error);
    } else {
        pthread_mutex_lock(&device->lock);
        code = capture_refuse_event(event->point, "event_wait", error);
        while (code == LLMRUN_OK && event->point != NULL && !event->point->reached && queue_advance(device, deadline))
            ;
        if (code == LLMRUN_OK)
            code = outcome(event, &state, error);
        pthread_mutex_unlock(&device->lock);
    }
    if (code == LLMRUN_OK && state == LLMRUN_EVENT_NOT_READY)
        return wrapped_fail(error, LLMRUN_ERROR_TIMEOUT, "the event was not reached within %lld ns",
                            (long long)timeout_ns);
    return code;
}

int32_t queue_event_elapsed(struct llmrun_event *start, struct llmrun_event *end, int64_t *ns,
                            struct llmrun_error *error)
{
    struct llmrun_device *device = start->device;
    bool ready;

    pthread_mutex_lock(&device->lock);
    ready = start->point != NULL && start->point->reached && end->point != NULL && end->point->reached;
    if (ready)
        *ns = end->point->time_ns - start->point->time_ns;
    pthread_mutex_unlock(&device->lock);
    return ready ? LLMRUN_OK
                 : wrapped_fail(error, LLMRUN_ERROR_ARGUMENT, "an event was not recorded, or is not ready yet");
}

/* The queue is known by its stream, the memory by the address that memory_alloc gave. Address 0: the stream alone. */
int32_t queue_export_native(struct llmrun_stream *stream, uint64_t address, struct llmrun_native *native,
                            struct llmrun_error *error)
{
    struct llmrun_device *device = stream->device;
    struct llmrun_native found = {.size = native->size < sizeof found ? native->size : (uint32_t)sizeof found,
                                  .domain = "fakegpu",
                                  .stream = (uint64_t)(uintptr_t)stream,
                                  .device = (uint64_t)device->index};
    const struct allocation *allocation;
    uint64_t data;
    int32_t code = LLMRUN_OK;

    pthread_mutex_lock(&device->lock);
    if (address != 0)
        code = gpu_memory_translate(device, address, 0, &data, error);
    if (address != 0 && code == LLMRUN_OK) {
        allocation = gpu_memory_find(device, address);
        found.buffer = allocation->address;
        found.offset = (int64_t)(address - allocation->address);
    }
    pthread_mutex_unlock(&device->lock);
    if (code == LLMRUN_OK)
        memcpy(native, &found, found.size);
    return code;
}

int32_t queue_synchronize(struct llmrun_device *device, struct llmrun_error *error)
{
    int32_t code;

    pthread_mutex_lock(&device->lock);
    code = capture_refuse(device, "synchronize", error);
    if (code == LLMRUN_OK) {
        while (device->pending > 0 && queue_advance(device, -1))
            ;
        code = device->failure.code;
        if (code != LLMRUN_OK && error != NULL)
            *error = device->failure;
    }
    pthread_mutex_unlock(&device->lock);
    return code;
}

void queue_close(struct llmrun_device *device)
{
    while (device->spare != NULL) {
        struct command *command = device->spare;

        device->spare = command->next;
        free(command);
    }
}
