/* Each failure of a device comes out of the core's wrappers as a sentence with the right status. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"
#include "support.h"

#define BYTES 256

static struct device *open_faults(const char *faults)
{
    return open_device("faulty", 0, "faults", faults);
}

static void a_device_that_does_not_open_says_why(void **state)
{
    const struct llmrun_option option = {"faults", "open=1"};
    struct device *device;
    struct error error;

    (void)state;
    assert_int_equal(device_open(open_backend("faulty"), 0, &option, 1, &device, &error), STATUS_BACKEND);
    assert_string_equal(error.message, "faulty: the device could not be opened, as ordered (code 5, vendor code 999)");
    assert_null(device);
}

static void a_device_that_is_not_there_is_counted(void **state)
{
    struct device *device;
    struct error error;

    (void)state;
    assert_int_equal(device_open(open_backend("faulty"), 3, NULL, 0, &device, &error), STATUS_BACKEND);
    assert_string_equal(error.message, "faulty: there is no device 3; it has 1");
}

static void the_nth_allocation_fails_as_memory_with_the_bytes(void **state)
{
    struct device *device = open_faults("alloc=3");
    struct buffer buffers[3];
    struct error error;

    (void)state;
    assert_ok(buffer_create(device, LLMRUN_MEMORY_DEVICE, BYTES, &buffers[0], &error));
    assert_ok(buffer_create(device, LLMRUN_MEMORY_DEVICE, BYTES, &buffers[1], &error));
    assert_int_equal(buffer_create(device, LLMRUN_MEMORY_DEVICE, 12345, &buffers[2], &error), STATUS_MEMORY);
    assert_int_equal(error.status, STATUS_MEMORY);
    assert_non_null(
        strstr(error.message, "bytes free, 12345 were asked for: faulty: allocation 3, of 12345 bytes, failed"));
    assert_null(buffers[2].device);
    for (int i = 0; i < 3; i++)
        buffer_destroy(&buffers[i]);
    device_close(device);
}

static void host_memory_streams_and_events_fail_as_memory(void **state)
{
    struct device *device = open_faults("host_alloc=1,stream=1,event_create=1");
    struct host_buffer host;
    struct stream stream;
    struct event event;
    struct error error;

    (void)state;
    assert_int_equal(host_buffer_create(device, BYTES, &host, &error), STATUS_MEMORY);
    assert_int_equal(stream_create(device, LLMRUN_STREAM_COMPUTE, &stream, &error), STATUS_MEMORY);
    assert_int_equal(event_create(device, &event, &error), STATUS_MEMORY);
    host_buffer_destroy(&host);
    stream_destroy(&stream);
    event_destroy(&event);
    device_close(device);
}

static void a_launch_that_fails_says_so_at_once(void **state)
{
    struct llmrun_tensor operands[3];
    const struct llmrun_op op = add_op(operands, 8, 8);
    struct device_kernel kernel;
    struct bench bench;
    struct error error;

    (void)state;
    bench_create(&bench, open_faults("prepare=1,launch=2"), BYTES);
    const uint64_t addresses[] = {bench.a.address, bench.b.address, bench.y.address};

    assert_int_equal(device_kernel_create(bench.device, &op, 0, &kernel, &error), STATUS_BACKEND);
    assert_ok(device_kernel_create(bench.device, &op, 0, &kernel, &error));
    assert_ok(stream_launch_kernel(&bench.stream, &kernel, addresses, 3, 0, &error));
    assert_int_equal(stream_launch_kernel(&bench.stream, &kernel, addresses, 3, 0, &error), STATUS_BACKEND);
    assert_non_null(strstr(error.message, "faulty: launch 2, of "));
    assert_ok(device_synchronize(bench.device, &error));
    device_kernel_destroy(&kernel);
    bench_destroy(&bench);
}

static void a_failure_of_enqueued_work_comes_out_of_the_event(void **state)
{
    struct bench bench;
    struct error error;
    bool ready;

    (void)state;
    bench_create(&bench, open_faults("event=2"), BYTES);
    assert_ok(stream_record(&bench.stream, &bench.event, &error));
    assert_ok(event_wait(&bench.event, -1, &ready, &error));
    assert_ok(stream_record(&bench.stream, &bench.event, &error));
    assert_int_equal(event_wait(&bench.event, -1, &ready, &error), STATUS_BACKEND);
    assert_false(ready);
    assert_non_null(strstr(error.message, "the work before event record 2 failed"));
    assert_int_equal(event_query(&bench.event, &ready, &error), STATUS_BACKEND);
    assert_int_equal(device_synchronize(bench.device, &error), STATUS_BACKEND);
    bench_destroy(&bench);
}

static void a_wait_on_a_device_that_hangs_ends_with_its_time(void **state)
{
    struct bench bench;
    struct error error;
    int64_t begin;
    bool ready = true;

    (void)state;
    bench_create(&bench, open_faults("hang=1"), BYTES);
    assert_ok(stream_record(&bench.stream, &bench.event, &error));
    begin = clock_system.monotonic_ns(&clock_system);
    assert_ok(event_wait(&bench.event, 20000000, &ready, &error));
    assert_false(ready);
    assert_true(clock_system.monotonic_ns(&clock_system) - begin >= 20000000);
    assert_ok(event_query(&bench.event, &ready, &error));
    assert_false(ready);
    bench_destroy(&bench);
}

static int64_t abandoned_ns;

static void *abandon(void *context)
{
    const struct timespec moment = {0, 150000000};

    nanosleep(&moment, NULL);
    abandoned_ns = clock_system.monotonic_ns(&clock_system);
    device_abandon(context, STATUS_STOPPED, "a signal");
    return NULL;
}

static void a_wait_on_a_device_that_hangs_is_abandoned_within_a_quarter_of_a_second(void **state)
{
    struct bench bench;
    struct error error;
    pthread_t thread;
    int64_t took_ns;

    (void)state;
    bench_create(&bench, open_faults("hang=1"), BYTES);
    assert_ok(stream_record(&bench.stream, &bench.event, &error));
    assert_int_equal(pthread_create(&thread, NULL, abandon, bench.device), 0);
    assert_int_equal(
        event_finish(&bench.event, INT64_C(60000000000), &(struct awaited){.what = "section init"}, &error),
        STATUS_STOPPED);
    pthread_join(thread, NULL);
    took_ns = clock_system.monotonic_ns(&clock_system) - abandoned_ns;
    assert_string_equal(error.message, "section init was abandoned: a signal");
    assert_in_range(took_ns, 0, 250000000);
    bench_destroy(&bench);
}

/* A capture of "b becomes what a is on the host, and comes back", on two streams. */
static struct graph captured(struct bench *bench)
{
    struct stream other;
    struct event forked;
    struct graph graph;
    struct error error;

