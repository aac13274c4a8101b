/* Captured work on fakegpu, which keeps the rules of a real device's stream capture. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "support.h"

#define BYTES INT64_C(256)
#define SEEDS 20

static struct bench bench;
static struct stream other;
static struct event forked, joined;
static struct device_kernel add; /* y = a + b over the buffers of the bench */
static struct error error;

static void set_up(int seed)
{
    struct llmrun_tensor operands[LLMRUN_ADD_OPERANDS];
    const struct llmrun_op op = add_op(operands, 8, 8);

    bench_create(&bench, open_seed(seed), BYTES);
    assert_ok(stream_create(bench.device, LLMRUN_STREAM_COPY, &other, &error));
    assert_ok(event_create(bench.device, &forked, &error));
    assert_ok(event_create(bench.device, &joined, &error));
    assert_ok(device_kernel_create(bench.device, &op, 0, &add, &error));
}

static void tear_down(void)
{
    stream_destroy(&other);
    event_destroy(&forked);
    event_destroy(&joined);
    device_kernel_destroy(&add);
    bench_destroy(&bench);
}

static void upload(const struct stream *stream, const struct buffer *to, const struct host_buffer *from)
{
    assert_ok(stream_upload(stream, to, 0, from, 0, BYTES, &error));
}

static void download(const struct buffer *from)
{
    assert_ok(stream_download(&bench.stream, &bench.host_y, 0, from, 0, BYTES, &error));
}

/* `stream` goes on after what `before` has so far. */
static void follow(const struct stream *stream, const struct stream *before, const struct event *event)
{
    assert_ok(stream_record(before, event, &error));
    assert_ok(stream_wait(stream, event, &error));
}

static void launch_add(void)
{
    uint64_t addresses[] = {bench.a.address, bench.b.address, bench.y.address};

    assert_ok(stream_launch_kernel(&bench.stream, &add, addresses, 3, 0, &error));
    memset(addresses, 0, sizeof addresses); /* the launch has its own */
}

static void begin(void)
{
    assert_ok(stream_capture_begin(&bench.stream, &error));
}

static struct graph end(void)
{
    struct graph graph;

    assert_ok(stream_capture_end(&bench.stream, &graph, &error));
    return graph;
}

static void recorded_work_runs_when_it_is_replayed(void **state)
{
    struct graph graph;

    (void)state;
    set_up(1);
    host_put(&bench.host_a, 1);
    host_put(&bench.host_b, 2);
    host_put(&bench.host_y, 7);
    begin();
    upload(&bench.stream, &bench.a, &bench.host_a);
    upload(&bench.stream, &bench.b, &bench.host_b);
    launch_add();
    download(&bench.y);
    graph = end();
    assert_ok(device_synchronize(bench.device, &error));
    assert_true(host_all_are(&bench.host_y, 7));
    for (int i = 0; i < 3; i++) {
        host_put(&bench.host_a, (float)i);
        assert_ok(stream_replay(&bench.stream, &graph, &error));
        bench_await(&bench);
        assert_true(host_all_are(&bench.host_y, (float)i + 2));
    }
    graph_destroy(&graph);
    tear_down();
}

/* a is uploaded on a stream that joined, and copied to y on the first one. Returns whether y is right after each of
 * three replays; without the event inside, the two race. */
static bool replay_branches(int seed, bool with_event)
{
    struct graph graph;
    bool right = true;

    set_up(seed);
    begin();
    follow(&other, &bench.stream, &forked);
    upload(&other, &bench.a, &bench.host_a);
    assert_ok(stream_record(&other, &joined, &error));
    if (with_event)
        assert_ok(stream_wait(&bench.stream, &joined, &error));
    assert_ok(stream_copy(&bench.stream, &bench.y, 0, &bench.a, 0, BYTES, &error));
    download(&bench.y);
    if (!with_event)
        assert_ok(stream_wait(&bench.stream, &joined, &error));
    graph = end();
    for (int i = 1; i <= 3; i++) {
        host_put(&bench.host_a, (float)i);
        assert_ok(stream_replay(&bench.stream, &graph, &error));
        bench_await(&bench);
        right = right && host_all_are(&bench.host_y, (float)i);
    }
    graph_destroy(&graph);
    tear_down();
    return right;
}

