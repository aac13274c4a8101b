/* Captured work, with the rules of CUDA's stream capture. What is recorded is a list in the order of the calls, each
 * command with its branch: 0 is the stream that the capture began on, the others are streams that joined. A replay
 * enqueues the list again, branch 0 on the stream of the replay and each other branch on a stream of the graph's own,
 * so that branches race as they do in a graph of a real device. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fakegpu.h"

struct recorded {
    struct command *command; /* a record's point stands for those of the replays */
    int32_t branch;
    int64_t before; /* the command before it on its branch, -1: none */
    bool joined;    /* the end of branch 0 comes after it */
};

struct capture {
    struct capture *next;
    struct llmrun_stream *origin;
    struct llmrun_error failure; /* the first one; the capture is void from then on */
    struct recorded *list;
    int64_t count, capacity;
    int32_t branches;
};

struct llmrun_graph {
    struct llmrun_device *device;
    struct recorded *list;
    int64_t count;
    struct llmrun_stream **streams; /* of each branch; [0] is the stream of the replay */
    int32_t branches;
    struct point *last; /* the end of the latest replay, NULL: none yet */
};

/* ---- Recording; with the lock held ---- */

void capture_spoil(struct capture *capture, int32_t code, const char *why)
{
    if (capture->failure.code == LLMRUN_OK)
        wrapped_fail(&capture->failure, code, "the capture is void: %.400s", why);
}

int32_t capture_check(const struct llmrun_stream *stream, struct llmrun_error *error)
{
    const struct llmrun_error *failure;

    if (stream->capture == NULL || stream->capture->failure.code == LLMRUN_OK)
        return LLMRUN_OK;
    failure = &stream->capture->failure;
    return wrapped_fail(error, failure->code, "%s", failure->message);
}

int32_t capture_refuse(struct llmrun_device *device, const char *call, struct llmrun_error *error)
{
    char why[96];

    if (device->captures == NULL)
        return LLMRUN_OK;
    snprintf(why, sizeof why, "%s was called in the midst of it", call);
    for (struct capture *capture = device->captures; capture != NULL; capture = capture->next)
        capture_spoil(capture, LLMRUN_ERROR_ARGUMENT, why);
    return wrapped_fail(error, LLMRUN_ERROR_ARGUMENT, "%s was called during a capture", call);
}

int32_t capture_refuse_event(const struct point *point, const char *call, struct llmrun_error *error)
{
    char why[96];

    if (point == NULL || !point->captured)
        return LLMRUN_OK;
    snprintf(why, sizeof why, "%s was given an event that was recorded in it", call);
    if (point->capture != NULL)
        capture_spoil(point->capture, LLMRUN_ERROR_ARGUMENT, why);
    return wrapped_fail(error, LLMRUN_ERROR_ARGUMENT, "%s was given an event that was recorded in a capture", call);
}

int32_t capture_join(struct llmrun_stream *stream, const struct point *point, struct llmrun_error *error)
{
    struct capture *other = point != NULL ? point->capture : NULL;

    if (stream->capture == NULL && (point == NULL || !point->captured))
        return LLMRUN_OK;
    if (stream->capture == NULL && other == NULL)
        return wrapped_fail(error, LLMRUN_ERROR_ARGUMENT,
                            "the event was last recorded in a capture that is over, so nothing can wait for it");
    if (stream->capture == NULL) {
        if (other->failure.code != LLMRUN_OK)
            return wrapped_fail(error, other->failure.code, "%s", other->failure.message);
        stream->capture = other;
        stream->branch = other->branches++;
        stream->tail = -1;
    }
    if (stream->capture == other)
        return LLMRUN_OK;
    capture_spoil(stream->capture, LLMRUN_ERROR_ARGUMENT, "a stream of it waited for work outside of it");
    if (other != NULL)
        capture_spoil(other, LLMRUN_ERROR_ARGUMENT, "a stream of another capture waited for it");
    return wrapped_fail(error, LLMRUN_ERROR_ARGUMENT,
                        "a stream of a capture cannot wait for an event that was not recorded in it");
}

void capture_append(struct llmrun_stream *stream, struct command *command)
{
    struct capture *capture = stream->capture;

    if (capture->count == capture->capacity) {
        const int64_t capacity = capture->capacity > 0 ? 2 * capture->capacity : 64;
        struct recorded *list = realloc(capture->list, (size_t)capacity * sizeof *list);

        if (list == NULL) {
            capture_spoil(capture, LLMRUN_ERROR_MEMORY, "no memory for a longer one");
            queue_release(command->point);
            free(command);
            return;
        }
        capture->list = list;
        capture->capacity = capacity;
    }
    if (command->kind == COMMAND_RECORD) {
        command->point->captured = true;
        command->point->capture = capture;
        command->point->at = capture->count;
    } else if (command->kind == COMMAND_LAUNCH) {
        command->kernel->recorded++;
    }
    capture->list[capture->count] =
        (struct recorded){.command = command, .branch = stream->branch, .before = stream->tail};
    stream->tail = capture->count++;
}

