#include "hostile.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct llmrun_device_table device_table;
static struct llmrun_kernel_table kernel_table;
static struct llmrun_backend own;

bool is_ordered(const char *order)
{
    const char *text = getenv("HOSTILE");

    return text != NULL && strcmp(text, order) == 0;
}

bool is_due(const char *order)
{
    static long calls;
    const char *at = getenv("HOSTILE_AT");

    return is_ordered(order) && ++calls >= (at != NULL ? atol(at) : 1);
}

static void hang(void)
{
    const struct timespec moment = {1, 0};

    for (;;)
        nanosleep(&moment, NULL);
}

int32_t misbehave(const char *where, struct llmrun_error *error)
{
    static const char *const ways[] = {"crash", "abort", "exit0", "exit7", "_exit", "hang", "fail"};
    volatile uintptr_t nowhere = 0;
    char order[64];
    int way;

    for (way = 0; way < 7; way++) {
        snprintf(order, sizeof order, "%s-%s", where, ways[way]);
        if (is_due(order))
            break;
    }
    switch (way) {
    case 0:
        *(volatile int *)nowhere = 1;
        break;
    case 1:
        abort();
    case 2:
        exit(0);
    case 3:
        exit(7);
    case 4:
        _exit(0);
    case 5:
        hang();
        break;
    case 6:
        return wrapped_fail(error, LLMRUN_ERROR_DEVICE, "%s fails, \x1b[31mas ordered\x07", where);
    default:
        break;
    }
    return LLMRUN_OK;
}

__attribute__((constructor)) static void construct(void)
{
    misbehave("constructor", NULL);
}

/* In a thread of the plugin's own, in its code or in the C library's; the caller has returned by then. */
static void *crash_apart(void *where)
{
    const struct timespec moment = {0, 5000000};

    nanosleep(&moment, NULL);
    memset(where, 0, where != NULL ? 65536 : 1);
    return NULL;
}

/* Endless: no stack is left for whoever is told of it. */
static int recurse(volatile int *above)
{
    volatile int here = *above + 1;

    return here == 0 ? 0 : recurse(&here) + here;
}

static void *recurse_apart(void *unused)
{
    volatile int first = 0;

    (void)unused;
    recurse(&first);
    return NULL;
}

static void crash_in_a_thread(void)
{
    pthread_t thread;

    if (is_due("thread-recursion"))
        pthread_create(&thread, NULL, recurse_apart, NULL);
    if (is_due("thread-crash"))
        pthread_create(&thread, NULL, crash_apart, (void *)16);
}

