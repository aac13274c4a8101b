#include <stdlib.h>
#include <string.h>

#include "runtime/fill.h"
#include "runtime/machine.h"
#include "runtime/runtime.h"
#include "runtime/wait.h"

/* Commands that wait their turn; enqueueing blocks while the ring is full. A power of two. */
#define RING 512

enum command_kind { COMMAND_COPY, COMMAND_FILL, COMMAND_LAUNCH, COMMAND_RECORD, COMMAND_WAIT, COMMAND_STOP };

struct command {
    enum command_kind kind;
    union {
        struct llmrun_copy copy;
        struct {
            uint64_t address;
            int64_t bytes;
            uint32_t pattern;
        } fill;
        struct {
            struct llmrun_kernel *kernel;
            void *workspace;
            void *operands[LLMRUN_MAX_OPERANDS];
        } launch;
        struct {
            struct llmrun_event *event;
            uint64_t point;
        } event;
    } as;
};

/* One producer (the host's thread), one consumer (the stream's thread). `tail` counts commands enqueued, `head`
 * commands done; both wrap. A side that sleeps says so first and looks again, the other moves its counter first and
 * then looks. */
struct llmrun_stream {
    _Alignas(64) _Atomic uint32_t tail;
    _Atomic uint32_t consumer_sleeps;
    _Alignas(64) _Atomic uint32_t head;
    _Atomic uint32_t head_watchers;
    _Alignas(64) struct llmrun_device *device;
    struct llmrun_stream *next;  /* in device->streams */
    struct llmrun_error failure; /* the stream's thread only: the first failure; work after it is skipped */
    pthread_t thread;
    int spins;
    struct command ring[RING];
};

static void run_copy(const struct llmrun_copy *copy)
{
    char *to = (char *)(uintptr_t)copy->to;
    const char *from = (const char *)(uintptr_t)copy->from;
    int64_t row;

    for (row = 0; row < copy->rows; row++)
        memcpy(to + row * copy->to_pitch, from + row * copy->from_pitch, (size_t)copy->row_bytes);
}

static void run_fill(struct llmrun_stream *stream, const struct command *command)
{
    struct llmrun_device *device = stream->device;
    void *memory = (void *)(uintptr_t)command->as.fill.address;

    if (command->as.fill.bytes <= FILL_SMALL) {
        fill_words(NULL, memory, command->as.fill.pattern, command->as.fill.bytes);
        return;
    }
    pthread_mutex_lock(&device->pool_lock);
    fill_words(device->pool, memory, command->as.fill.pattern, command->as.fill.bytes);
    pthread_mutex_unlock(&device->pool_lock);
}

static void run_launch(struct llmrun_stream *stream, const struct command *command)
{
    struct llmrun_device *device = stream->device;
    struct llmrun_kernel *kernel = command->as.launch.kernel;
    struct kernel_call call = {.op = &kernel->op,
                               .operands = command->as.launch.operands,
                               .workspace = command->as.launch.workspace,
                               .pool = device->pool,
                               .error = &stream->failure};

    pthread_mutex_lock(&device->pool_lock);
    kernel->implementation->run(&call);
    pthread_mutex_unlock(&device->pool_lock);
}

static void run_work(struct llmrun_stream *stream, const struct command *command)
{
    if (stream->failure.code != LLMRUN_OK)
        return;
    if (command->kind == COMMAND_COPY)
        run_copy(&command->as.copy);
    else if (command->kind == COMMAND_FILL)
        run_fill(stream, command);
    else
        run_launch(stream, command);
}

static void run_command(struct llmrun_stream *stream, const struct command *command)
{
    struct llmrun_device *device = stream->device;
    int32_t before = stream->failure.code;

    if (command->kind == COMMAND_RECORD)
        event_reach(command->as.event.event, command->as.event.point, &stream->failure);
    else if (command->kind == COMMAND_WAIT)
        event_pass(command->as.event.event, command->as.event.point, &stream->failure);
    else
        run_work(stream, command);
    if (stream->failure.code == before)
        return;
    pthread_mutex_lock(&device->failure_lock);
    if (device->failure.code == LLMRUN_OK)
        device->failure = stream->failure;
    pthread_mutex_unlock(&device->failure_lock);
}

