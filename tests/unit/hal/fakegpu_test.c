/* fakegpu shows what a core does wrong: these cases do it wrong on purpose, and right. */
#include <malloc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "support.h"

#define ELEMENTS 64
#define BYTES    ((int64_t)(ELEMENTS * sizeof(float)))
#define SEEDS    20

static void nothing_runs_before_somebody_waits(void **state)
{
    struct bench bench;
    struct error error;

    (void)state;
    bench_create(&bench, open_seed(1), BYTES);
    host_put(&bench.host_a, 5);
    host_put(&bench.host_y, 7);
    assert_ok(stream_upload(&bench.stream, &bench.a, 0, &bench.host_a, 0, BYTES, &error));
    assert_ok(stream_download(&bench.stream, &bench.host_y, 0, &bench.a, 0, BYTES, &error));
    assert_true(host_all_are(&bench.host_y, 7));
    bench_await(&bench);
    assert_true(host_all_are(&bench.host_y, 5));
    bench_destroy(&bench);
}

static void an_op_is_computed_on_translated_addresses(void **state)
{
    struct llmrun_tensor operands[LLMRUN_ADD_OPERANDS];
    const struct llmrun_op op = add_op(operands, 4, ELEMENTS / 4);
    struct device_kernel kernel;
    struct bench bench;
    struct error error;

    (void)state;
    bench_create(&bench, open_seed(1), BYTES);
    assert_ok(device_kernel_create(bench.device, &op, 0, &kernel, &error));
    host_put(&bench.host_a, 1.5f);
    host_put(&bench.host_b, 2.25f);
    assert_ok(stream_upload(&bench.stream, &bench.a, 0, &bench.host_a, 0, BYTES, &error));
    assert_ok(stream_upload(&bench.stream, &bench.b, 0, &bench.host_b, 0, BYTES, &error));
    assert_ok(stream_launch_kernel(&bench.stream, &kernel,
                                   (uint64_t[]){bench.a.address, bench.b.address, bench.y.address}, 3, 0, &error));
    assert_ok(stream_download(&bench.stream, &bench.host_y, 0, &bench.y, 0, BYTES, &error));
    bench_await(&bench);
    assert_true(host_all_are(&bench.host_y, 3.75f));
    device_kernel_destroy(&kernel);
    bench_destroy(&bench);
}

static void the_host_cannot_touch_device_memory(void **state)
{
    struct bench bench;
    int status;
    pid_t child;

    (void)state;
    bench_create(&bench, open_seed(1), BYTES);
    child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        *(volatile float *)(uintptr_t)bench.a.address = 1;
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    bench_destroy(&bench);
}

static void memory_is_garbage_until_it_is_written(void **state)
{
    struct bench bench;
    struct error error;

    (void)state;
    bench_create(&bench, open_seed(1), BYTES);
    assert_ok(stream_download(&bench.stream, &bench.host_y, 0, &bench.a, 0, BYTES, &error));
    bench_await(&bench);
    for (int i = 0; i < ELEMENTS; i++)
        assert_true(((float *)bench.host_y.memory)[i] != ((float *)bench.host_y.memory)[i]); /* NaN */
    bench_destroy(&bench);
}

/* Uploads 1 on a second stream, then copies a to y on the first. Returns whether y is 1 at the end. */
static int cross_streams(int seed, bool with_event)
{
    struct stream copies;
    struct event uploaded;
    struct bench bench;
    struct error error;
    int right;

    bench_create(&bench, open_seed(seed), BYTES);
    assert_ok(stream_create(bench.device, LLMRUN_STREAM_COPY, &copies, &error));
    assert_ok(event_create(bench.device, &uploaded, &error));
    host_put(&bench.host_a, 1);
    assert_ok(stream_upload(&copies, &bench.a, 0, &bench.host_a, 0, BYTES, &error));
    assert_ok(stream_record(&copies, &uploaded, &error));
    if (with_event)
        assert_ok(stream_wait(&bench.stream, &uploaded, &error));
    assert_ok(stream_copy(&bench.stream, &bench.y, 0, &bench.a, 0, BYTES, &error));
    assert_ok(stream_download(&bench.stream, &bench.host_y, 0, &bench.y, 0, BYTES, &error));
    bench_await(&bench);
    right = host_all_are(&bench.host_y, 1);
    assert_ok(device_synchronize(bench.device, &error));
    event_destroy(&uploaded);
    stream_destroy(&copies);
    bench_destroy(&bench);
    return right;
}

