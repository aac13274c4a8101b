/* The CPU backend, failing by order. The device option "faults", or FAULTY in the environment, lists what fails and
 * when, counted from 1 on each device: "alloc=3,event=2".
 *
 *   open=1        the device cannot be opened
 *   alloc=N       the N-th memory_alloc, host_alloc=N, stream=N, event_create=N, prepare=N: likewise, once
 *   launch=N      the N-th launch is refused when it is enqueued, once
 *   event=N       the N-th event_record, and every later one, carries a failure of the device
 *   hang=N        the N-th event_record, and every later one, is never reached
 *   liar=N        the N-th matmul, and every later one, has one wrong element
 *   begin=N       the N-th capture does not begin, end=N: does not end in a graph, once
 *   end_null=N    the N-th capture ends with success and no graph, once
 *   replay=N      the N-th replay is refused, once
 *   replayed=N    the work of the N-th replay fails: every event_record from then on carries it
 *   replay_hang=N the work of the N-th replay never ends: no event that is recorded from then on is reached
 *   kill_forward=N the process ends when the N-th attention is enqueued, kill_update=N: the N-th adamw
 *   stop_forward=N the process stops there until it gets SIGCONT, stop_update=N: likewise
 *
 * In a job of several ranks FAULT_RANK names the one whose devices fail. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <llmrun/ops.h>

#include "faulty.h"

static const char *const fault_names[FAULTS] = {
    "open",     "alloc",       "host_alloc",   "stream",      "event_create", "prepare",    "launch",
    "event",    "hang",        "liar",         "begin",       "end",          "end_null",   "replay",
    "replayed", "replay_hang", "kill_forward", "kill_update", "stop_forward", "stop_update"};

bool faulty_strikes(struct llmrun_device *device, enum fault fault)
{
    return ++device->count[fault] == device->at[fault];
}

/* True from the call that was named on. */
static bool has_struck(const struct llmrun_device *device, enum fault fault)
{
    return device->at[fault] > 0 && device->count[fault] >= device->at[fault];
}

static int32_t parse(const char *text, int64_t *at, struct llmrun_error *error)
{
    while (*text != '\0') {
        size_t length = strcspn(text, "=,");
        char *end = NULL;
        int i;

        for (i = 0; i < FAULTS; i++)
            if (strlen(fault_names[i]) == length && strncmp(fault_names[i], text, length) == 0)
                break;
        if (i < FAULTS && text[length] == '=')
            at[i] = strtoll(text + length + 1, &end, 10);
        if (end == NULL || end == text + length + 1 || at[i] < 1 || (*end != ',' && *end != '\0'))
            return wrapped_fail(error, LLMRUN_ERROR_ARGUMENT, "the faults '%s' are not of the form alloc=3,event=2",
                                text);
        text = *end == ',' ? end + 1 : end;
    }
    return LLMRUN_OK;
}

static bool is_meant(void)
{
    const char *rank = getenv("RANK"), *only = getenv("FAULT_RANK");

    return only == NULL || (rank != NULL && strcmp(rank, only) == 0);
}

static int32_t device_open(int32_t index, const struct llmrun_options *options, struct llmrun_device **device,
                           struct llmrun_error *error)
{
    const char *text = llmrun_option_value(options, "faults");
    struct llmrun_device *made = calloc(1, sizeof *made);
    int32_t code = LLMRUN_OK;

    if (made == NULL)
        return wrapped_fail(error, LLMRUN_ERROR_MEMORY, "no memory for a device");
    if (text == NULL && is_meant())
        text = getenv("FAULTY");
    if (text != NULL)
        code = parse(text, made->at, error);
    if (code == LLMRUN_OK && faulty_strikes(made, FAULT_OPEN))
        code = wrapped_fail(error, LLMRUN_ERROR_DEVICE, "the device could not be opened, as ordered");
    if (code == LLMRUN_OK)
        code = inner->device->open(index, options, &made->worker, error);
    if (code != LLMRUN_OK) {
        free(made);
        return code;
    }
    *device = made;
    return LLMRUN_OK;
}

