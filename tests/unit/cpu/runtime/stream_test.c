#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define COUNTS_ALLOCATIONS 1

/* glibc's own, behind the counting ones of this program. */
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);

static _Atomic long allocations;

void *malloc(size_t bytes)
{
    atomic_fetch_add(&allocations, 1);
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    atomic_fetch_add(&allocations, 1);
    return __libc_calloc(count, bytes);
}
#endif

static uint64_t address_of(const void *memory)
{
    return (uint64_t)(uintptr_t)memory;
}

static void finish(struct bench *bench)
{
    assert_int_equal(bench->device->synchronize(bench->host, &bench->error), LLMRUN_OK);
}

static void copy_bytes(struct bench *bench, struct llmrun_stream *stream, void *to, const void *from, int64_t bytes)
{
    struct llmrun_copy copy = {.size = sizeof(copy),
                               .direction = LLMRUN_COPY_DEVICE_TO_DEVICE,
                               .to = address_of(to),
                               .from = address_of(from),
                               .rows = 1,
                               .row_bytes = bytes};

    assert_int_equal(bench->device->copy(stream, &copy, &bench->error), LLMRUN_OK);
}

static void commands_of_a_stream_run_in_the_order_of_enqueueing(void **state)
{
    struct bench *bench = *state;
    struct llmrun_stream *stream = stream_of(bench);
    uint32_t word = 0, seen[50];
    uint32_t i;

    for (i = 0; i < 50; i++) {
        bench->device->fill(stream, address_of(&word), i + 1, 4, &bench->error);
        copy_bytes(bench, stream, &seen[i], &word, 4);
    }
    finish(bench);
    for (i = 0; i < 50; i++)
        assert_int_equal(seen[i], i + 1);
    bench->device->stream_destroy(stream);
}

static void rows_are_copied_from_pitch_to_pitch(void **state)
{
    struct bench *bench = *state;
    struct llmrun_stream *stream = stream_of(bench);
    const char from[] = "abc-def-ghi-";
    char to[] = "............";
    struct llmrun_copy copy = {.size = sizeof(copy),
                               .direction = LLMRUN_COPY_HOST_TO_DEVICE,
                               .to = address_of(to),
                               .from = address_of(from),
                               .rows = 3,
                               .row_bytes = 2,
                               .to_pitch = 3,
                               .from_pitch = 4};

    assert_int_equal(bench->device->copy(stream, &copy, &bench->error), LLMRUN_OK);
    finish(bench);
    assert_string_equal(to, "ab.de.gh....");
    bench->device->stream_destroy(stream);
}

static void copies_that_make_no_sense_are_refused(void **state)
{
    struct bench *bench = *state;
    struct llmrun_stream *stream = stream_of(bench);
    char memory[8];
    struct llmrun_copy copy = {.size = sizeof(copy),
                               .direction = LLMRUN_COPY_DEVICE_TO_HOST,
                               .to = address_of(memory),
                               .from = address_of(memory + 4),
                               .rows = 2,
                               .row_bytes = 2,
                               .to_pitch = 1,
                               .from_pitch = 2};

    assert_int_equal(bench->device->copy(stream, &copy, &bench->error), LLMRUN_ERROR_ARGUMENT);
    copy.to_pitch = 2;
    copy.direction = 9;
    assert_int_equal(bench->device->copy(stream, &copy, &bench->error), LLMRUN_ERROR_UNSUPPORTED);
    assert_int_equal(bench->device->fill(stream, address_of(memory), 0, 3, &bench->error), LLMRUN_ERROR_ARGUMENT);
    bench->device->stream_destroy(stream);
}

static void more_commands_than_the_ring_holds_all_run(void **state)
{
    struct bench *bench = *state;
    struct llmrun_stream *stream = stream_of(bench);
    struct llmrun_kernel *add = prepare_add(bench, 1);
    float sum[4] = {0}, one[4] = {1, 1, 1, 1};
    uint64_t addresses[3] = {address_of(sum), address_of(one), address_of(sum)};
    int i;

    for (i = 0; i < 5000; i++)
        assert_int_equal(bench->kernel->launch(stream, add, addresses, 3, 0, &bench->error), LLMRUN_OK);
    finish(bench);
    assert_true(sum[0] == 5000 && sum[3] == 5000);
    bench->kernel->destroy(add);
    bench->device->stream_destroy(stream);
}