    assert_ok(stream_create(bench->device, LLMRUN_STREAM_COPY, &other, &error));
    assert_ok(event_create(bench->device, &forked, &error));
    assert_ok(stream_capture_begin(&bench->stream, &error));
    assert_ok(stream_upload(&bench->stream, &bench->a, 0, &bench->host_a, 0, BYTES, &error));
    assert_ok(stream_record(&bench->stream, &forked, &error));
    assert_ok(stream_wait(&other, &forked, &error));
    assert_ok(stream_copy(&other, &bench->b, 0, &bench->a, 0, BYTES, &error));
    assert_ok(stream_record(&other, &bench->event, &error));
    assert_ok(stream_wait(&bench->stream, &bench->event, &error));
    assert_ok(stream_download(&bench->stream, &bench->host_y, 0, &bench->b, 0, BYTES, &error));
    assert_ok(stream_capture_end(&bench->stream, &graph, &error));
    event_destroy(&forked);
    stream_destroy(&other);
    return graph;
}

/* Replayed, it brings `value` to y. */
static void assert_replays(const struct bench *bench, const struct graph *graph, float value)
{
    struct error error;

    host_put(&bench->host_a, value);
    host_put(&bench->host_y, 0);
    assert_ok(stream_replay(&bench->stream, graph, &error));
    bench_await(bench);
    assert_true(host_all_are(&bench->host_y, value));
}

static void a_capture_that_does_not_begin_or_end_leaves_the_stream_usable(void **state)
{
    static const char *const faults[] = {"begin=1", "end=1", "end_null=1"};
    static const char *const sentences[] = {
        "faulty: capture 1 did not begin, as ordered (code 5, vendor code 999)",
        "faulty: capture 1 did not end in a graph, as ordered (code 5, vendor code 999)",
        "faulty: end on device 0 succeeded and gave NULL"};

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct bench bench;
        struct graph graph;
        struct error error;
        int status;

        bench_create(&bench, open_faults(faults[i]), BYTES);
        status = stream_capture_begin(&bench.stream, &error);
        if (status == STATUS_OK) {
            assert_ok(stream_fill(&bench.stream, &bench.a, 0, 0, BYTES, &error));
            status = stream_capture_end(&bench.stream, &graph, &error);
            assert_null(graph.device);
        }
        assert_int_equal(status, STATUS_BACKEND);
        assert_string_equal(error.message, sentences[i]);
        graph = captured(&bench);
        assert_replays(&bench, &graph, 3);
        graph_destroy(&graph);
        bench_destroy(&bench);
    }
}

