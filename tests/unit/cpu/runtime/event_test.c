#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "support.h"

static void pause_ms(int ms)
{
    nanosleep(&(struct timespec){0, ms * 1000000L}, NULL);
}

static uint32_t state_of(struct bench *bench, struct llmrun_event *event)
{
    uint32_t ready = 99;

    assert_int_equal(bench->device->event_query(event, &ready, &bench->error), LLMRUN_OK);
    return ready;
}

static void an_event_that_was_never_recorded_is_ready(void **state)
{
    struct bench *bench = *state;
    struct llmrun_event *event = event_of(bench);
    struct llmrun_stream *stream = stream_of(bench);

    assert_int_equal(state_of(bench, event), LLMRUN_EVENT_READY);
    assert_int_equal(bench->device->event_wait(event, -1, &bench->error), LLMRUN_OK);
    assert_int_equal(bench->device->stream_wait(stream, event, &bench->error), LLMRUN_OK);
    assert_int_equal(bench->device->synchronize(bench->host, &bench->error), LLMRUN_OK);
    bench->device->event_destroy(event);
    bench->device->stream_destroy(stream);
}

static void enqueueing_returns_while_the_work_still_runs(void **state)
{
    struct bench *bench = *state;
    struct llmrun_stream *stream = stream_of(bench);
    struct llmrun_event *event = event_of(bench);
    struct llmrun_kernel *gate = prepare_gate(bench);
    float memory[4];

    launch_pair(bench, stream, gate, memory);
    bench->device->event_record(stream, event, &bench->error);
    assert_int_equal(state_of(bench, event), LLMRUN_EVENT_NOT_READY);
    assert_int_equal(bench->device->event_wait(event, 1000000, &bench->error), LLMRUN_ERROR_TIMEOUT);
    assert_int_equal(bench->device->event_wait(event, 0, &bench->error), LLMRUN_ERROR_TIMEOUT);
    gate_open();
    assert_int_equal(bench->device->event_wait(event, -1, &bench->error), LLMRUN_OK);
    assert_int_equal(state_of(bench, event), LLMRUN_EVENT_READY);
    bench->kernel->destroy(gate);
    bench->device->event_destroy(event);
    bench->device->stream_destroy(stream);
}

/* A word that a stream copies out when its turn comes. */
static struct llmrun_copy copy_word(uint32_t *to, const uint32_t *from)
{
    return (struct llmrun_copy){.size = sizeof(struct llmrun_copy),
                                .direction = LLMRUN_COPY_DEVICE_TO_HOST,
                                .rows = 1,
                                .row_bytes = 4,
                                .to = (uint64_t)(uintptr_t)to,
                                .from = (uint64_t)(uintptr_t)from};
}

static void a_stream_that_waits_starts_after_the_point_on_the_other(void **state)
{
    struct bench *bench = *state;
    struct llmrun_stream *first = stream_of(bench), *second = stream_of(bench);
    struct llmrun_event *event = event_of(bench);
    struct llmrun_kernel *gate = prepare_gate(bench);
    uint32_t flag = 0, copied = 99;
    struct llmrun_copy copy = copy_word(&copied, &flag);
    float memory[4];

    launch_pair(bench, first, gate, memory);
    bench->device->fill(first, (uint64_t)(uintptr_t)&flag, 7, 4, &bench->error);
    bench->device->event_record(first, event, &bench->error);
    bench->device->stream_wait(second, event, &bench->error);
    assert_int_equal(bench->device->copy(second, &copy, &bench->error), LLMRUN_OK);
    pause_ms(5);
    gate_open();
    assert_int_equal(bench->device->synchronize(bench->host, &bench->error), LLMRUN_OK);
    assert_int_equal(copied, 7);
    bench->kernel->destroy(gate);
    bench->device->stream_destroy(first);
    bench->device->stream_destroy(second);
    bench->device->event_destroy(event);
}