static void a_forgotten_event_gives_garbage_for_some_of_20_seeds(void **state)
{
    int right = 0;

    (void)state;
    for (int seed = 1; seed <= SEEDS; seed++)
        right += cross_streams(seed, false);
    assert_in_range(right, 1, SEEDS - 1);
}

static void with_the_event_all_20_seeds_are_right(void **state)
{
    (void)state;
    for (int seed = 1; seed <= SEEDS; seed++)
        assert_true(cross_streams(seed, true));
}

static void staging_memory_that_is_used_again_too_early_is_seen(void **state)
{
    struct bench bench;
    struct error error;

    (void)state;
    bench_create(&bench, open_seed(1), BYTES);
    host_put(&bench.host_a, 1);
    assert_ok(stream_upload(&bench.stream, &bench.a, 0, &bench.host_a, 0, BYTES, &error));
    host_put(&bench.host_a, 2); /* the copy has not ended */
    assert_ok(stream_download(&bench.stream, &bench.host_y, 0, &bench.a, 0, BYTES, &error));
    bench_await(&bench);
    assert_true(host_all_are(&bench.host_y, 2));
    bench_destroy(&bench);
}

static void a_copy_from_other_host_memory_waits(void **state)
{
    float values[ELEMENTS];
    struct llmrun_copy copy = {.size = sizeof copy, .direction = LLMRUN_COPY_HOST_TO_DEVICE, .rows = 1};
    struct bench bench;
    struct error error;

    (void)state;
    bench_create(&bench, open_seed(1), BYTES);
    for (int i = 0; i < ELEMENTS; i++)
        values[i] = 3;
    copy.to = bench.a.address;
    copy.from = (uint64_t)(uintptr_t)values;
    copy.row_bytes = copy.to_pitch = copy.from_pitch = BYTES;
    assert_int_equal(bench.device->backend->device.copy(bench.stream.handle, &copy, NULL), LLMRUN_OK);
    memset(values, 0, sizeof values);
    assert_ok(stream_download(&bench.stream, &bench.host_y, 0, &bench.a, 0, BYTES, &error));
    bench_await(&bench);
    assert_true(host_all_are(&bench.host_y, 3));
    bench_destroy(&bench);
}

static void rows_with_a_pitch_are_copied(void **state)
{
    struct llmrun_copy copy = {.size = sizeof copy,
                               .direction = LLMRUN_COPY_HOST_TO_DEVICE,
                               .rows = 4,
                               .row_bytes = 8,
                               .to_pitch = 8,
                               .from_pitch = 64};
    struct bench bench;
    struct error error;

    (void)state;
    bench_create(&bench, open_seed(1), BYTES);
    for (int i = 0; i < ELEMENTS; i++)
        ((float *)bench.host_a.memory)[i] = (float)i;
    copy.to = bench.a.address;
    copy.from = (uint64_t)(uintptr_t)bench.host_a.memory;
    assert_int_equal(bench.device->backend->device.copy(bench.stream.handle, &copy, NULL), LLMRUN_OK);
    assert_ok(stream_download(&bench.stream, &bench.host_y, 0, &bench.a, 0, 32, &error));
    bench_await(&bench);
    for (int i = 0; i < 8; i++)
        assert_float_equal(((float *)bench.host_y.memory)[i], (float)(i / 2 * 16 + i % 2), 0);
    bench_destroy(&bench);
}

