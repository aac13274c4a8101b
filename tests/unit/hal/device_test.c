/* The core's own checks around a device, on a backend that only counts its calls. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <llmrun/ops.h>

#include "hal/graph.h"

static int queries, waits, destroyed, captures, graphs;
static int64_t alignment;
static uint64_t next_address;
static struct llmrun_op_support next_answer;

static int32_t count_devices(int32_t *count, struct llmrun_error *error)
{
    (void)error;
    *count = 2;
    return LLMRUN_OK;
}

static int32_t describe(int32_t index, struct llmrun_device_info *info, struct llmrun_error *error)
{
    (void)index;
    (void)error;
    info->alignment = alignment;
    memset(info->name, 'x', sizeof info->name); /* without an end */
    return LLMRUN_OK;
}

static int32_t open(int32_t index, const struct llmrun_options *options, struct llmrun_device **device,
                    struct llmrun_error *error)
{
    static char devices[2];

    (void)options;
    (void)error;
    *device = (struct llmrun_device *)&devices[index];
    return LLMRUN_OK;
}

static void close(struct llmrun_device *device)
{
    (void)device;
}

static int32_t allocate(struct llmrun_device *device, uint32_t kind, int64_t bytes, uint64_t *address,
                        struct llmrun_error *error)
{
    (void)device;
    (void)kind;
    (void)bytes;
    (void)error;
    *address = next_address;
    return LLMRUN_OK;
}

static void release(struct llmrun_device *device, uint64_t address)
{
    (void)device;
    (void)address;
}

static int32_t create(struct llmrun_device *device, uint32_t lane, struct llmrun_stream **stream,
                      struct llmrun_error *error)
{
    (void)lane;
    (void)error;
    *stream = (struct llmrun_stream *)device;
    return LLMRUN_OK;
}

static void destroy(struct llmrun_stream *stream)
{
    (void)stream;
}

static int32_t create_event(struct llmrun_device *device, struct llmrun_event **event, struct llmrun_error *error)
{
    (void)error;
    *event = (struct llmrun_event *)device;
    return LLMRUN_OK;
}

static void destroy_event(struct llmrun_event *event)
{
    (void)event;
    destroyed++;
}

/* Says at once that the time is over, whatever the time. */
static int32_t wait_for_event(struct llmrun_event *event, int64_t timeout_ns, struct llmrun_error *error)
{
    (void)event;
    (void)timeout_ns;
    (void)error;
    waits++;
    return LLMRUN_ERROR_TIMEOUT;
}

static int32_t query(struct llmrun_device *device, const struct llmrun_op *op, struct llmrun_op_support *answer,
                     struct llmrun_error *error)
{
    (void)device;
    (void)op;
    (void)error;
    queries++;
    *answer = next_answer;
    return LLMRUN_OK;
}

static int32_t begin_capture(struct llmrun_stream *stream, struct llmrun_error *error)
{
    (void)stream;
    (void)error;
    captures++;
    return LLMRUN_OK;
}

static int32_t next_end;
static struct llmrun_graph *next_graph;

static int32_t end_capture(struct llmrun_stream *stream, struct llmrun_graph **graph, struct llmrun_error *error)
{
    (void)stream;
    (void)error;
    captures--;
    graphs += next_end == LLMRUN_OK && next_graph != NULL;
    *graph = next_graph;
    return next_end;
}

static int32_t replay(struct llmrun_stream *stream, struct llmrun_graph *graph, struct llmrun_error *error)
{
    (void)stream;
    (void)graph;
    (void)error;
    return LLMRUN_ERROR_DEVICE;
}

static void destroy_graph(struct llmrun_graph *graph)
{
    (void)graph;
    graphs--;
}

static const struct backend backend = {
    .name = "counted",
    .path = "",
    .has_kernel = true,
    .has_capture = true,
    .device = {.count = count_devices,
               .info = describe,
               .open = open,
               .close = close,
               .memory_alloc = allocate,
               .memory_free = release,
               .stream_create = create,
               .stream_destroy = destroy,
               .event_create = create_event,
               .event_destroy = destroy_event,
               .event_wait = wait_for_event},
    .kernel = {.query = query},
    .capture = {.begin = begin_capture, .end = end_capture, .replay = replay, .destroy = destroy_graph}};

static struct device *devices[2];
static struct error error;