static void streams_joined_by_events_are_recorded_with_their_order(void **state)
{
    (void)state;
    for (int seed = 1; seed <= SEEDS; seed++)
        assert_true(replay_branches(seed, true));
}

static void branches_of_a_graph_race_where_no_event_orders_them(void **state)
{
    int right = 0;

    (void)state;
    for (int seed = 1; seed <= SEEDS; seed++)
        right += replay_branches(seed, false);
    assert_in_range(right, 0, SEEDS - 1);
}

/* Six replays, turn about on two streams or all on one, without a wait between: a grows by b with each. */
static void replays_of_one_graph_run_in_the_order_of_their_calls(void **state)
{
    (void)state;
    for (int seed = 1; seed <= SEEDS; seed++) {
        struct graph graph;

        set_up(seed);
        host_put(&bench.host_a, 1);
        host_put(&bench.host_b, 2);
        upload(&bench.stream, &bench.a, &bench.host_a);
        upload(&bench.stream, &bench.b, &bench.host_b);
        begin();
        launch_add();
        follow(&other, &bench.stream, &forked);
        assert_ok(stream_copy(&other, &bench.a, 0, &bench.y, 0, BYTES, &error));
        follow(&bench.stream, &other, &joined);
        graph = end();
        follow(&other, &bench.stream, &forked); /* after the uploads */
        for (int i = 0; i < 6; i++)
            assert_ok(stream_replay(seed % 2 == 0 && i % 2 == 0 ? &other : &bench.stream, &graph, &error));
        download(&bench.a);
        bench_await(&bench);
        assert_true(host_all_are(&bench.host_y, 13));
        graph_destroy(&graph);
        tear_down();
    }
}

static void destroying_a_graph_waits_for_its_replay(void **state)
{
    struct graph graph;

    (void)state;
    for (int seed = 1; seed <= SEEDS; seed++) {
        set_up(seed);
        host_put(&bench.host_a, 4);
        begin();
        follow(&other, &bench.stream, &forked);
        upload(&other, &bench.a, &bench.host_a);
        follow(&bench.stream, &other, &joined);
        download(&bench.a);
        graph = end();
        assert_ok(stream_replay(&bench.stream, &graph, &error));
        graph_destroy(&graph);
        assert_true(host_all_are(&bench.host_y, 4));
        tear_down();
    }
}

static void a_failure_of_replayed_work_shows_in_the_next_event(void **state)
{
    struct graph graph;
    bool ready;

    (void)state;
    for (int seed = 1; seed <= SEEDS; seed++) {
        set_up(seed);
        begin();
        follow(&other, &bench.stream, &forked);
        assert_ok(stream_fill(&other, &bench.a, 0, 0, BYTES, &error));
        follow(&bench.stream, &other, &joined);
        graph = end();
        assert_ok(stream_replay(&bench.stream, &graph, &error));
        bench_await(&bench);
        buffer_destroy(&bench.a); /* the graph names it */
        assert_ok(stream_replay(&bench.stream, &graph, &error));
        assert_ok(stream_record(&bench.stream, &bench.event, &error));
        assert_int_equal(event_wait(&bench.event, -1, &ready, &error), STATUS_BACKEND);
        assert_string_equal(error.message, "fakegpu: byte 0 of memory that was freed is used");
        graph_destroy(&graph);
        tear_down();
    }
}

static void a_graph_whose_kernel_was_destroyed_is_not_replayed(void **state)
{
    struct graph graph;

    (void)state;
    set_up(1);
    begin();
    launch_add();
    graph = end();
    device_kernel_destroy(&add);
    assert_int_equal(stream_replay(&bench.stream, &graph, &error), STATUS_BACKEND);
    assert_string_equal(error.message, "fakegpu: command 0 of the graph launches a destroyed kernel");
    graph_destroy(&graph);
    tear_down();
}