static void an_event_recorded_again_keeps_the_earlier_waits(void **state)
{
    for (int seed = 1; seed <= SEEDS; seed++) {
        struct stream copies;
        struct bench bench;
        struct error error;

        (void)state;
        bench_create(&bench, open_seed(seed), BYTES);
        assert_ok(stream_create(bench.device, LLMRUN_STREAM_COPY, &copies, &error));
        host_put(&bench.host_a, 1);
        host_put(&bench.host_b, 2);
        assert_ok(stream_upload(&bench.stream, &bench.a, 0, &bench.host_a, 0, BYTES, &error));
        assert_ok(stream_record(&bench.stream, &bench.event, &error));
        assert_ok(stream_wait(&copies, &bench.event, &error));
        assert_ok(stream_copy(&copies, &bench.y, 0, &bench.a, 0, BYTES, &error));
        assert_ok(stream_record(&copies, &bench.event, &error)); /* the same event, elsewhere */
        assert_ok(stream_wait(&bench.stream, &bench.event, &error));
        assert_ok(stream_upload(&bench.stream, &bench.a, 0, &bench.host_b, 0, BYTES, &error));
        assert_ok(stream_download(&bench.stream, &bench.host_y, 0, &bench.y, 0, BYTES, &error));
        bench_await(&bench);
        assert_true(host_all_are(&bench.host_y, 1));
        stream_destroy(&copies);
        bench_destroy(&bench);
    }
}

static void queries_alone_make_it_ready(void **state)
{
    struct bench bench;
    struct error error;
    bool ready = true;
    int queries = 0;

    (void)state;
    bench_create(&bench, open_seed(3), BYTES);
    assert_ok(event_query(&bench.event, &ready, &error));
    assert_true(ready); /* never recorded */
    for (int i = 0; i < 20; i++)
        assert_ok(stream_fill(&bench.stream, &bench.a, 0, 0, BYTES, &error));
    assert_ok(stream_record(&bench.stream, &bench.event, &error));
    do {
        assert_ok(event_query(&bench.event, &ready, &error));
        queries++;
    } while (!ready);
    assert_in_range(queries, 2, 1000);
    bench_destroy(&bench);
}

static void commands_beyond_the_queue_are_done_and_none_of_their_memory_is_lost(void **state)
{
    const size_t before = mallinfo2().uordblks;
    struct bench bench;
    struct error error;

    (void)state;
    bench_create(&bench, open_seed(5), BYTES);
    for (uint32_t i = 0; i < 50000; i++)
        assert_ok(stream_fill(&bench.stream, &bench.a, i % ELEMENTS * 4, i, 4, &error));
    assert_ok(stream_download(&bench.stream, &bench.host_y, 0, &bench.a, 0, BYTES, &error));
    bench_await(&bench);
    for (uint32_t i = 0; i < ELEMENTS; i++) /* the last multiple of 64 below 50,000 is 49,984 */
        assert_int_equal(((uint32_t *)bench.host_y.memory)[i], (i < 16 ? 49984 : 49920) + i);
    bench_destroy(&bench);
    /* A command has some 300 bytes; 33,616 of 50,000 did not find room in the queue of 16,384. */
    assert_true(mallinfo2().uordblks < before + 1000000);
}

static void memory_freed_under_enqueued_work_fails_that_work(void **state)
{
    struct bench bench;
    struct error error;
    bool ready;

    (void)state;
    bench_create(&bench, open_seed(1), BYTES);
    assert_ok(stream_fill(&bench.stream, &bench.a, 0, 0, BYTES, &error));
    assert_ok(stream_record(&bench.stream, &bench.event, &error));
    buffer_destroy(&bench.a);
    assert_int_equal(event_wait(&bench.event, -1, &ready, &error), STATUS_BACKEND);
    assert_string_equal(error.message, "fakegpu: byte 0 of memory that was freed is used");
    assert_int_equal(device_synchronize(bench.device, &error), STATUS_BACKEND);
    bench_destroy(&bench);
}