static int set_up(void **state)
{
    (void)state;
    queries = captures = graphs = 0;
    next_end = LLMRUN_OK;
    next_graph = (struct llmrun_graph *)&graphs;
    alignment = 64;
    next_address = 4096;
    next_answer = (struct llmrun_op_support){.size = sizeof next_answer, .support = LLMRUN_SUPPORT_NATIVE};
    for (int i = 0; i < 2; i++)
        if (device_open(&backend, i, NULL, 0, &devices[i], &error) != STATUS_OK)
            return -1;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    device_close(devices[0]);
    device_close(devices[1]);
    return 0;
}

static void facts_are_made_safe(void **state)
{
    struct device *device;

    (void)state;
    assert_int_equal(devices[0]->info.streams, 1);
    assert_int_equal(strlen(devices[0]->info.name), sizeof devices[0]->info.name - 1);
    alignment = 48;
    assert_int_equal(device_open(&backend, 0, NULL, 0, &device, &error), STATUS_BACKEND);
    assert_string_equal(
        error.message,
        "counted: device 0 says its memory is aligned to 48 bytes, expected a power of two up to 1073741824");
}

static void an_address_that_breaks_the_alignment_is_refused(void **state)
{
    struct buffer buffer;

    (void)state;
    next_address = 4100;
    assert_int_equal(buffer_create(devices[0], LLMRUN_MEMORY_DEVICE, 64, &buffer, &error), STATUS_BACKEND);
    next_address = 0;
    assert_int_equal(buffer_create(devices[0], LLMRUN_MEMORY_DEVICE, 64, &buffer, &error), STATUS_BACKEND);
}

static void memory_that_lies_in_other_memory_is_refused(void **state)
{
    static const uint64_t inside[] = {4096, 4160, 4032}; /* the last one ends in it */
    struct buffer buffer, other;

    (void)state;
    assert_int_equal(buffer_create(devices[0], LLMRUN_MEMORY_DEVICE, 100, &buffer, &error), STATUS_OK);
    for (int i = 0; i < 3; i++) {
        next_address = inside[i];
        assert_int_equal(buffer_create(devices[0], LLMRUN_MEMORY_DEVICE, 100, &other, &error), STATUS_BACKEND);
        assert_null(other.device);
    }
    assert_string_equal(error.message, "counted: memory_alloc gave the address 4032 for 100 bytes, in the midst of 100 "
                                       "bytes at 4096 that are in use");
    assert_int_equal(buffer_create(devices[1], LLMRUN_MEMORY_DEVICE, 100, &other, &error), STATUS_OK);
    buffer_destroy(&other); /* another device has addresses of its own */
    next_address = 4224;
    assert_int_equal(buffer_create(devices[0], LLMRUN_MEMORY_DEVICE, 100, &other, &error), STATUS_OK);
    buffer_destroy(&buffer);
    next_address = 4096; /* free again */
    assert_int_equal(buffer_create(devices[0], LLMRUN_MEMORY_DEVICE, 128, &buffer, &error), STATUS_OK);
    buffer_destroy(&buffer);
    buffer_destroy(&other);
    next_address = UINT64_MAX - 63;
    assert_int_equal(buffer_create(devices[0], LLMRUN_MEMORY_DEVICE, 100, &other, &error), STATUS_BACKEND);
    assert_non_null(strstr(error.message, "which ends beyond 2^64"));
}

static void an_event_that_is_never_ready_makes_its_device_lost(void **state)
{
    struct event event;

    (void)state;
    waits = destroyed = 0;
    assert_int_equal(event_create(devices[0], &event, &error), STATUS_OK);
    assert_int_equal(event_finish(&event, 30000000, &(struct awaited){.what = "section forward of step 3"}, &error),
                     STATUS_BACKEND);
    assert_string_equal(error.message, "device 0 of counted did not finish section forward of step 3 within 0.03 s "
                                       "(parallel.timeout)");
    assert_in_range(waits, 2, 40); /* a millisecond apart, though the plugin does not wait */
    event_destroy(&event);
    assert_int_equal(destroyed, 0); /* that may block */
    devices[0]->lost = false;
}

static void *abandon(void *context)
{
    const struct timespec moment = {0, 50000000};

    nanosleep(&moment, NULL);
    device_abandon(context, STATUS_PEER, "rank 3 has failed");
    return NULL;
}