static void streams_without_an_event_do_not_wait_for_each_other(void **state)
{
    struct bench *bench = *state;
    struct llmrun_stream *first = stream_of(bench), *second = stream_of(bench);
    struct llmrun_event *event = event_of(bench);
    struct llmrun_kernel *gate = prepare_gate(bench);
    uint32_t flag = 7, copied = 99;
    struct llmrun_copy copy = copy_word(&copied, &flag);
    float memory[4];

    launch_pair(bench, first, gate, memory);
    assert_int_equal(bench->device->copy(second, &copy, &bench->error), LLMRUN_OK);
    bench->device->event_record(second, event, &bench->error);
    assert_int_equal(bench->device->event_wait(event, 10000000000, &bench->error), LLMRUN_OK);
    assert_int_equal(copied, 7);
    gate_open();
    assert_int_equal(bench->device->synchronize(bench->host, &bench->error), LLMRUN_OK);
    bench->kernel->destroy(gate);
    bench->device->stream_destroy(first);
    bench->device->stream_destroy(second);
    bench->device->event_destroy(event);
}

static void recording_again_replaces_the_point(void **state)
{
    struct bench *bench = *state;
    struct llmrun_stream *stream = stream_of(bench);
    struct llmrun_event *event = event_of(bench);
    struct llmrun_kernel *gate = prepare_gate(bench);
    float memory[4];

    bench->device->event_record(stream, event, &bench->error);
    assert_int_equal(bench->device->event_wait(event, -1, &bench->error), LLMRUN_OK);
    launch_pair(bench, stream, gate, memory);
    bench->device->event_record(stream, event, &bench->error);
    assert_int_equal(state_of(bench, event), LLMRUN_EVENT_NOT_READY);
    gate_open();
    assert_int_equal(bench->device->event_wait(event, -1, &bench->error), LLMRUN_OK);
    bench->kernel->destroy(gate);
    bench->device->event_destroy(event);
    bench->device->stream_destroy(stream);
}

static void assert_failed(struct bench *bench, struct llmrun_event *event)
{
    struct llmrun_error error = {0};
    uint32_t ready;

    assert_int_equal(bench->device->event_wait(event, -1, &error), LLMRUN_ERROR_DEVICE);
    assert_string_equal(error.message, "the test kernel fails");
    assert_int_equal(bench->device->event_query(event, &ready, NULL), LLMRUN_ERROR_DEVICE);
    assert_int_equal(ready, LLMRUN_EVENT_READY);
}

static void a_failure_shows_in_every_later_event_and_work_after_it_is_skipped(void **state)
{
    struct bench *bench = *state;
    struct llmrun_stream *stream = stream_of(bench);
    struct llmrun_event *before = event_of(bench), *next = event_of(bench), *later = event_of(bench);
    struct llmrun_kernel *failing = prepare_failing(bench);
    uint32_t weight = 42;
    float memory[4];

    bench->device->event_record(stream, before, &bench->error);
    launch_pair(bench, stream, failing, memory);
    bench->device->event_record(stream, next, &bench->error);
    bench->device->fill(stream, (uint64_t)(uintptr_t)&weight, 0, 4, &bench->error);
    bench->device->event_record(stream, later, &bench->error);
    assert_int_equal(bench->device->event_wait(before, -1, &bench->error), LLMRUN_OK);
    assert_failed(bench, next);
    assert_failed(bench, later);
    assert_int_equal(weight, 42);
    assert_int_equal(bench->device->synchronize(bench->host, &bench->error), LLMRUN_ERROR_DEVICE);
    assert_string_equal(bench->error.message, "the test kernel fails");
    bench->kernel->destroy(failing);
    bench->device->event_destroy(before);
    bench->device->event_destroy(next);
    bench->device->event_destroy(later);
    bench->device->stream_destroy(stream);
}

static void a_stream_that_waits_for_a_failed_event_has_failed_too(void **state)
{
    struct bench *bench = *state;
    struct llmrun_stream *first = stream_of(bench), *second = stream_of(bench);
    struct llmrun_event *handed = event_of(bench), *after = event_of(bench);
    struct llmrun_kernel *failing = prepare_failing(bench);
    float memory[4];

    launch_pair(bench, first, failing, memory);
    bench->device->event_record(first, handed, &bench->error);
    bench->device->stream_wait(second, handed, &bench->error);
    bench->device->event_record(second, after, &bench->error);
    assert_failed(bench, after);
    bench->kernel->destroy(failing);
    bench->device->stream_destroy(first);
    bench->device->stream_destroy(second);
    bench->device->event_destroy(handed);
    bench->device->event_destroy(after);
}