static void a_capture_whose_recording_fails_is_cancelled(void **state)
{
    struct llmrun_tensor operands[3];
    const struct llmrun_op op = add_op(operands, 8, 8);
    struct device_kernel kernel;
    struct graph graph;
    struct bench bench;
    struct error error;

    (void)state;
    bench_create(&bench, open_faults("launch=1"), BYTES);
    assert_ok(device_kernel_create(bench.device, &op, 0, &kernel, &error));
    host_put(&bench.host_a, 1);
    assert_ok(stream_capture_begin(&bench.stream, &error));
    assert_ok(stream_upload(&bench.stream, &bench.a, 0, &bench.host_a, 0, BYTES, &error));
    assert_int_equal(stream_launch_kernel(&bench.stream, &kernel,
                                          (uint64_t[]){bench.a.address, bench.b.address, bench.y.address}, 3, 0,
                                          &error),
                     STATUS_BACKEND);
    stream_capture_cancel(&bench.stream);
    graph = captured(&bench);
    assert_replays(&bench, &graph, 4);
    graph_destroy(&graph);
    device_kernel_destroy(&kernel);
    bench_destroy(&bench);
}

static void a_replay_that_is_refused_says_so_at_once(void **state)
{
    struct graph graph;
    struct bench bench;
    struct error error;

    (void)state;
    bench_create(&bench, open_faults("replay=2"), BYTES);
    graph = captured(&bench);
    assert_replays(&bench, &graph, 1);
    assert_int_equal(stream_replay(&bench.stream, &graph, &error), STATUS_BACKEND);
    assert_string_equal(error.message, "faulty: replay 2 was refused, as ordered (code 5, vendor code 999)");
    assert_replays(&bench, &graph, 2);
    graph_destroy(&graph);
    bench_destroy(&bench);
}

static void replayed_work_that_fails_comes_out_of_the_next_event(void **state)
{
    struct graph graph;
    struct bench bench;
    struct error error;
    bool ready;

    (void)state;
    bench_create(&bench, open_faults("replayed=2"), BYTES);
    graph = captured(&bench);
    assert_replays(&bench, &graph, 1);
    assert_ok(stream_replay(&bench.stream, &graph, &error));
    assert_ok(stream_record(&bench.stream, &bench.event, &error));
    assert_int_equal(event_wait(&bench.event, -1, &ready, &error), STATUS_BACKEND);
    assert_non_null(strstr(error.message, "the work before event record 2 failed, as ordered"));
    assert_int_equal(device_synchronize(bench.device, &error), STATUS_BACKEND);
    graph_destroy(&graph);
    bench_destroy(&bench);
}

static void a_replay_that_hangs_is_not_ready_in_time_and_can_be_abandoned(void **state)
{
    struct graph graph;
    struct bench bench;
    struct error error;
    bool ready = true;

    (void)state;
    bench_create(&bench, open_faults("replay_hang=1"), BYTES);
    graph = captured(&bench);
    assert_ok(stream_replay(&bench.stream, &graph, &error));
    assert_ok(stream_record(&bench.stream, &bench.event, &error));
    assert_ok(event_wait(&bench.event, 20000000, &ready, &error));
    assert_false(ready);
    device_abandon(bench.device, STATUS_PEER, "rank 1 has failed");
    assert_int_equal(event_finish(&bench.event, INT64_C(60000000000), &(struct awaited){.what = "step 5"}, &error),
                     STATUS_PEER);
    assert_string_equal(error.message, "step 5 was abandoned: rank 1 has failed");
    graph_destroy(&graph);
    bench_destroy(&bench);
}