/* The plugin does not wait, and the wait has no end of its own. */
static void a_wait_is_abandoned_from_another_thread_until_the_device_is_resumed(void **state)
{
    struct event event;
    pthread_t thread;
    bool ready = true;

    (void)state;
    assert_int_equal(event_create(devices[0], &event, &error), STATUS_OK);
    assert_int_equal(pthread_create(&thread, NULL, abandon, devices[0]), 0);
    assert_int_equal(event_finish(&event, INT64_MAX, &(struct awaited){.what = "section forward of step 3"}, &error),
                     STATUS_PEER);
    assert_string_equal(error.message, "section forward of step 3 was abandoned: rank 3 has failed");
    pthread_join(thread, NULL);
    assert_false(devices[0]->lost);
    device_abandon(devices[0], STATUS_BACKEND, "a later reason");
    assert_int_equal(event_wait(&event, -1, &ready, &error), STATUS_PEER);
    assert_false(ready);
    assert_string_equal(error.message, "the wait for an event was abandoned: rank 3 has failed");
    device_resume(devices[0]);
    assert_int_equal(event_wait(&event, 1000000, &ready, &error), STATUS_OK);
    assert_false(ready);
    event_destroy(&event);
}

static void a_graph_is_what_a_capture_gives(void **state)
{
    struct stream stream, elsewhere;
    struct graph graph;

    (void)state;
    assert_true(device_captures(devices[0]));
    assert_int_equal(stream_create(devices[0], LLMRUN_STREAM_COMPUTE, &stream, &error), STATUS_OK);
    assert_int_equal(stream_create(devices[1], LLMRUN_STREAM_COMPUTE, &elsewhere, &error), STATUS_OK);
    assert_int_equal(stream_capture_begin(&stream, &error), STATUS_OK);
    assert_int_equal(stream_capture_end(&stream, &graph, &error), STATUS_OK);
    assert_int_equal(stream_replay(&stream, &graph, &error), STATUS_BACKEND);
    assert_string_equal(error.message, "counted: the device or its driver failed");
    assert_int_equal(stream_replay(&elsewhere, &graph, &error), STATUS_BUG);
    assert_string_equal(error.message, "a graph of another device was given to a stream of device 1 of counted");
    devices[0]->lost = true;
    graph_destroy(&graph);
    assert_int_equal(graphs, 1); /* that may block */
    devices[0]->lost = false;
    graph_destroy(&graph);
    assert_int_equal(graphs, 1); /* there is none any more */
    stream_destroy(&stream);
    stream_destroy(&elsewhere);
}

static void a_capture_that_fails_gives_no_graph(void **state)
{
    struct stream stream;
    struct graph graph;

    (void)state;
    assert_int_equal(stream_create(devices[0], LLMRUN_STREAM_COMPUTE, &stream, &error), STATUS_OK);
    assert_int_equal(stream_capture_begin(&stream, &error), STATUS_OK);
    next_end = LLMRUN_ERROR_MEMORY; /* with an object beside the failure */
    assert_int_equal(stream_capture_end(&stream, &graph, &error), STATUS_MEMORY);
    assert_null(graph.device);
    assert_null(graph.handle);
    next_end = LLMRUN_OK;
    next_graph = NULL;
    assert_int_equal(stream_capture_begin(&stream, &error), STATUS_OK);
    assert_int_equal(stream_capture_end(&stream, &graph, &error), STATUS_BACKEND);
    assert_string_equal(error.message, "counted: end on device 0 succeeded and gave NULL");
    graph_destroy(&graph);
    assert_int_equal(graphs, 0);
    stream_destroy(&stream);
}

static void a_capture_that_is_cancelled_leaves_nothing(void **state)
{
    struct stream stream;

    (void)state;
    assert_int_equal(stream_create(devices[0], LLMRUN_STREAM_COMPUTE, &stream, &error), STATUS_OK);
    assert_int_equal(stream_capture_begin(&stream, &error), STATUS_OK);
    assert_int_equal(captures, 1);
    stream_capture_cancel(&stream);
    assert_int_equal(captures, 0);
    assert_int_equal(graphs, 0);
    stream_destroy(&stream);
}