/* ---- What may not happen in a capture ---- */

static struct buffer made;
static struct host_buffer made_host;

static int allocates(void)
{
    return buffer_create(bench.device, LLMRUN_MEMORY_DEVICE, BYTES, &made, &error);
}

static int allocates_host_memory(void)
{
    return host_buffer_create(bench.device, BYTES, &made_host, &error);
}

static int frees(void)
{
    buffer_destroy(&bench.b);
    return STATUS_BACKEND; /* freeing has no answer; the end has */
}

static int frees_host_memory(void)
{
    host_buffer_destroy(&bench.host_b);
    return STATUS_BACKEND;
}

static int copies_other_memory(void)
{
    static float values[64];
    const struct llmrun_copy copy = {.size = sizeof copy,
                                     .direction = LLMRUN_COPY_HOST_TO_DEVICE,
                                     .to = bench.a.address,
                                     .from = (uint64_t)(uintptr_t)values,
                                     .rows = 1,
                                     .row_bytes = BYTES,
                                     .to_pitch = BYTES,
                                     .from_pitch = BYTES};
    struct llmrun_error reason = {0};
    const int32_t code = bench.device->backend->device.copy(bench.stream.handle, &copy, &reason);

    return backend_error(bench.device->backend, code, &reason, &error);
}

static int prepares(void)
{
    struct llmrun_tensor operands[LLMRUN_ADD_OPERANDS];
    const struct llmrun_op op = add_op(operands, 4, 4);
    struct device_kernel kernel;

    return device_kernel_create(bench.device, &op, 0, &kernel, &error);
}

static int destroys_a_kernel(void)
{
    device_kernel_destroy(&add);
    return STATUS_BACKEND;
}

static int synchronizes(void)
{
    return device_synchronize(bench.device, &error);
}

static int queries_its_event(void)
{
    bool ready;

    assert_ok(stream_record(&bench.stream, &forked, &error));
    return event_query(&forked, &ready, &error);
}

static int waits_for_its_event(void)
{
    bool ready;

    assert_ok(stream_record(&bench.stream, &forked, &error));
    return event_wait(&forked, -1, &ready, &error);
}

static int follows_work_outside(void)
{
    assert_ok(stream_record(&other, &joined, &error));
    return stream_wait(&bench.stream, &joined, &error);
}

static int follows_an_event_of_no_record(void)
{
    return stream_wait(&bench.stream, &joined, &error);
}

static int launches_with_a_wrong_address(void)
{
    return stream_fill(&bench.stream, &(struct buffer){bench.device, 4096, BYTES, LLMRUN_MEMORY_DEVICE}, 0, 0, BYTES,
                       &error);
}

static int follows_another_capture(void)
{
    int status;

    assert_ok(stream_capture_begin(&other, &error));
    follow(&other, &other, &joined);
    status = stream_wait(&bench.stream, &joined, &error);
    stream_capture_cancel(&other);
    return status;
}

static int ends_elsewhere(void)
{
    struct graph graph;
    int status;

    follow(&other, &bench.stream, &forked);
    follow(&bench.stream, &other, &joined);
    status = stream_capture_end(&other, &graph, &error);
    assert_null(graph.handle);
    return status;
}

static int destroys_a_stream_of_it(void)
{
    follow(&other, &bench.stream, &forked);
    stream_destroy(&other);
    return STATUS_BACKEND;
}

static int leaves_a_stream_behind(void)
{
    follow(&other, &bench.stream, &forked);
    assert_ok(stream_fill(&other, &bench.a, 0, 0, BYTES, &error));
    return STATUS_BACKEND; /* which the end finds out */
}

static int forgets_the_last_of_a_stream(void)
{
    follow(&other, &bench.stream, &forked);
    follow(&bench.stream, &other, &joined);
    return leaves_a_stream_behind();
}