static void device_close(struct llmrun_device *device)
{
    if (device == NULL)
        return;
    inner->device->close(device->worker);
    free(device);
}

static int32_t device_synchronize(struct llmrun_device *device, struct llmrun_error *error)
{
    int32_t code = inner->device->synchronize(device->worker, error);

    if (code == LLMRUN_OK && (has_struck(device, FAULT_EVENT) || has_struck(device, FAULT_REPLAYED)))
        return wrapped_fail(error, LLMRUN_ERROR_DEVICE, "the device failed, as ordered");
    return code;
}

static int32_t memory_allocate(struct llmrun_device *device, uint32_t kind, int64_t bytes, uint64_t *address,
                               struct llmrun_error *error)
{
    if (faulty_strikes(device, FAULT_ALLOC))
        return wrapped_fail(error, LLMRUN_ERROR_MEMORY, "allocation %lld, of %lld bytes, failed, as ordered",
                            (long long)device->at[FAULT_ALLOC], (long long)bytes);
    return inner->device->memory_alloc(device->worker, kind, bytes, address, error);
}

static void memory_release(struct llmrun_device *device, uint64_t address)
{
    inner->device->memory_free(device->worker, address);
}

static int32_t host_allocate(struct llmrun_device *device, int64_t bytes, void **memory, struct llmrun_error *error)
{
    if (faulty_strikes(device, FAULT_HOST_ALLOC))
        return wrapped_fail(error, LLMRUN_ERROR_MEMORY, "host allocation %lld, of %lld bytes, failed, as ordered",
                            (long long)device->at[FAULT_HOST_ALLOC], (long long)bytes);
    return inner->device->host_alloc(device->worker, bytes, memory, error);
}

static void host_release(struct llmrun_device *device, void *memory)
{
    inner->device->host_free(device->worker, memory);
}

static int32_t create_stream(struct llmrun_device *device, uint32_t kind, struct llmrun_stream **stream,
                             struct llmrun_error *error)
{
    struct llmrun_stream *made = calloc(1, sizeof *made);
    int32_t code;

    if (made == NULL || faulty_strikes(device, FAULT_STREAM)) {
        free(made);
        return wrapped_fail(error, LLMRUN_ERROR_MEMORY, "no memory for a stream, as ordered");
    }
    made->device = device;
    code = inner->device->stream_create(device->worker, kind, &made->worker, error);
    if (code != LLMRUN_OK) {
        free(made);
        return code;
    }
    *stream = made;
    return LLMRUN_OK;
}

static void destroy_stream(struct llmrun_stream *stream)
{
    if (stream == NULL)
        return;
    inner->device->stream_destroy(stream->worker);
    free(stream);
}

static void end_process(struct llmrun_device *device, uint32_t op)
{
    const bool forward = op == LLMRUN_OP_ATTENTION;

    if (!forward && op != LLMRUN_OP_ADAMW)
        return;
    if (faulty_strikes(device, forward ? FAULT_KILL_FORWARD : FAULT_KILL_UPDATE))
        kill(getpid(), SIGKILL);
    if (faulty_strikes(device, forward ? FAULT_STOP_FORWARD : FAULT_STOP_UPDATE))
        kill(getpid(), SIGSTOP);
}

static int32_t run_launch(struct llmrun_stream *stream, const struct work *work, struct llmrun_error *error)
{
    const struct llmrun_kernel *kernel = work->kernel;
    int32_t code;

    end_process(stream->device, kernel->op);
    code = inner->kernel->launch(stream->worker, kernel->worker, work->addresses, work->count, work->workspace, error);
    if (code != LLMRUN_OK || kernel->y < 0)
        return code;
    faulty_strikes(stream->device, FAULT_LIAR);
    if (has_struck(stream->device, FAULT_LIAR))
        code = inner->device->fill(stream->worker, work->addresses[kernel->y], kernel->pattern, 4, error);
    return code;
}

int32_t faulty_run(struct llmrun_stream *stream, const struct work *work, struct llmrun_error *error)
{
    if (capture_records(stream))
        return capture_add(stream, work, error);
    if (work->kind == WORK_COPY)
        return inner->device->copy(stream->worker, &work->copy, error);
    if (work->kind == WORK_FILL)
        return inner->device->fill(stream->worker, work->addresses[0], work->pattern, work->bytes, error);
    return run_launch(stream, work, error);
}