static void await_command(struct llmrun_stream *stream, uint32_t done)
{
    int spins = stream->spins;

    while (atomic_load_explicit(&stream->tail, memory_order_acquire) == done) {
        if (spins-- > 0) {
            wait_pause();
            continue;
        }
        atomic_store(&stream->consumer_sleeps, 1);
        if (atomic_load(&stream->tail) == done)
            wait_sleep(&stream->tail, done);
        atomic_store(&stream->consumer_sleeps, 0);
    }
}

static void *stream_main(void *argument)
{
    struct llmrun_stream *stream = argument;
    uint32_t done = 0;

    for (;;) {
        const struct command *command = &stream->ring[done % RING];

        await_command(stream, done);
        if (command->kind == COMMAND_STOP)
            return NULL;
        run_command(stream, command);
        atomic_store(&stream->head, ++done);
        if (atomic_load(&stream->head_watchers) > 0)
            wait_wake(&stream->head);
    }
}

/* Waits until at most `left` of the commands before `tail` are still to be done. */
static void await_head(struct llmrun_stream *stream, uint32_t tail, uint32_t left)
{
    uint32_t head = atomic_load_explicit(&stream->head, memory_order_acquire);

    if ((int32_t)(tail - head) <= (int32_t)left)
        return;
    atomic_fetch_add(&stream->head_watchers, 1);
    while (head = atomic_load(&stream->head), (int32_t)(tail - head) > (int32_t)left)
        wait_sleep(&stream->head, head);
    atomic_fetch_sub(&stream->head_watchers, 1);
}

/* A free place in the ring, to be filled and then given to `enqueue`. */
static struct command *reserve(struct llmrun_stream *stream)
{
    uint32_t tail = atomic_load_explicit(&stream->tail, memory_order_relaxed);

    await_head(stream, tail, RING - 1);
    return &stream->ring[tail % RING];
}

static void enqueue(struct llmrun_stream *stream)
{
    atomic_fetch_add(&stream->tail, 1);
    if (atomic_load(&stream->consumer_sleeps))
        wait_wake(&stream->tail);
}

int32_t stream_create(struct llmrun_device *device, uint32_t kind, struct llmrun_stream **stream,
                      struct llmrun_error *error)
{
    struct llmrun_stream *made;

    if (kind < LLMRUN_STREAM_COMPUTE || kind > LLMRUN_STREAM_COMMUNICATION)
        return llmrun_fail(error, LLMRUN_ERROR_UNSUPPORTED, "stream kind %u is unknown", kind);
    made = aligned_alloc(64, sizeof(*made));
    if (made == NULL)
        return llmrun_fail(error, LLMRUN_ERROR_MEMORY, "there is no memory for a stream");
    memset(made, 0, sizeof(*made));
    made->device = device;
    made->spins = machine_spins(pool_threads(device->pool));
    if (machine_thread_start(&made->thread, "llmrun-stream", stream_main, made) != 0) {
        free(made);
        return llmrun_fail(error, LLMRUN_ERROR_MEMORY, "the system gives no thread for a stream");
    }
    pthread_mutex_lock(&device->streams_lock);
    made->next = device->streams;
    device->streams = made;
    pthread_mutex_unlock(&device->streams_lock);
    *stream = made;
    return LLMRUN_OK;
}

void stream_destroy(struct llmrun_stream *stream)
{
    struct llmrun_stream **link;

    if (stream == NULL)
        return;
    pthread_mutex_lock(&stream->device->streams_lock);
    for (link = &stream->device->streams; *link != stream; link = &(*link)->next)
        ;
    *link = stream->next;
    pthread_mutex_unlock(&stream->device->streams_lock);
    reserve(stream)->kind = COMMAND_STOP;
    enqueue(stream);
    pthread_join(stream->thread, NULL);
    free(stream);
}