static void a_failure_goes_on_through_events_to_other_streams(void **state)
{
    struct stream other;
    struct event last;
    struct bench bench;
    struct error error;
    bool ready;

    (void)state;
    bench_create(&bench, open_seed(1), BYTES);
    assert_ok(stream_create(bench.device, LLMRUN_STREAM_COPY, &other, &error));
    assert_ok(event_create(bench.device, &last, &error));
    assert_ok(stream_fill(&bench.stream, &bench.a, 0, 0, BYTES, &error));
    assert_ok(stream_record(&bench.stream, &bench.event, &error));
    buffer_destroy(&bench.a);
    assert_ok(stream_wait(&other, &bench.event, &error));
    assert_ok(stream_record(&other, &last, &error));
    assert_int_equal(event_wait(&last, -1, &ready, &error), STATUS_BACKEND);
    event_destroy(&last);
    stream_destroy(&other);
    bench_destroy(&bench);
}

static void operands_outside_their_memory_are_refused(void **state)
{
    struct llmrun_tensor operands[LLMRUN_ADD_OPERANDS];
    const struct llmrun_op op = add_op(operands, 4, ELEMENTS / 4);
    struct device_kernel kernel;
    struct bench bench;
    struct error error;

    (void)state;
    bench_create(&bench, open_seed(1), BYTES);
    assert_ok(device_kernel_create(bench.device, &op, 0, &kernel, &error));
    assert_int_equal(stream_launch_kernel(&bench.stream, &kernel,
                                          (uint64_t[]){bench.a.address, bench.b.address + 4, bench.y.address}, 3, 0,
                                          &error),
                     STATUS_BACKEND);
    assert_non_null(strstr(error.message, "operand 1: bytes 4 to 260 of memory of 256 bytes are used"));
    assert_int_equal(stream_launch_kernel(&bench.stream, &kernel, (uint64_t[]){bench.a.address, 4096, bench.y.address},
                                          3, 0, &error),
                     STATUS_BACKEND);
    assert_non_null(strstr(error.message, "0x1000 is no address of device 0"));
    device_kernel_destroy(&kernel);
    bench_destroy(&bench);
}

static void memory_of_the_other_device_is_no_address_here(void **state)
{
    struct device *other;
    struct buffer foreign;
    struct bench bench;
    struct error error;
    uint64_t address;

    (void)state;
    bench_create(&bench, open_seed(1), BYTES);
    other = open_device("fakegpu", 1, NULL, NULL);
    assert_ok(buffer_create(other, LLMRUN_MEMORY_DEVICE, BYTES, &foreign, &error));
    assert_int_equal(bench.device->backend->device.fill(bench.stream.handle, foreign.address, 0, BYTES, NULL),
                     LLMRUN_ERROR_ARGUMENT);
    assert_int_equal(buffer_address(&foreign, bench.device, 0, BYTES, &address, &error), STATUS_BUG);
    assert_string_equal(error.message, "a buffer of device 1 of fakegpu was given to device 0 of fakegpu");
    buffer_destroy(&foreign);
    device_close(other);
    bench_destroy(&bench);
}

static void a_seed_that_is_no_number_is_refused(void **state)
{
    const struct llmrun_option option = {"seed", "x7"};
    struct device *device;
    struct error error;

    (void)state;
    assert_int_equal(device_open(open_backend("fakegpu"), 0, &option, 1, &device, &error), STATUS_BACKEND);
    assert_string_equal(error.message, "fakegpu: the seed is 'x7', which is no number");
    assert_null(device);
}