static void elapsed_is_the_time_that_the_work_between_two_events_took(void **state)
{
    struct bench *bench = *state;
    struct llmrun_stream *stream = stream_of(bench);
    struct llmrun_event *start = event_of(bench), *end = event_of(bench);
    struct llmrun_kernel *gate = prepare_gate(bench);
    struct timespec before, after;
    float memory[4];
    int64_t ns, most;

    assert_int_equal(bench->device->event_elapsed(start, end, &ns, &bench->error), LLMRUN_ERROR_ARGUMENT);
    clock_gettime(CLOCK_MONOTONIC, &before);
    bench->device->event_record(stream, start, &bench->error);
    launch_pair(bench, stream, gate, memory);
    bench->device->event_record(stream, end, &bench->error);
    assert_int_equal(bench->device->event_wait(start, -1, &bench->error), LLMRUN_OK);
    pause_ms(20);
    gate_open();
    assert_int_equal(bench->device->event_wait(end, -1, &bench->error), LLMRUN_OK);
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_int_equal(bench->device->event_elapsed(start, end, &ns, &bench->error), LLMRUN_OK);
    most = (after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec;
    assert_true(ns >= 20000000 && ns <= most);
    bench->kernel->destroy(gate);
    bench->device->event_destroy(start);
    bench->device->event_destroy(end);
    bench->device->stream_destroy(stream);
}

struct asking {
    struct bench *bench;
    struct llmrun_event *event;
    _Atomic int stop;
};

static void *ask(void *argument)
{
    struct asking *asking = argument;
    uint32_t ready;

    while (!atomic_load(&asking->stop))
        asking->bench->device->event_query(asking->event, &ready, NULL);
    return NULL;
}

static void an_event_may_be_queried_from_another_thread_at_any_time(void **state)
{
    struct bench *bench = *state;
    struct llmrun_stream *stream = stream_of(bench);
    struct asking asking = {.bench = bench, .event = event_of(bench)};
    uint32_t words[16];
    pthread_t thread;
    int i;

    pthread_create(&thread, NULL, ask, &asking);
    for (i = 0; i < 500; i++) {
        bench->device->fill(stream, (uint64_t)(uintptr_t)words, 1, sizeof(words), &bench->error);
        bench->device->event_record(stream, asking.event, &bench->error);
    }
    assert_int_equal(bench->device->event_wait(asking.event, -1, &bench->error), LLMRUN_OK);
    atomic_store(&asking.stop, 1);
    pthread_join(thread, NULL);
    bench->device->event_destroy(asking.event);
    bench->device->stream_destroy(stream);
}

static void an_event_that_moves_between_streams_keeps_each_wait_to_its_own_point(void **state)
{
    struct bench *bench = *state;
    struct llmrun_stream *slow = stream_of(bench), *quick = stream_of(bench), *reader = stream_of(bench);
    struct llmrun_event *event = event_of(bench);
    struct llmrun_kernel *gate = prepare_gate(bench);
    uint32_t flag = 0, copied = 99;
    float memory[4];
    struct llmrun_copy copy = copy_word(&copied, &flag);

    launch_pair(bench, slow, gate, memory);
    bench->device->fill(slow, (uint64_t)(uintptr_t)&flag, 7, 4, &bench->error);
    bench->device->event_record(slow, event, &bench->error);
    bench->device->stream_wait(reader, event, &bench->error);
    bench->device->copy(reader, &copy, &bench->error);
    bench->device->event_record(quick, event, &bench->error);
    pause_ms(5);
    gate_open();
    assert_int_equal(bench->device->synchronize(bench->host, &bench->error), LLMRUN_OK);
    assert_int_equal(copied, 7);
    bench->kernel->destroy(gate);
    bench->device->stream_destroy(slow);
    bench->device->stream_destroy(quick);
    bench->device->stream_destroy(reader);
    bench->device->event_destroy(event);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, bench_open, bench_close)

static uint64_t address_of(const uint32_t *word)
{
    return (uint64_t)(uintptr_t)word;
}

static void work_behind_an_armed_event_runs_when_the_host_completes_it(void **state)
{
    struct bench *bench = *state;
    struct llmrun_stream *stream = stream_of(bench);
    struct llmrun_event *event = event_of(bench), *behind = event_of(bench);
    uint32_t word = 0;

    for (uint32_t round = 1; round <= 3; round++) {
        assert_int_equal(bench->device->event_signal(event, LLMRUN_EVENT_NOT_READY, &bench->error), LLMRUN_OK);
        assert_int_equal(state_of(bench, event), LLMRUN_EVENT_NOT_READY);
        bench->device->stream_wait(stream, event, &bench->error);
        bench->device->fill(stream, address_of(&word), round, 4, &bench->error);
        bench->device->event_record(stream, behind, &bench->error);
        assert_int_equal(bench->device->event_wait(behind, 20000000, &bench->error), LLMRUN_ERROR_TIMEOUT);
        assert_int_equal(*(volatile uint32_t *)&word, round - 1);
        assert_int_equal(bench->device->event_signal(event, LLMRUN_EVENT_READY, &bench->error), LLMRUN_OK);
        assert_int_equal(bench->device->event_wait(behind, -1, &bench->error), LLMRUN_OK);
        assert_int_equal(word, round);
        assert_int_equal(state_of(bench, event), LLMRUN_EVENT_READY);
    }
    bench->device->event_destroy(event);
    bench->device->event_destroy(behind);
    bench->device->stream_destroy(stream);
}

static void an_event_is_armed_when_it_is_ready_and_completed_once(void **state)
{
    struct bench *bench = *state;
    struct llmrun_event *event = event_of(bench);

    assert_int_equal(bench->device->event_signal(event, LLMRUN_EVENT_READY, &bench->error), LLMRUN_ERROR_ARGUMENT);
    assert_int_equal(bench->device->event_signal(event, 2, &bench->error), LLMRUN_ERROR_UNSUPPORTED);
    assert_int_equal(bench->device->event_signal(event, LLMRUN_EVENT_NOT_READY, &bench->error), LLMRUN_OK);
    assert_int_equal(bench->device->event_signal(event, LLMRUN_EVENT_NOT_READY, &bench->error), LLMRUN_ERROR_ARGUMENT);
    assert_int_equal(bench->device->event_signal(event, LLMRUN_EVENT_READY, &bench->error), LLMRUN_OK);
    assert_int_equal(bench->device->event_signal(event, LLMRUN_EVENT_READY, &bench->error), LLMRUN_ERROR_ARGUMENT);
    bench->device->event_destroy(event);
}

static void an_armed_event_that_is_destroyed_lets_the_stream_go_on(void **state)
{
    struct bench *bench = *state;
    struct llmrun_stream *stream = stream_of(bench);
    struct llmrun_event *event = event_of(bench);
    uint32_t word = 0;

    bench->device->event_signal(event, LLMRUN_EVENT_NOT_READY, &bench->error);
    bench->device->stream_wait(stream, event, &bench->error);
    bench->device->fill(stream, address_of(&word), 7, 4, &bench->error);
    bench->device->event_destroy(event);
    bench->device->stream_destroy(stream);
    assert_int_equal(word, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_event_that_was_never_recorded_is_ready),
        CASE(enqueueing_returns_while_the_work_still_runs),
        CASE(a_stream_that_waits_starts_after_the_point_on_the_other),
        CASE(streams_without_an_event_do_not_wait_for_each_other),
        CASE(recording_again_replaces_the_point),
        CASE(a_failure_shows_in_every_later_event_and_work_after_it_is_skipped),
        CASE(a_stream_that_waits_for_a_failed_event_has_failed_too),
        CASE(elapsed_is_the_time_that_the_work_between_two_events_took),
        CASE(an_event_may_be_queried_from_another_thread_at_any_time),
        CASE(work_behind_an_armed_event_runs_when_the_host_completes_it),
        CASE(an_event_is_armed_when_it_is_ready_and_completed_once),
        CASE(an_armed_event_that_is_destroyed_lets_the_stream_go_on),
        CASE(an_event_that_moves_between_streams_keeps_each_wait_to_its_own_point),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
