#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "checkpoint/run_lock.h"
#include "fixture.h"

static void a_folder_in_use_is_refused_with_its_holder(void **state)
{
    struct fixture *fixture = *state;
    struct run_lock first, second;
    struct error error = {0};
    char holder[64];

    assert_int_equal(run_lock_acquire(fixture->folder, &first, NULL), STATUS_OK);
    assert_int_equal(run_lock_acquire(fixture->folder, &second, &error), STATUS_USAGE);
    snprintf(holder, sizeof holder, ", process %ld)", (long)getpid());
    assert_non_null(strstr(error.message, holder));
    run_lock_release(&second);
    run_lock_release(&first);
    assert_int_equal(run_lock_acquire(fixture->folder, &second, NULL), STATUS_OK);
    run_lock_release(&second);
}

static void a_killed_holder_leaves_the_folder_free(void **state)
{
    struct fixture *fixture = *state;
    struct run_lock lock;
    int ready[2];
    char byte;
    pid_t child;

    assert_int_equal(pipe(ready), 0);
    child = fork();
    if (child == 0) {
        byte = run_lock_acquire(fixture->folder, &lock, NULL) == STATUS_OK ? 'y' : 'n';
        if (write(ready[1], &byte, 1) == 1)
            pause();
        _exit(1);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    assert_int_equal(run_lock_acquire(fixture->folder, &lock, NULL), STATUS_USAGE);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(ready[0]);
    close(ready[1]);
    assert_int_equal(run_lock_acquire(fixture->folder, &lock, NULL), STATUS_OK);
    run_lock_release(&lock);
}

static void a_folder_that_cannot_be_written_is_a_storage_error(void **state)
{
    struct run_lock lock;
    struct error error = {0};

    (void)state;
    assert_int_equal(run_lock_acquire("/nowhere", &lock, &error), STATUS_STORAGE);
    assert_string_equal(error.message, "/nowhere/.lock: could not create: No such file or directory");
    assert_int_equal(lock.handle, -1);
}

/* A process that was started without standard input. */
static void descriptor_0_is_a_lock_like_any_other(void **state)
{
    struct fixture *fixture = *state;
    struct run_lock first, second;
    const int input = dup(STDIN_FILENO);

    assert_true(input > 0);
    close(STDIN_FILENO);
    assert_int_equal(run_lock_acquire(fixture->folder, &first, NULL), STATUS_OK);
    assert_int_equal(first.handle, 0);
    run_lock_release(&first);
    assert_int_equal(first.handle, -1);
    run_lock_release(&first); /* of nothing */
    assert_int_equal(run_lock_acquire(fixture->folder, &second, NULL), STATUS_OK);
    assert_int_equal(second.handle, 0);
    run_lock_release(&second);
    assert_int_equal(dup2(input, STDIN_FILENO), STDIN_FILENO);
    close(input);
}

static void a_holder_that_wrote_nothing_is_unknown(void **state)
{
    struct fixture *fixture = *state;
    struct run_lock first, second;
    struct error error = {0};

    assert_int_equal(run_lock_acquire(fixture->folder, &first, NULL), STATUS_OK);
    assert_int_equal(truncate(fixture_path(fixture->folder, ".lock"), 0), 0);
    assert_int_equal(run_lock_acquire(fixture->folder, &second, &error), STATUS_USAGE);
    assert_non_null(strstr(error.message, " is in use by another run (unknown); wait for it or give another run.dir"));
    run_lock_release(&first);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_folder_in_use_is_refused_with_its_holder),
        TEST(a_killed_holder_leaves_the_folder_free),
        TEST(a_folder_that_cannot_be_written_is_a_storage_error),
        TEST(descriptor_0_is_a_lock_like_any_other),
        TEST(a_holder_that_wrote_nothing_is_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