static const struct {
    int (*breaks)(void);
    const char *why; /* what the end says */
} rules[] = {
    {allocates, "memory_alloc was called in the midst of it"},
    {allocates_host_memory, "host_alloc was called in the midst of it"},
    {frees, "memory_free was called in the midst of it"},
    {frees_host_memory, "host_free was called in the midst of it"},
    {copies_other_memory, "memory that is not of host_alloc cannot be copied in a capture"},
    {prepares, "prepare was called in the midst of it"},
    {destroys_a_kernel, "destroy was called in the midst of it"},
    {synchronizes, "synchronize was called in the midst of it"},
    {queries_its_event, "event_query was given an event that was recorded in it"},
    {waits_for_its_event, "event_wait was given an event that was recorded in it"},
    {follows_work_outside, "a stream of it waited for work outside of it"},
    {follows_an_event_of_no_record, "a stream of it waited for work outside of it"},
    {launches_with_a_wrong_address, "0x1000 is no address of device 0"},
    {follows_another_capture, "a stream of it waited for work outside of it"},
    {ends_elsewhere, "it was ended on another stream than it began on"},
    {destroys_a_stream_of_it, "a stream of it was destroyed"},
    {leaves_a_stream_behind, "a stream that joined it was not joined back before its end"},
    {forgets_the_last_of_a_stream, "a stream that joined it was not joined back before its end"},
};

/* The call fails, what follows in the capture fails, the end fails with the reason, and then the stream is as before.
 */
static void what_breaks_a_rule_makes_the_capture_void_and_nothing_else(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        struct graph graph;
        bool shows_at_the_end;

        set_up((int)i + 1);
        begin();
        assert_ok(stream_fill(&bench.stream, &bench.y, 0, 0, BYTES, &error));
        if (rules[i].breaks() != STATUS_BACKEND)
            fail_msg("what should end with \"%s\" succeeded", rules[i].why);
        shows_at_the_end = strstr(rules[i].why, "joined back") != NULL;
        assert_int_equal(stream_fill(&bench.stream, &bench.y, 0, 0, BYTES, &error),
                         shows_at_the_end ? STATUS_OK : STATUS_BACKEND);
        assert_int_equal(stream_capture_end(&bench.stream, &graph, &error), STATUS_BACKEND);
        assert_null(graph.device);
        if (strstr(error.message, rules[i].why) == NULL)
            fail_msg("the end says \"%s\", not \"%s\"", error.message, rules[i].why);
        host_put(&bench.host_a, 3);
        upload(&bench.stream, &bench.a, &bench.host_a);
        if (other.device != NULL)
            follow(&bench.stream, &other, &joined); /* it runs its work again too */
        download(&bench.a);
        bench_await(&bench);
        assert_true(host_all_are(&bench.host_y, 3));
        tear_down();
    }
}

static void a_capture_that_is_given_up_leaves_the_stream_usable(void **state)
{
    struct graph graph, none;

    (void)state;
    set_up(1);
    begin();
    assert_int_equal(stream_capture_begin(&bench.stream, &error), STATUS_BACKEND);
    assert_string_equal(error.message, "fakegpu: the stream is part of a capture already");
    launch_add();
    stream_capture_cancel(&bench.stream);
    host_put(&bench.host_a, 1);
    host_put(&bench.host_b, 2);
    begin();
    upload(&bench.stream, &bench.a, &bench.host_a);
    upload(&bench.stream, &bench.b, &bench.host_b);
    launch_add();
    download(&bench.y);
    graph = end();
    assert_int_equal(stream_capture_end(&bench.stream, &none, &error), STATUS_BACKEND);
    assert_string_equal(error.message, "fakegpu: no capture began on this stream");
    assert_ok(stream_replay(&bench.stream, &graph, &error));
    bench_await(&bench);
    assert_true(host_all_are(&bench.host_y, 3));
    graph_destroy(&graph);
    tear_down();
}