static void a_device_without_a_capture_table_captures_nothing(void **state)
{
    struct backend without = backend;
    struct stream stream;
    struct graph graph;

    (void)state;
    without.has_capture = false;
    memset(&without.capture, 0, sizeof without.capture);
    devices[0]->backend = &without;
    assert_false(device_captures(devices[0]));
    assert_int_equal(stream_create(devices[0], LLMRUN_STREAM_COMPUTE, &stream, &error), STATUS_OK);
    assert_int_equal(stream_capture_begin(&stream, &error), STATUS_BUG);
    assert_string_equal(error.message, "device 0 of counted captures no work");
    assert_int_equal(stream_capture_end(&stream, &graph, &error), STATUS_BUG);
    stream_capture_cancel(&stream);
    stream_destroy(&stream);
    devices[0]->backend = &backend;
}

static void a_range_outside_the_buffer_is_refused(void **state)
{
    struct buffer buffer;
    uint64_t address;

    (void)state;
    assert_int_equal(buffer_create(devices[0], LLMRUN_MEMORY_DEVICE, 100, &buffer, &error), STATUS_OK);
    assert_int_equal(buffer_address(&buffer, devices[0], 40, 60, &address, &error), STATUS_OK);
    assert_int_equal(address, 4136);
    assert_int_equal(buffer_address(&buffer, devices[0], 40, 61, &address, &error), STATUS_BUG);
    assert_int_equal(buffer_address(&buffer, devices[0], -1, 4, &address, &error), STATUS_BUG);
    assert_int_equal(buffer_address(&buffer, devices[0], INT64_MAX, INT64_MAX, &address, &error), STATUS_BUG);
    buffer_destroy(&buffer);
    assert_int_equal(buffer_address(&buffer, devices[0], 0, 1, &address, &error), STATUS_BUG);
}

static void what_belongs_to_another_device_is_refused(void **state)
{
    struct host_buffer host = {.device = devices[1], .memory = &host, .bytes = 8};
    struct device_kernel kernel = {.device = devices[1]};
    struct buffer own, foreign;
    struct stream stream;
    struct event event;

    (void)state;
    assert_int_equal(buffer_create(devices[0], LLMRUN_MEMORY_DEVICE, 8, &own, &error), STATUS_OK);
    assert_int_equal(buffer_create(devices[1], LLMRUN_MEMORY_DEVICE, 8, &foreign, &error), STATUS_OK);
    assert_int_equal(stream_create(devices[0], LLMRUN_STREAM_COPY, &stream, &error), STATUS_OK);
    assert_int_equal(event_create(devices[1], &event, &error), STATUS_OK);
    assert_int_equal(stream_copy(&stream, &own, 0, &foreign, 0, 8, &error), STATUS_BUG);
    assert_string_equal(error.message, "a buffer of device 1 of counted was given to device 0 of counted");
    assert_int_equal(stream_fill(&stream, &foreign, 0, 0, 8, &error), STATUS_BUG);
    assert_int_equal(stream_upload(&stream, &own, 0, &host, 0, 8, &error), STATUS_BUG);
    assert_int_equal(stream_record(&stream, &event, &error), STATUS_BUG);
    assert_int_equal(stream_wait(&stream, &event, &error), STATUS_BUG);
    assert_int_equal(stream_launch_kernel(&stream, &kernel, NULL, 0, 0, &error), STATUS_BUG);
    assert_string_equal(error.message, "a kernel of another device was given to a stream of device 0 of counted");
    event_destroy(&event);
    stream_destroy(&stream);
    buffer_destroy(&own);
    buffer_destroy(&foreign);
}

static struct llmrun_tensor tensors[2];
static uint32_t attributes;

static struct llmrun_op description(void)
{
    tensors[0] = (struct llmrun_tensor){.dtype = LLMRUN_F32, .rank = 1, .shape = {8}, .stride = {1}, .alignment = 4};
    tensors[1] = tensors[0];
    attributes = 1;
    return (struct llmrun_op){.size = sizeof(struct llmrun_op),
                              .op = LLMRUN_OP_GELU,
                              .version = 1,
                              .attribute_bytes = sizeof attributes,
                              .operand_count = 2,
                              .attributes = &attributes,
                              .operands = tensors,
                              .operand_stride = sizeof tensors[0]};
}

static void ask(const struct llmrun_op *op, int queries_after)
{
    struct llmrun_op_support answer;

    assert_int_equal(capability_query(devices[0], op, &answer, &error), STATUS_OK);
    assert_int_equal(queries, queries_after);
}