static void work_behind_an_armed_event_runs_when_the_host_completes_it(void **state)
{
    struct bench bench;
    struct event armed;
    struct error error;
    bool ready = true;

    (void)state;
    bench_create(&bench, open_seed(1), BYTES);
    assert_true(device_signals(bench.device));
    assert_ok(event_create(bench.device, &armed, &error));
    assert_int_equal(event_signal(&armed, true, &error), STATUS_BACKEND);
    assert_string_equal(error.message, "fakegpu: an event is completed that was not armed");
    assert_ok(event_signal(&armed, false, &error));
    assert_int_equal(stream_record(&bench.stream, &armed, &error), STATUS_BACKEND);
    host_put(&bench.host_a, 5);
    host_put(&bench.host_y, 7);
    assert_ok(stream_wait(&bench.stream, &armed, &error));
    assert_ok(stream_upload(&bench.stream, &bench.a, 0, &bench.host_a, 0, BYTES, &error));
    assert_ok(stream_download(&bench.stream, &bench.host_y, 0, &bench.a, 0, BYTES, &error));
    assert_ok(stream_record(&bench.stream, &bench.event, &error));
    assert_ok(event_wait(&bench.event, 20000000, &ready, &error));
    assert_false(ready);
    assert_true(host_all_are(&bench.host_y, 7));
    assert_ok(event_signal(&armed, true, &error));
    assert_ok(event_wait(&bench.event, -1, &ready, &error));
    assert_true(host_all_are(&bench.host_y, 5));
    event_destroy(&armed);
    bench_destroy(&bench);
}

/* As where another rank has failed: waits end, and what is closed after the armed event does not hang. */
static void a_device_with_an_armed_event_is_abandoned_and_closed(void **state)
{
    const struct awaited awaited = {.what = "a transfer"};
    struct bench bench;
    struct event armed;
    struct error error;

    (void)state;
    bench_create(&bench, open_seed(1), BYTES);
    assert_ok(event_create(bench.device, &armed, &error));
    assert_ok(event_signal(&armed, false, &error));
    assert_ok(stream_wait(&bench.stream, &armed, &error));
    assert_ok(stream_fill(&bench.stream, &bench.a, 0, 0, BYTES, &error));
    assert_ok(stream_record(&bench.stream, &bench.event, &error));
    device_abandon(bench.device, STATUS_PEER, "rank 3 has failed");
    assert_int_equal(event_finish(&bench.event, -1, &awaited, &error), STATUS_PEER);
    event_destroy(&armed);
    bench_destroy(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(work_behind_an_armed_event_runs_when_the_host_completes_it),
        cmocka_unit_test(a_device_with_an_armed_event_is_abandoned_and_closed),
        cmocka_unit_test(nothing_runs_before_somebody_waits),
        cmocka_unit_test(an_op_is_computed_on_translated_addresses),
        cmocka_unit_test(the_host_cannot_touch_device_memory),
        cmocka_unit_test(memory_is_garbage_until_it_is_written),
        cmocka_unit_test(a_forgotten_event_gives_garbage_for_some_of_20_seeds),
        cmocka_unit_test(with_the_event_all_20_seeds_are_right),
        cmocka_unit_test(staging_memory_that_is_used_again_too_early_is_seen),
        cmocka_unit_test(a_copy_from_other_host_memory_waits),
        cmocka_unit_test(rows_with_a_pitch_are_copied),
        cmocka_unit_test(an_event_recorded_again_keeps_the_earlier_waits),
        cmocka_unit_test(queries_alone_make_it_ready),
        cmocka_unit_test(commands_beyond_the_queue_are_done_and_none_of_their_memory_is_lost),
        cmocka_unit_test(memory_freed_under_enqueued_work_fails_that_work),
        cmocka_unit_test(a_failure_goes_on_through_events_to_other_streams),
        cmocka_unit_test(operands_outside_their_memory_are_refused),
        cmocka_unit_test(memory_of_the_other_device_is_no_address_here),
        cmocka_unit_test(a_seed_that_is_no_number_is_refused),
    };

    return cmocka_run_group_tests_name("fakegpu", tests, NULL, NULL);
}