static void a_kernel_spreads_over_the_pool_and_its_result_is_there_after_synchronize(void **state)
{
    struct bench *bench = *state;
    struct llmrun_stream *stream = stream_of(bench);
    struct llmrun_kernel *add = prepare_add(bench, 64);
    float a[256], b[256], y[256];
    uint64_t addresses[3] = {address_of(a), address_of(b), address_of(y)};
    int i;

    for (i = 0; i < 256; i++) {
        a[i] = (float)i;
        b[i] = 1000;
    }
    assert_int_equal(bench->kernel->launch(stream, add, addresses, 3, 0, &bench->error), LLMRUN_OK);
    finish(bench);
    for (i = 0; i < 256; i++)
        assert_true(y[i] == (float)(1000 + i));
    bench->kernel->destroy(add);
    bench->device->stream_destroy(stream);
}

static void kernels_of_two_streams_take_turns_at_the_pool(void **state)
{
    struct bench *bench = *state;
    struct llmrun_stream *first = stream_of(bench), *second = stream_of(bench);
    struct llmrun_kernel *crowd = prepare_crowd(bench);
    float memory[4];
    int i;

    for (i = 0; i < 10; i++) {
        launch_pair(bench, first, crowd, memory);
        launch_pair(bench, second, crowd, memory);
    }
    finish(bench);
    assert_int_equal(most_at_once(), 1);
    bench->kernel->destroy(crowd);
    bench->device->stream_destroy(first);
    bench->device->stream_destroy(second);
}

static void destroying_a_stream_waits_for_its_work(void **state)
{
    struct bench *bench = *state;
    struct llmrun_stream *stream = stream_of(bench);
    uint32_t words[1024] = {0};
    int i;

    for (i = 0; i < 200; i++)
        bench->device->fill(stream, address_of(words), (uint32_t)i, sizeof(words), &bench->error);
    bench->device->stream_destroy(stream);
    assert_int_equal(words[1023], 199);
}

static void enqueueing_allocates_nothing(void **state)
{
#if defined(COUNTS_ALLOCATIONS)
    struct bench *bench = *state;
    struct llmrun_stream *stream = stream_of(bench);
    struct llmrun_event *event = event_of(bench);
    struct llmrun_kernel *add = prepare_add(bench, 8);
    float memory[32] = {0};
    uint64_t addresses[3] = {address_of(memory), address_of(memory), address_of(memory)};
    long before = atomic_load(&allocations);
    int i;

    for (i = 0; i < 300; i++) {
        bench->kernel->launch(stream, add, addresses, 3, 0, &bench->error);
        bench->device->fill(stream, address_of(memory), 0, 16, &bench->error);
        bench->device->event_record(stream, event, &bench->error);
        bench->device->stream_wait(stream, event, &bench->error);
    }
    bench->device->event_wait(event, -1, &bench->error);
    assert_int_equal(atomic_load(&allocations), before);
    bench->kernel->destroy(add);
    bench->device->stream_destroy(stream);
    bench->device->event_destroy(event);
#else
    (void)state;
    print_message("skipped: a sanitizer keeps malloc for itself\n");
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(commands_of_a_stream_run_in_the_order_of_enqueueing, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(rows_are_copied_from_pitch_to_pitch, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(copies_that_make_no_sense_are_refused, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(more_commands_than_the_ring_holds_all_run, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(a_kernel_spreads_over_the_pool_and_its_result_is_there_after_synchronize,
                                        bench_open, bench_close),
        cmocka_unit_test_setup_teardown(kernels_of_two_streams_take_turns_at_the_pool, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(destroying_a_stream_waits_for_its_work, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(enqueueing_allocates_nothing, bench_open, bench_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