/* One matmul of [4, 4] by the identity, on a device with these faults; the result, 16 numbers, into y. */
static void multiply(const char *faults, float *y)
{
    const struct llmrun_matmul_attributes attributes = {.activation = LLMRUN_ACTIVATION_NONE, .feature_parts = 1};
    struct llmrun_tensor operands[LLMRUN_MATMUL_OPERANDS] = {
        [LLMRUN_MATMUL_X] = matrix(4, 4), [LLMRUN_MATMUL_W] = matrix(4, 4), [LLMRUN_MATMUL_Y] = matrix(4, 4)};
    const struct llmrun_op op = {.size = sizeof op,
                                 .op = LLMRUN_OP_MATMUL,
                                 .version = LLMRUN_OP_MATMUL_VERSION,
                                 .flags = LLMRUN_OP_EXACT,
                                 .attribute_bytes = sizeof attributes,
                                 .operand_count = LLMRUN_MATMUL_OPERANDS,
                                 .attributes = &attributes,
                                 .operands = operands,
                                 .operand_stride = sizeof operands[0]};
    struct buffer workspace = {0};
    struct device_kernel kernel;
    struct bench bench;
    struct error error;
    bool ready;

    bench_create(&bench, open_faults(faults), BYTES);
    assert_ok(device_kernel_create(bench.device, &op, INT64_MAX, &kernel, &error));
    if (kernel.workspace_bytes > 0)
        assert_ok(buffer_create(bench.device, LLMRUN_MEMORY_DEVICE, kernel.workspace_bytes, &workspace, &error));
    for (int i = 0; i < 16; i++) {
        ((float *)bench.host_a.memory)[i] = (float)(i + 10);
        ((float *)bench.host_b.memory)[i] = i % 5 == 0;
    }
    assert_ok(stream_upload(&bench.stream, &bench.a, 0, &bench.host_a, 0, 64, &error));
    assert_ok(stream_upload(&bench.stream, &bench.b, 0, &bench.host_b, 0, 64, &error));
    assert_ok(stream_launch_kernel(&bench.stream, &kernel,
                                   (uint64_t[]){bench.a.address, bench.b.address, 0, bench.y.address, 0},
                                   LLMRUN_MATMUL_OPERANDS, workspace.address, &error));
    assert_ok(stream_download(&bench.stream, &bench.host_y, 0, &bench.y, 0, 64, &error));
    assert_ok(stream_record(&bench.stream, &bench.event, &error));
    assert_ok(event_wait(&bench.event, -1, &ready, &error));
    memcpy(y, bench.host_y.memory, 64);
    device_kernel_destroy(&kernel);
    buffer_destroy(&workspace);
    bench_destroy(&bench);
}

static void the_liar_has_one_wrong_element(void **state)
{
    float y[16];

    (void)state;
    multiply("liar=2", y); /* the first matmul is still right */
    for (int i = 0; i < 16; i++)
        assert_float_equal(y[i], i + 10, 0);
    multiply("liar=1", y);
    assert_float_equal(y[0], 3, 0);
    for (int i = 1; i < 16; i++)
        assert_float_equal(y[i], i + 10, 0);
}

static void faults_that_nobody_knows_are_refused(void **state)
{
    static const char *const texts[] = {"alloc", "alloc=0", "alloc=x", "alloc=1;launch=2", "flood=1"};
    struct device *device;
    struct error error;

    (void)state;
    for (int i = 0; i < 5; i++) {
        const struct llmrun_option option = {"faults", texts[i]};

        assert_int_equal(device_open(open_backend("faulty"), 0, &option, 1, &device, &error), STATUS_BACKEND);
        assert_non_null(strstr(error.message, "are not of the form alloc=3,event=2"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_that_does_not_open_says_why),
        cmocka_unit_test(a_device_that_is_not_there_is_counted),
        cmocka_unit_test(the_nth_allocation_fails_as_memory_with_the_bytes),
        cmocka_unit_test(host_memory_streams_and_events_fail_as_memory),
        cmocka_unit_test(a_launch_that_fails_says_so_at_once),
        cmocka_unit_test(a_failure_of_enqueued_work_comes_out_of_the_event),
        cmocka_unit_test(a_wait_on_a_device_that_hangs_ends_with_its_time),
        cmocka_unit_test(a_wait_on_a_device_that_hangs_is_abandoned_within_a_quarter_of_a_second),
        cmocka_unit_test(a_capture_that_does_not_begin_or_end_leaves_the_stream_usable),
        cmocka_unit_test(a_capture_whose_recording_fails_is_cancelled),
        cmocka_unit_test(a_replay_that_is_refused_says_so_at_once),
        cmocka_unit_test(replayed_work_that_fails_comes_out_of_the_next_event),
        cmocka_unit_test(a_replay_that_hangs_is_not_ready_in_time_and_can_be_abandoned),
        cmocka_unit_test(the_liar_has_one_wrong_element),
        cmocka_unit_test(faults_that_nobody_knows_are_refused),
    };

    return cmocka_run_group_tests_name("faulty", tests, NULL, NULL);
}
