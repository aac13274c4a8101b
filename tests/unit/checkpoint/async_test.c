#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "checkpoint/folder.h"
#include "fixture.h"

static void a_save_in_the_background_is_whole_when_waited_for(void **state)
{
    struct fixture *fixture = *state;
    struct checkpoint_snapshot snapshot;
    struct checkpoint_async *async;
    int64_t bytes = 0;

    fixture_snapshot(&file_system_real, fixture->ckpt, 10, &snapshot);
    assert_int_equal(checkpoint_async_create(&async, NULL), STATUS_OK);
    assert_int_equal(checkpoint_async_start(async, &snapshot, NULL), STATUS_OK);
    assert_int_equal(checkpoint_async_wait(async, &bytes, NULL), STATUS_OK);
    assert_false(checkpoint_async_busy(async));
    assert_true(bytes > 1000);
    assert_true(fixture_is_step(fixture_path(fixture->ckpt, "step_00000010"), 10));
    checkpoint_async_destroy(async);
}

static void the_next_save_waits_for_the_one_in_flight(void **state)
{
    struct fixture *fixture = *state;
    struct checkpoint_snapshot snapshot;
    struct checkpoint_async *async;

    fixture_snapshot(&file_system_real, fixture->ckpt, 1, &snapshot);
    assert_int_equal(checkpoint_async_create(&async, NULL), STATUS_OK);
    for (int64_t step = 1; step <= 8; step++) {
        snapshot.target.step = step;
        assert_int_equal(checkpoint_async_start(async, &snapshot, NULL), STATUS_OK);
    }
    checkpoint_async_destroy(async);
    assert_true(folder_exists(fixture_path(fixture->ckpt, "step_00000007")));
    assert_true(folder_exists(fixture_path(fixture->ckpt, "step_00000008")));
    assert_false(folder_exists(fixture_path(fixture->ckpt, "step_00000006")));
}

static atomic_bool gate_open;

/* Holds the saving thread until the test lets it go. */
static int wait_at_gate(const struct file_system *fs, int handle)
{
    (void)fs;
    while (!atomic_load(&gate_open))
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    return file_system_real.sync(&file_system_real, handle);
}

static void busy_tells_without_blocking(void **state)
{
    struct fixture *fixture = *state;
    struct file_system fs = file_system_real;
    struct checkpoint_snapshot snapshot;
    struct checkpoint_async *async;

    fs.sync = wait_at_gate;
    fixture_snapshot(&fs, fixture->ckpt, 1, &snapshot);
    assert_int_equal(checkpoint_async_create(&async, NULL), STATUS_OK);
    assert_false(checkpoint_async_busy(async));
    assert_int_equal(checkpoint_async_start(async, &snapshot, NULL), STATUS_OK);
    assert_true(checkpoint_async_busy(async));
    atomic_store(&gate_open, true);
    while (checkpoint_async_busy(async))
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    assert_int_equal(checkpoint_async_wait(async, NULL, NULL), STATUS_OK);
    checkpoint_async_destroy(async);
}

static int full_disk(const struct file_system *fs, int handle)
{
    (void)fs;
    (void)handle;
    return -ENOSPC;
}

static void the_error_of_a_save_comes_with_the_next_call_once(void **state)
{
    struct fixture *fixture = *state;
    struct file_system fs = file_system_real;
    struct checkpoint_snapshot snapshot;
    struct checkpoint_async *async;
    struct error error = {0};

    fs.sync = full_disk;
    fixture_snapshot(&fs, fixture->ckpt, 1, &snapshot);
    assert_int_equal(checkpoint_async_create(&async, NULL), STATUS_OK);
    assert_int_equal(checkpoint_async_start(async, &snapshot, NULL), STATUS_OK);
    assert_int_equal(checkpoint_async_start(async, &snapshot, &error), STATUS_STORAGE);
    assert_non_null(strstr(error.message, "could not sync: No space left on device"));
    assert_int_equal(checkpoint_async_wait(async, NULL, NULL), STATUS_OK);
    snapshot.target.fs = &file_system_real;
    assert_int_equal(checkpoint_async_start(async, &snapshot, NULL), STATUS_OK);
    assert_int_equal(checkpoint_async_wait(async, NULL, NULL), STATUS_OK);
    checkpoint_async_destroy(async);
}