/* Lets go of what a recorded list names. */
static void drop_list(struct recorded *list, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        struct command *command = list[i].command;

        if (command->kind == COMMAND_RECORD) {
            queue_release(command->point->replayed);
            command->point->replayed = NULL;
        }
        if (command->kind == COMMAND_LAUNCH)
            work_forget(command->kernel);
        queue_release(command->point);
        free(command);
    }
    free(list);
}

/* The capture is over: its streams run their work again, its events stand for nothing. */
static void leave(struct llmrun_device *device, struct capture *capture)
{
    struct capture **link = &device->captures;

    while (*link != capture)
        link = &(*link)->next;
    *link = capture->next;
    for (struct llmrun_stream *stream = device->streams; stream != NULL; stream = stream->next)
        if (stream->capture == capture)
            stream->capture = NULL;
    for (int64_t i = 0; i < capture->count; i++)
        if (capture->list[i].command->kind == COMMAND_RECORD)
            capture->list[i].command->point->capture = NULL;
}

void capture_forget_stream(struct llmrun_stream *stream)
{
    struct capture *capture = stream->capture;

    if (capture == NULL)
        return;
    if (capture->origin != stream) {
        capture_spoil(capture, LLMRUN_ERROR_ARGUMENT, "a stream of it was destroyed");
        return;
    }
    leave(stream->device, capture);
    drop_list(capture->list, capture->count);
    free(capture);
}

static bool is_work(const struct command *command)
{
    return command->kind != COMMAND_RECORD && command->kind != COMMAND_WAIT;
}

/* All work of the branches must come before the end of branch 0, through waits for events. */
static void check_joined(struct capture *capture)
{
    struct recorded *list = capture->list;

    if (capture->origin->tail >= 0)
        list[capture->origin->tail].joined = true;
    for (int64_t i = capture->count - 1; i >= 0; i--) {
        if (list[i].joined && list[i].before >= 0)
            list[list[i].before].joined = true;
        if (list[i].joined && list[i].command->kind == COMMAND_WAIT)
            list[list[i].command->point->at].joined = true;
        if (!list[i].joined && is_work(list[i].command))
            capture_spoil(capture, LLMRUN_ERROR_ARGUMENT, "a stream that joined it was not joined back before its end");
    }
}

/* ---- Entries of the table ---- */

static int32_t begin(struct llmrun_stream *stream, struct llmrun_error *error)
{
    struct llmrun_device *device = stream->device;
    struct capture *made = calloc(1, sizeof *made);
    int32_t code = LLMRUN_OK;

    if (made == NULL)
        return wrapped_fail(error, LLMRUN_ERROR_MEMORY, "no memory for a capture");
    pthread_mutex_lock(&device->lock);
    if (stream->capture != NULL) {
        code = wrapped_fail(error, LLMRUN_ERROR_ARGUMENT, "the stream is part of a capture already");
        free(made);
    } else {
        made->origin = stream;
        made->branches = 1;
        made->next = device->captures;
        device->captures = made;
        stream->capture = made;
        stream->branch = 0;
        stream->tail = -1;
    }
    pthread_mutex_unlock(&device->lock);
    return code;
}

static void destroy(struct llmrun_graph *graph)
{
    struct llmrun_device *device;

    if (graph == NULL)
        return;
    device = graph->device;
    pthread_mutex_lock(&device->lock);
    while (graph->last != NULL && !graph->last->reached && queue_advance(device, -1))
        ;
    drop_list(graph->list, graph->count);
    queue_release(graph->last);
    pthread_mutex_unlock(&device->lock);
    for (int32_t i = 1; graph->streams != NULL && i < graph->branches; i++)
        queue_stream_destroy(graph->streams[i]);
    free(graph->streams);
    free(graph);
}

/* Takes the list of a capture that is whole. */
static int32_t make_graph(struct llmrun_device *device, struct capture *capture, struct llmrun_graph **graph,
                          struct llmrun_error *error)
{
    struct llmrun_graph *made = calloc(1, sizeof *made);
    int32_t code = LLMRUN_OK;