static void an_event_of_a_capture_means_nothing_after_it_until_it_is_recorded_again(void **state)
{
    struct graph graph;
    bool ready;

    (void)state;
    set_up(1);
    begin();
    assert_ok(stream_record(&bench.stream, &forked, &error));
    graph = end();
    assert_ok(stream_replay(&bench.stream, &graph, &error));
    assert_int_equal(event_query(&forked, &ready, &error), STATUS_BACKEND);
    assert_string_equal(error.message, "fakegpu: event_query was given an event that was recorded in a capture");
    assert_int_equal(stream_wait(&other, &forked, &error), STATUS_BACKEND);
    follow(&other, &bench.stream, &forked);
    assert_ok(event_wait(&forked, -1, &ready, &error));
    assert_true(ready);
    graph_destroy(&graph);
    tear_down();
}

static void other_streams_run_during_a_capture(void **state)
{
    struct graph graph;
    bool ready;

    (void)state;
    set_up(1);
    host_put(&bench.host_a, 5);
    begin();
    upload(&other, &bench.a, &bench.host_a);
    assert_ok(stream_download(&other, &bench.host_y, 0, &bench.a, 0, BYTES, &error));
    assert_ok(stream_record(&other, &forked, &error));
    assert_ok(event_wait(&forked, -1, &ready, &error));
    assert_true(host_all_are(&bench.host_y, 5));
    graph = end();
    assert_ok(stream_replay(&bench.stream, &graph, &error)); /* of nothing */
    bench_await(&bench);
    graph_destroy(&graph);
    tear_down();
}

static void native_handles_name_the_queue_and_the_allocation(void **state)
{
    struct llmrun_native native = {.size = sizeof native}, again = native, alone = native;
    struct llmrun_error reason = {0};

    (void)state;
    set_up(1);
    assert_int_equal(
        bench.device->backend->device.export_native(bench.stream.handle, bench.a.address + 12, &native, &reason),
        LLMRUN_OK);
    assert_string_equal(native.domain, bench.device->info.domain);
    assert_int_equal(native.buffer, bench.a.address);
    assert_int_equal(native.offset, 12);
    assert_int_equal(native.device, 0);
    assert_int_equal(bench.device->backend->device.export_native(other.handle, bench.a.address, &again, &reason),
                     LLMRUN_OK);
    assert_int_equal(again.buffer, native.buffer);
    assert_int_not_equal(again.stream, native.stream);
    assert_int_equal(bench.device->backend->device.export_native(other.handle, 0, &alone, &reason), LLMRUN_OK);
    assert_int_equal(alone.stream, again.stream);
    assert_int_equal(alone.buffer, 0);
    assert_int_equal(bench.device->backend->device.export_native(other.handle, 4096, &alone, &reason),
                     LLMRUN_ERROR_ARGUMENT);
    tear_down();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_work_runs_when_it_is_replayed),
        cmocka_unit_test(streams_joined_by_events_are_recorded_with_their_order),
        cmocka_unit_test(branches_of_a_graph_race_where_no_event_orders_them),
        cmocka_unit_test(replays_of_one_graph_run_in_the_order_of_their_calls),
        cmocka_unit_test(destroying_a_graph_waits_for_its_replay),
        cmocka_unit_test(a_failure_of_replayed_work_shows_in_the_next_event),
        cmocka_unit_test(a_graph_whose_kernel_was_destroyed_is_not_replayed),
        cmocka_unit_test(what_breaks_a_rule_makes_the_capture_void_and_nothing_else),
        cmocka_unit_test(a_capture_that_is_given_up_leaves_the_stream_usable),
        cmocka_unit_test(an_event_of_a_capture_means_nothing_after_it_until_it_is_recorded_again),
        cmocka_unit_test(other_streams_run_during_a_capture),
        cmocka_unit_test(native_handles_name_the_queue_and_the_allocation),
    };

    return cmocka_run_group_tests_name("capture", tests, NULL, NULL);
}