static int said;

static void hear(void *context, enum log_level level, const char *line)
{
    (void)context;
    assert_int_equal(level, LOG_WARNING);
    assert_non_null(strstr(line, "the last checkpoint was not saved: "));
    assert_non_null(strstr(line, "No space left on device"));
    said++;
}

static void ending_says_that_the_last_save_failed_and_nothing_of_one_that_did_not(void **state)
{
    struct fixture *fixture = *state;
    struct file_system fs = file_system_real;
    struct checkpoint_snapshot snapshot;
    struct checkpoint_async *async;

    fs.sync = full_disk;
    said = 0;
    log_set_sink(hear, NULL);
    for (int failed = 0; failed < 2; failed++) {
        fixture_snapshot(failed ? &fs : &file_system_real, fixture->ckpt, 1 + failed, &snapshot);
        assert_int_equal(checkpoint_async_create(&async, NULL), STATUS_OK);
        assert_int_equal(checkpoint_async_start(async, &snapshot, NULL), STATUS_OK);
        checkpoint_async_destroy(async);
        assert_int_equal(said, failed);
    }
    assert_int_equal(checkpoint_async_create(&async, NULL), STATUS_OK);
    checkpoint_async_destroy(async);
    log_set_sink(NULL, NULL);
    assert_int_equal(said, 1);
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument);

static bool no_threads;

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument)
{
    return no_threads ? EAGAIN : __real_pthread_create(thread, attributes, start, argument);
}

static void hear_of_no_thread(void *context, enum log_level level, const char *line)
{
    (void)context;
    assert_int_equal(level, LOG_WARNING);
    assert_non_null(strstr(line, "there is no thread for saving in the background (Resource temporarily unavailable); "
                                 "training waits for each save"));
    said++;
}

static void without_a_thread_each_save_is_done_when_it_has_started(void **state)
{
    struct fixture *fixture = *state;
    struct file_system fs = file_system_real;
    struct checkpoint_snapshot snapshot;
    struct checkpoint_async *async;
    struct error error = {0};
    int64_t bytes = 0;

    said = 0;
    log_set_sink(hear_of_no_thread, NULL);
    no_threads = true;
    assert_int_equal(checkpoint_async_create(&async, NULL), STATUS_OK);
    for (int64_t step = 1; step <= 2; step++) {
        fixture_snapshot(&file_system_real, fixture->ckpt, step, &snapshot);
        assert_int_equal(checkpoint_async_start(async, &snapshot, NULL), STATUS_OK);
        assert_int_equal(said, 1);
        assert_false(checkpoint_async_busy(async));
    }
    assert_true(fixture_is_step(fixture_path(fixture->ckpt, "step_00000001"), 1));
    assert_true(fixture_is_step(fixture_path(fixture->ckpt, "step_00000002"), 2));
    assert_int_equal(checkpoint_async_wait(async, &bytes, NULL), STATUS_OK);
    assert_true(bytes > 1000);
    fs.sync = full_disk;
    fixture_snapshot(&fs, fixture->ckpt, 3, &snapshot);
    assert_int_equal(checkpoint_async_start(async, &snapshot, NULL), STATUS_OK);
    assert_int_equal(checkpoint_async_wait(async, &bytes, &error), STATUS_STORAGE);
    assert_non_null(strstr(error.message, "No space left on device"));
    no_threads = false;
    fixture_snapshot(&file_system_real, fixture->ckpt, 4, &snapshot);
    assert_int_equal(checkpoint_async_start(async, &snapshot, NULL), STATUS_OK);
    assert_int_equal(checkpoint_async_wait(async, &bytes, NULL), STATUS_OK);
    assert_true(fixture_is_step(fixture_path(fixture->ckpt, "step_00000004"), 4));
    checkpoint_async_destroy(async);
    log_set_sink(NULL, NULL);
    assert_int_equal(said, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_save_in_the_background_is_whole_when_waited_for),
        TEST(the_next_save_waits_for_the_one_in_flight),
        TEST(busy_tells_without_blocking),
        TEST(the_error_of_a_save_comes_with_the_next_call_once),
        TEST(without_a_thread_each_save_is_done_when_it_has_started),
        TEST(ending_says_that_the_last_save_failed_and_nothing_of_one_that_did_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