/* An entry of a table that misbehaves before it does what the CPU backend does, and spoils what that gave behind it. */
#define ENTRY(table, name, after, parameters, ...)                                                                     \
    static int32_t entry_##name parameters                                                                             \
    {                                                                                                                  \
        int32_t code = misbehave(#name, error);                                                                        \
                                                                                                                       \
        if (code == LLMRUN_OK)                                                                                         \
            code = inner->table->name(__VA_ARGS__);                                                                    \
        if (code == LLMRUN_OK) {                                                                                       \
            after;                                                                                                     \
        }                                                                                                              \
        return code;                                                                                                   \
    }
#define NOTHING (void)0
#define ENTRY_VOID(table, name, parameters, ...)                                                                       \
    static void entry_##name parameters                                                                                \
    {                                                                                                                  \
        misbehave(#name, NULL);                                                                                        \
        inner->table->name(__VA_ARGS__);                                                                               \
    }

#define DEVICE struct llmrun_device *device
#define STREAM struct llmrun_stream *stream
#define EVENT  struct llmrun_event *event
#define ERROR  struct llmrun_error *error

/* The tables without what is ordered of values. */
ENTRY(device, count, spoil_count(count), (int32_t * count, ERROR), count, error)
ENTRY(device, info, spoil_info(info), (int32_t index, struct llmrun_device_info *info, ERROR), index, info, error)
ENTRY(device, open, spoil_device(device),
      (int32_t index, const struct llmrun_options *options, struct llmrun_device **device, ERROR), index, options,
      device, error)
ENTRY_VOID(device, close, (DEVICE), device)
ENTRY(device, synchronize, NOTHING, (DEVICE, ERROR), device, error)
ENTRY(device, memory_alloc, spoil_memory(address), (DEVICE, uint32_t kind, int64_t bytes, uint64_t *address, ERROR),
      device, kind, bytes, address, error)
ENTRY_VOID(device, memory_free, (DEVICE, uint64_t address), device, address)
ENTRY(device, host_alloc, spoil_host_memory(memory), (DEVICE, int64_t bytes, void **memory, ERROR), device, bytes,
      memory, error)
ENTRY_VOID(device, host_free, (DEVICE, void *memory), device, memory)
ENTRY(device, stream_create, if (is_due("stream-null")) *stream = NULL,
      (DEVICE, uint32_t kind, struct llmrun_stream **stream, ERROR), device, kind, stream, error)
ENTRY_VOID(device, stream_destroy, (STREAM), stream)
ENTRY(device, copy, NOTHING, (STREAM, const struct llmrun_copy *what, ERROR), stream, what, error)
ENTRY(device, fill, NOTHING, (STREAM, uint64_t address, uint32_t pattern, int64_t bytes, ERROR), stream, address,
      pattern, bytes, error)
ENTRY(device, event_create, if (is_due("event-null")) *event = NULL, (DEVICE, struct llmrun_event **event, ERROR),
      device, event, error)
ENTRY_VOID(device, event_destroy, (EVENT), event)
ENTRY(device, event_record, NOTHING, (STREAM, EVENT, ERROR), stream, event, error)
ENTRY(device, stream_wait, NOTHING, (STREAM, EVENT, ERROR), stream, event, error)
ENTRY(device, event_query, if (is_due("event-state")) *state = 7, (EVENT, uint32_t *state, ERROR), event, state, error)
ENTRY(device, event_elapsed, if (is_due("elapsed-negative")) *ns = -5,
      (struct llmrun_event * start, struct llmrun_event *end, int64_t *ns, ERROR), start, end, ns, error)
ENTRY(kernel, query, spoil_answer(answer),
      (DEVICE, const struct llmrun_op *op, struct llmrun_op_support *answer, ERROR), device, op, answer, error)
ENTRY(kernel, prepare, if (is_due("kernel-null")) *kernel = NULL,
      (DEVICE, const struct llmrun_op *op, int64_t most, struct llmrun_kernel **kernel, ERROR), device, op, most,
      kernel, error)
ENTRY(kernel, launch, crash_in_a_thread(),
      (STREAM, struct llmrun_kernel *kernel, const uint64_t *addresses, uint32_t count, uint64_t workspace, ERROR),
      stream, kernel, addresses, count, workspace, error)
ENTRY_VOID(kernel, destroy, (struct llmrun_kernel * kernel), kernel)

/* An event that is never reached: the wait takes its time, none, or does not return at all (event_wait-hang). */
static int32_t entry_event_wait(EVENT, int64_t timeout_ns, ERROR)
{
    const struct timespec moment = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    int32_t code = misbehave("event_wait", error);

    if (code != LLMRUN_OK)
        return code;
    if (is_due("event-never") && nanosleep(&moment, NULL) == 0)
        return LLMRUN_ERROR_TIMEOUT;
    if (is_due("event-impatient"))
        return LLMRUN_ERROR_TIMEOUT;
    if (is_due("event-code"))
        return -3;
    return inner->device->event_wait(event, timeout_ns, error);
}

static const char *entry_name(const struct llmrun_kernel *kernel)
{
    misbehave("name", NULL);
    if (is_due("name-escape"))
        return "a \x1b[2J name";
    return inner->kernel->name(kernel);
}

LLMRUN_PLUGIN_NOTE(LLMRUN_PLUGIN_BACKEND, "hostile", "0.1.0");

const struct llmrun_backend *llmrun_backend_entry(const struct llmrun_host *host, ERROR)
{
    const char *priority = getenv("HOSTILE_PRIORITY");

    if (misbehave("entry", error) != LLMRUN_OK || wrapped_open("hostile", host, error) == NULL)
        return NULL;
    device_table = (struct llmrun_device_table){
        .size = sizeof device_table,
        .count = entry_count,
        .info = entry_info,
        .open = entry_open,
        .close = entry_close,
        .synchronize = entry_synchronize,
        .memory_alloc = entry_memory_alloc,
        .memory_free = entry_memory_free,
        .host_alloc = entry_host_alloc,
        .host_free = entry_host_free,
        .stream_create = entry_stream_create,
        .stream_destroy = entry_stream_destroy,
        .copy = entry_copy,
        .fill = entry_fill,
        .event_create = entry_event_create,
        .event_destroy = entry_event_destroy,
        .event_record = entry_event_record,
        .stream_wait = entry_stream_wait,
        .event_query = entry_event_query,
        .event_wait = entry_event_wait,
        .event_elapsed = entry_event_elapsed,
    };
    kernel_table = (struct llmrun_kernel_table){.size = sizeof kernel_table,
                                                .query = entry_query,
                                                .prepare = entry_prepare,
                                                .launch = entry_launch,
                                                .name = entry_name,
                                                .destroy = entry_destroy};
    own = (struct llmrun_backend){.size = sizeof own,
                                  .abi_major = LLMRUN_ABI_MAJOR,
                                  .abi_minor = LLMRUN_ABI_MINOR,
                                  .priority = priority != NULL ? (uint32_t)atol(priority) : 0,
                                  .name = "hostile",
                                  .version = "0.1.0",
                                  .vendor = "llmrun tests",
                                  .device = &device_table,
                                  .kernel = &kernel_table};
    if (is_ordered("log-escape"))
        host->log(host->context, LLMRUN_LOG_WARNING, "a \x1b]0;title\x07 line\nand another\rone");
    if (is_ordered("log-level"))
        host->log(host->context, 0xffffffff, NULL);
    return spoil_backend(&own, &device_table, &kernel_table);
}