    if (made == NULL)
        return wrapped_fail(error, LLMRUN_ERROR_MEMORY, "no memory for a graph");
    made->device = device;
    made->branches = capture->branches;
    made->list = capture->list;
    made->count = capture->count;
    capture->list = NULL;
    capture->count = 0;
    made->streams = calloc((size_t)made->branches, sizeof(struct llmrun_stream *));
    if (made->streams == NULL)
        code = wrapped_fail(error, LLMRUN_ERROR_MEMORY, "no memory for a graph");
    for (int32_t i = 1; i < made->branches && code == LLMRUN_OK; i++)
        code = queue_stream_create(device, LLMRUN_STREAM_COMPUTE, &made->streams[i], error);
    if (code == LLMRUN_OK)
        *graph = made;
    else
        destroy(made);
    return code;
}

static int32_t end(struct llmrun_stream *stream, struct llmrun_graph **graph, struct llmrun_error *error)
{
    struct llmrun_device *device = stream->device;
    struct capture *capture;
    int32_t code;

    pthread_mutex_lock(&device->lock);
    capture = stream->capture;
    if (capture == NULL || capture->origin != stream) {
        if (capture != NULL)
            capture_spoil(capture, LLMRUN_ERROR_ARGUMENT, "it was ended on another stream than it began on");
        pthread_mutex_unlock(&device->lock);
        return wrapped_fail(error, LLMRUN_ERROR_ARGUMENT, "no capture began on this stream");
    }
    check_joined(capture);
    code = capture_check(stream, error);
    leave(device, capture);
    pthread_mutex_unlock(&device->lock);
    if (code == LLMRUN_OK)
        code = make_graph(device, capture, graph, error);
    pthread_mutex_lock(&device->lock);
    drop_list(capture->list, capture->count);
    pthread_mutex_unlock(&device->lock);
    free(capture);
    return code;
}

/* Enqueues one recorded command. */
static int32_t enqueue(struct llmrun_stream *stream, const struct command *recorded, struct llmrun_error *error)
{
    struct point *point = NULL;
    struct command *command = NULL;
    int32_t code = queue_command(stream, recorded->kind, &command, error);

    if (code != LLMRUN_OK)
        return code;
    if (recorded->kind == COMMAND_RECORD) {
        point = calloc(1, sizeof *point);
        if (point == NULL) {
            free(command);
            return wrapped_fail(error, LLMRUN_ERROR_MEMORY, "no memory for enqueued work");
        }
        point->references = 1; /* the list's; the command's is counted below */
        queue_release(recorded->point->replayed);
        recorded->point->replayed = point;
    } else if (recorded->kind == COMMAND_WAIT) {
        point = recorded->point->replayed;
    } else if (recorded->kind == COMMAND_LAUNCH) {
        recorded->kernel->pending++;
    }
    *command = *recorded;
    command->next = NULL;
    command->point = point;
    if (point != NULL)
        point->references++;
    queue_append(stream, command);
    return LLMRUN_OK;
}

/* The point where `stream` is now. */
static int32_t mark(struct llmrun_stream *stream, struct point **at, struct llmrun_error *error)
{
    struct point holder = {.replayed = *at};
    const struct command record = {.kind = COMMAND_RECORD, .point = &holder};
    int32_t code = enqueue(stream, &record, error);

    *at = holder.replayed;
    return code;
}

static int32_t replay(struct llmrun_stream *stream, struct llmrun_graph *graph, struct llmrun_error *error)
{
    struct llmrun_device *device = stream->device;
    struct point holder = {.replayed = graph->last};
    const struct command after = {.kind = COMMAND_WAIT, .point = &holder};
    int32_t code = LLMRUN_OK;

    if (graph->device != device)
        return wrapped_fail(error, LLMRUN_ERROR_ARGUMENT, "the graph belongs to another device");
    pthread_mutex_lock(&device->lock);
    if (stream->capture != NULL)
        code = capture_refuse(device, "replay", error);
    for (int64_t i = 0; i < graph->count && code == LLMRUN_OK; i++)
        if (graph->list[i].command->kind == COMMAND_LAUNCH && graph->list[i].command->kernel->destroyed)
            code = wrapped_fail(error, LLMRUN_ERROR_ARGUMENT, "command %lld of the graph launches a destroyed kernel",
                                (long long)i);
    if (code == LLMRUN_OK && graph->last != NULL)
        code = enqueue(stream, &after, error);
    for (int64_t i = 0; i < graph->count && code == LLMRUN_OK; i++) {
        const struct recorded *recorded = &graph->list[i];

        code = enqueue(recorded->branch == 0 ? stream : graph->streams[recorded->branch], recorded->command, error);
    }
    if (code == LLMRUN_OK)
        code = mark(stream, &graph->last, error);
    pthread_mutex_unlock(&device->lock);
    return code;
}

const struct llmrun_capture_table fakegpu_capture_table = {
    .size = sizeof(struct llmrun_capture_table),
    .begin = begin,
    .end = end,
    .replay = replay,
    .destroy = destroy,
};