static int32_t copy(struct llmrun_stream *stream, const struct llmrun_copy *what, struct llmrun_error *error)
{
    return faulty_run(stream, &(struct work){.kind = WORK_COPY, .copy = *what}, error);
}

static int32_t fill(struct llmrun_stream *stream, uint64_t address, uint32_t pattern, int64_t bytes,
                    struct llmrun_error *error)
{
    return faulty_run(
        stream, &(struct work){.kind = WORK_FILL, .addresses = {address}, .pattern = pattern, .bytes = bytes}, error);
}

static int32_t create_event(struct llmrun_device *device, struct llmrun_event **event, struct llmrun_error *error)
{
    struct llmrun_event *made = calloc(1, sizeof *made);
    int32_t code;

    if (made == NULL || faulty_strikes(device, FAULT_EVENT_CREATE)) {
        free(made);
        return wrapped_fail(error, LLMRUN_ERROR_MEMORY, "no memory for an event, as ordered");
    }
    made->device = device;
    code = inner->device->event_create(device->worker, &made->worker, error);
    if (code != LLMRUN_OK) {
        free(made);
        return code;
    }
    *event = made;
    return LLMRUN_OK;
}

static void destroy_event(struct llmrun_event *event)
{
    if (event == NULL)
        return;
    inner->device->event_destroy(event->worker);
    free(event);
}

static int32_t record(struct llmrun_stream *stream, struct llmrun_event *event, struct llmrun_error *error)
{
    struct llmrun_device *device = stream->device;

    event->capture = capture_records(stream) ? device->capture : 0;
    if (event->capture != 0)
        return LLMRUN_OK;
    faulty_strikes(device, FAULT_EVENT);
    faulty_strikes(device, FAULT_HANG);
    event->failed =
        has_struck(device, FAULT_EVENT) || has_struck(device, FAULT_REPLAYED) ? device->count[FAULT_EVENT] : 0;
    event->hangs = has_struck(device, FAULT_HANG) || has_struck(device, FAULT_REPLAY_HANG);
    return inner->device->event_record(stream->worker, event->worker, error);
}

static int32_t wait_in_stream(struct llmrun_stream *stream, struct llmrun_event *event, struct llmrun_error *error)
{
    if (event->capture != 0) { /* the stream joins; the order of the calls is kept by the replay */
        stream->capture = event->capture;
        return LLMRUN_OK;
    }
    return inner->device->stream_wait(stream->worker, event->worker, error);
}

/* The failure that an event was ordered to carry, once its work is done. */
static int32_t carried(const struct llmrun_event *event, int32_t code, struct llmrun_error *error)
{
    if (code != LLMRUN_OK || event->failed == 0)
        return code;
    return wrapped_fail(error, LLMRUN_ERROR_DEVICE, "the work before event record %lld failed, as ordered",
                        (long long)event->failed);
}

static int32_t query_event(struct llmrun_event *event, uint32_t *state, struct llmrun_error *error)
{
    int32_t code = inner->device->event_query(event->worker, state, error);

    if (event->hangs)
        *state = LLMRUN_EVENT_NOT_READY;
    return *state == LLMRUN_EVENT_READY ? carried(event, code, error) : code;
}

static int32_t wait_event(struct llmrun_event *event, int64_t timeout_ns, struct llmrun_error *error)
{
    const struct timespec moment = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    const struct timespec second = {1, 0};

    if (event->hangs && timeout_ns >= 0) {
        nanosleep(&moment, NULL);
        return wrapped_fail(error, LLMRUN_ERROR_TIMEOUT, "the event was not reached, as ordered");
    }
    while (event->hangs)
        nanosleep(&second, NULL);
    return carried(event, inner->device->event_wait(event->worker, timeout_ns, error), error);
}

static int32_t elapsed(struct llmrun_event *start, struct llmrun_event *end, int64_t *ns, struct llmrun_error *error)
{
    return inner->device->event_elapsed(start->worker, end->worker, ns, error);
}