static void the_same_description_is_asked_once(void **state)
{
    struct llmrun_op op = description();
    int64_t asked, total;

    (void)state;
    ask(&op, 1);
    ask(&op, 1);
    op = description(); /* equal, from other memory */
    ask(&op, 1);
    capability_count(devices[0], &asked, &total);
    assert_int_equal(asked, 1);
    assert_int_equal(total, 3);
}

static void every_part_of_a_description_counts(void **state)
{
    struct llmrun_op op = description();

    (void)state;
    ask(&op, 1);
    op.flags = LLMRUN_OP_EXACT;
    ask(&op, 2);
    op.accumulate = 2;
    ask(&op, 3);
    op.version = 2;
    ask(&op, 4);
    op.op = LLMRUN_OP_GELU_GRAD;
    ask(&op, 5);
    attributes = 2;
    ask(&op, 6);
    tensors[1].dtype = LLMRUN_BF16;
    ask(&op, 7);
    tensors[1].stride[0] = 2;
    ask(&op, 8);
    tensors[0].alignment = 64;
    ask(&op, 9);
    op.operand_count = 1;
    ask(&op, 10);
}

static void a_thousand_descriptions_are_remembered(void **state)
{
    struct llmrun_op op = description();

    (void)state;
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 1000; i++) {
            tensors[0].shape[0] = i + 1;
            ask(&op, round == 0 ? i + 1 : 1000);
        }
}

static void an_answer_that_is_none_of_the_contracts_means_no(void **state)
{
    struct llmrun_op op = description();
    struct llmrun_op_support answer;

    (void)state;
    next_answer.support = 99;
    assert_int_equal(capability_query(devices[0], &op, &answer, &error), STATUS_OK);
    assert_int_equal(answer.support, LLMRUN_SUPPORT_NO);
    assert_string_equal(answer.reason, "the plugin gave the answer 99 with 0 bytes of workspace");
    next_answer.support = LLMRUN_SUPPORT_NO;
    op.flags = LLMRUN_OP_EXACT;
    assert_int_equal(capability_query(devices[0], &op, &answer, &error), STATUS_OK);
    assert_string_equal(answer.reason, "the plugin gave no reason");
    next_answer.support = LLMRUN_SUPPORT_NATIVE;
    next_answer.workspace_bytes = -1;
    op.flags = LLMRUN_OP_DETERMINISTIC;
    assert_int_equal(capability_query(devices[0], &op, &answer, &error), STATUS_OK);
    assert_int_equal(answer.support, LLMRUN_SUPPORT_NO);
}

static void a_kernel_that_cannot_be_had_says_why(void **state)
{
    struct llmrun_op op = description();
    struct device_kernel kernel;

    (void)state;
    next_answer.support = LLMRUN_SUPPORT_NO;
    snprintf(next_answer.reason, sizeof next_answer.reason, "no f64 here");
    assert_int_equal(device_kernel_create(devices[0], &op, 0, &kernel, &error), STATUS_BACKEND);
    assert_string_equal(error.message, "counted: op 9 is not supported: no f64 here");
    next_answer = (struct llmrun_op_support){.support = LLMRUN_SUPPORT_NATIVE, .workspace_bytes = 100};
    op.flags = LLMRUN_OP_EXACT;
    assert_int_equal(device_kernel_create(devices[0], &op, 99, &kernel, &error), STATUS_BACKEND);
    assert_string_equal(error.message, "counted: op 9 needs 100 bytes of workspace, 99 are allowed");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(facts_are_made_safe),
        CASE(an_address_that_breaks_the_alignment_is_refused),
        CASE(memory_that_lies_in_other_memory_is_refused),
        CASE(an_event_that_is_never_ready_makes_its_device_lost),
        CASE(a_wait_is_abandoned_from_another_thread_until_the_device_is_resumed),
        CASE(a_graph_is_what_a_capture_gives),
        CASE(a_capture_that_fails_gives_no_graph),
        CASE(a_capture_that_is_cancelled_leaves_nothing),
        CASE(a_device_without_a_capture_table_captures_nothing),
        CASE(a_range_outside_the_buffer_is_refused),
        CASE(what_belongs_to_another_device_is_refused),
        CASE(the_same_description_is_asked_once),
        CASE(every_part_of_a_description_counts),
        CASE(a_thousand_descriptions_are_remembered),
        CASE(an_answer_that_is_none_of_the_contracts_means_no),
        CASE(a_kernel_that_cannot_be_had_says_why),
    };

    return cmocka_run_group_tests_name("plugin device", tests, NULL, NULL);
}