int32_t stream_copy(struct llmrun_stream *stream, const struct llmrun_copy *given, struct llmrun_error *error)
{
    struct llmrun_copy own;
    const struct llmrun_copy *copy = &own;
    struct command *command;

    if (llmrun_read(given, LLMRUN_COPY_MIN, &own, sizeof(own), "a copy", error) != LLMRUN_OK)
        return LLMRUN_ERROR_ARGUMENT;
    if (copy->direction < LLMRUN_COPY_HOST_TO_DEVICE || copy->direction > LLMRUN_COPY_DEVICE_TO_DEVICE)
        return llmrun_fail(error, LLMRUN_ERROR_UNSUPPORTED, "copy direction %u is unknown", copy->direction);
    if (copy->to == 0 || copy->from == 0 || copy->rows < 1 || copy->row_bytes < 1)
        return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT,
                           "a copy needs two addresses, rows and bytes; it has %lld x %lld", (long long)copy->rows,
                           (long long)copy->row_bytes);
    if (copy->rows > 1 && (copy->to_pitch < copy->row_bytes || copy->from_pitch < copy->row_bytes))
        return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "rows of %lld bytes overlap at pitches of %lld and %lld",
                           (long long)copy->row_bytes, (long long)copy->to_pitch, (long long)copy->from_pitch);
    command = reserve(stream);
    command->kind = COMMAND_COPY;
    command->as.copy = *copy;
    enqueue(stream);
    return LLMRUN_OK;
}

int32_t stream_fill(struct llmrun_stream *stream, uint64_t address, uint32_t pattern, int64_t bytes,
                    struct llmrun_error *error)
{
    struct command *command;

    if (address == 0 || address % 4 != 0 || bytes < 0 || bytes % 4 != 0)
        return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "a fill of %lld bytes at %#llx is not one of whole words",
                           (long long)bytes, (unsigned long long)address);
    command = reserve(stream);
    command->kind = COMMAND_FILL;
    command->as.fill.address = address;
    command->as.fill.pattern = pattern;
    command->as.fill.bytes = bytes;
    enqueue(stream);
    return LLMRUN_OK;
}

int32_t stream_record(struct llmrun_stream *stream, struct llmrun_event *event, struct llmrun_error *error)
{
    struct command *command = reserve(stream);

    (void)error;
    command->kind = COMMAND_RECORD;
    command->as.event.event = event;
    command->as.event.point = event_enter_record(event);
    enqueue(stream);
    return LLMRUN_OK;
}

int32_t stream_wait(struct llmrun_stream *stream, struct llmrun_event *event, struct llmrun_error *error)
{
    struct command *command = reserve(stream);

    (void)error;
    command->kind = COMMAND_WAIT;
    command->as.event.event = event;
    command->as.event.point = event_enter_wait(event);
    enqueue(stream);
    return LLMRUN_OK;
}

int32_t stream_launch(struct llmrun_stream *stream, struct llmrun_kernel *kernel, const uint64_t *addresses,
                      uint32_t address_count, uint64_t workspace, struct llmrun_error *error)
{
    struct command *command;
    uint32_t i;

    if (address_count != kernel->address_count)
        return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "%s was launched with %u addresses; it has %u operands",
                           kernel->implementation->name, address_count, kernel->address_count);
    for (i = 0; i < address_count; i++)
        if ((addresses[i] != 0) != (kernel->op.operands[i].dtype != LLMRUN_NONE))
            return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "%s: operand %u was prepared as %s",
                               kernel->implementation->name, i, addresses[i] != 0 ? "absent" : "present");
    if (workspace == 0 && kernel->workspace_bytes > 0)
        return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "%s needs a workspace of %lld bytes",
                           kernel->implementation->name, (long long)kernel->workspace_bytes);
    command = reserve(stream);
    command->kind = COMMAND_LAUNCH;
    command->as.launch.kernel = kernel;
    command->as.launch.workspace = (void *)(uintptr_t)workspace;
    for (i = 0; i < kernel->op.operand_count; i++)
        command->as.launch.operands[i] = i < address_count ? (void *)(uintptr_t)addresses[i] : NULL;
    enqueue(stream);
    return LLMRUN_OK;
}

void stream_drain_all(struct llmrun_device *device)
{
    struct llmrun_stream *stream;

    pthread_mutex_lock(&device->streams_lock);
    for (stream = device->streams; stream != NULL; stream = stream->next)
        await_head(stream, atomic_load(&stream->tail), 0);
    pthread_mutex_unlock(&device->streams_lock);
}

int32_t stream_export(struct llmrun_stream *stream, uint64_t address, struct llmrun_native *native,
                      struct llmrun_error *error)
{
    struct llmrun_native found = {.domain = "host", .buffer = address};
    int32_t code = llmrun_check_size(native, LLMRUN_NATIVE_MIN, "a native view", error);

    (void)stream;
    if (code == LLMRUN_OK)
        llmrun_write(native, &found, sizeof(found));
    return code;
}