static int32_t query(struct llmrun_device *device, const struct llmrun_op *op, struct llmrun_op_support *answer,
                     struct llmrun_error *error)
{
    return inner->kernel->query(device->worker, op, answer, error);
}

static int32_t prepare(struct llmrun_device *device, const struct llmrun_op *op, int64_t max_workspace,
                       struct llmrun_kernel **kernel, struct llmrun_error *error)
{
    const struct llmrun_tensor *y;
    struct llmrun_kernel *made;
    int32_t code;

    if (faulty_strikes(device, FAULT_PREPARE))
        return wrapped_fail(error, LLMRUN_ERROR_DEVICE, "op %u could not be prepared, as ordered", op->op);
    made = calloc(1, sizeof *made);
    if (made == NULL)
        return wrapped_fail(error, LLMRUN_ERROR_MEMORY, "no memory for a kernel");
    made->y = -1;
    made->op = op->op;
    if (op->op == LLMRUN_OP_MATMUL) {
        made->y = LLMRUN_MATMUL_Y;
        y = llmrun_item(op->operands, op->operand_stride, LLMRUN_MATMUL_Y);
        made->pattern = y->dtype == LLMRUN_BF16 ? 0x40404040 : 0x40400000; /* 3.0 */
    }
    code = inner->kernel->prepare(device->worker, op, max_workspace, &made->worker, error);
    if (code != LLMRUN_OK) {
        free(made);
        return code;
    }
    *kernel = made;
    return LLMRUN_OK;
}

static int32_t launch(struct llmrun_stream *stream, struct llmrun_kernel *kernel, const uint64_t *addresses,
                      uint32_t address_count, uint64_t workspace, struct llmrun_error *error)
{
    struct llmrun_device *device = stream->device;
    struct work work = {.kind = WORK_LAUNCH, .kernel = kernel, .count = address_count, .workspace = workspace};

    if (faulty_strikes(device, FAULT_LAUNCH))
        return wrapped_fail(error, LLMRUN_ERROR_DEVICE, "launch %lld, of %s, failed, as ordered",
                            (long long)device->at[FAULT_LAUNCH], inner->kernel->name(kernel->worker));
    if (address_count > LLMRUN_MAX_OPERANDS)
        return wrapped_fail(error, LLMRUN_ERROR_ARGUMENT, "%u addresses, at most %d are possible", address_count,
                            LLMRUN_MAX_OPERANDS);
    memcpy(work.addresses, addresses, address_count * sizeof *addresses);
    return faulty_run(stream, &work, error);
}

static const char *name(const struct llmrun_kernel *kernel)
{
    return inner->kernel->name(kernel->worker);
}

static void destroy(struct llmrun_kernel *kernel)
{
    if (kernel == NULL)
        return;
    inner->kernel->destroy(kernel->worker);
    free(kernel);
}

static struct llmrun_device_table device_table = {
    .size = sizeof device_table,
    .open = device_open,
    .close = device_close,
    .synchronize = device_synchronize,
    .memory_alloc = memory_allocate,
    .memory_free = memory_release,
    .host_alloc = host_allocate,
    .host_free = host_release,
    .stream_create = create_stream,
    .stream_destroy = destroy_stream,
    .copy = copy,
    .fill = fill,
    .event_create = create_event,
    .event_destroy = destroy_event,
    .event_record = record,
    .stream_wait = wait_in_stream,
    .event_query = query_event,
    .event_wait = wait_event,
    .event_elapsed = elapsed,
};

static const struct llmrun_kernel_table kernel_table = {
    .size = sizeof kernel_table,
    .query = query,
    .prepare = prepare,
    .launch = launch,
    .name = name,
    .destroy = destroy,
};

WRAPPED_PLUGIN("faulty", .device = &device_table, .kernel = &kernel_table, .capture = &faulty_capture_table)

const struct llmrun_backend *llmrun_backend_entry(const struct llmrun_host *host, struct llmrun_error *error)
{
    if (wrapped_open("faulty", host, error) == NULL)
        return NULL;
    device_table.count = inner->device->count;
    device_table.info = inner->device->info;
    return &backend;
}
