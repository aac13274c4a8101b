#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
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

static void the_holder_is_the_first_line_of_the_file_and_replaces_an_older_one(void **state)
{
    struct fixture *fixture = *state;
    struct run_lock first, second;
    struct error error = {0};
    char path[PATH_MAX], host[HOST_NAME_MAX + 1] = "", wanted[HOST_NAME_MAX + 64], *text;
    int64_t bytes;

    strcpy(path, fixture_path(fixture->folder, ".lock"));
    memset(wanted, 'x', sizeof wanted);
    fixture_write(path, wanted, sizeof wanted);
    assert_int_equal(gethostname(host, sizeof host - 1), 0);
    snprintf(wanted, sizeof wanted, "host %s, process %ld\n", host, (long)getpid());
    assert_int_equal(run_lock_acquire(fixture->folder, &first, NULL), STATUS_OK);
    text = fixture_read(path, &bytes);
    assert_string_equal(text, wanted);
    free(text);
    fixture_write(path, "somebody\nelse", 13);
    assert_int_equal(run_lock_acquire(fixture->folder, &second, &error), STATUS_USAGE);
    assert_int_equal(second.handle, -1);
    assert_non_null(strstr(error.message, " is in use by another run (somebody); wait for it"));
    run_lock_release(&first);
}

static void a_pipe_in_its_place_is_no_lock(void **state)
{
    struct fixture *fixture = *state;
    struct run_lock lock;
    struct error error = {0};

    assert_int_equal(mkfifo(fixture_path(fixture->folder, ".lock"), 0600), 0);
    assert_int_equal(run_lock_acquire(fixture->folder, &lock, &error), STATUS_STORAGE);
    assert_non_null(
        strstr(error.message, "/.lock: could not create: it is a pipe, socket or device, a file is wanted"));
    assert_int_equal(lock.handle, -1);
}

int __real_flock(int handle, int operation);
int __wrap_flock(int handle, int operation);

static int interrupts, problem; /* how many of the next calls are interrupted; how those that follow fail, 0: not */

int __wrap_flock(int handle, int operation)
{
    if (interrupts == 0 && problem == 0)
        return __real_flock(handle, operation);
    errno = interrupts > 0 ? EINTR : problem;
    interrupts -= interrupts > 0;
    return -1;
}

static void count_line(void *context, enum log_level level, const char *line)
{
    assert_int_equal(level, LOG_WARNING);
    assert_non_null(strstr(line, "/.lock: the file system has no locks (No locks available); make sure that no other"));
    ++*(int *)context;
}

static void a_file_system_without_locks_is_a_warning_and_an_interrupt_is_not(void **state)
{
    struct fixture *fixture = *state;
    struct run_lock lock, second;
    int lines = 0;

    log_set_sink(count_line, &lines);
    interrupts = 2;
    assert_int_equal(run_lock_acquire(fixture->folder, &lock, NULL), STATUS_OK);
    assert_int_equal(interrupts, 0);
    assert_int_equal(lines, 0);
    assert_int_equal(run_lock_acquire(fixture->folder, &second, NULL), STATUS_USAGE);
    run_lock_release(&lock);
    problem = ENOLCK;
    assert_int_equal(run_lock_acquire(fixture->folder, &lock, NULL), STATUS_OK);
    problem = 0;
    assert_int_equal(lines, 1);
    assert_true(lock.handle >= 0);
    run_lock_release(&lock);
    log_set_sink(NULL, NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_folder_in_use_is_refused_with_its_holder),
        TEST(a_killed_holder_leaves_the_folder_free),
        TEST(a_folder_that_cannot_be_written_is_a_storage_error),
        TEST(descriptor_0_is_a_lock_like_any_other),
        TEST(the_holder_is_the_first_line_of_the_file_and_replaces_an_older_one),
        TEST(a_pipe_in_its_place_is_no_lock),
        TEST(a_file_system_without_locks_is_a_warning_and_an_interrupt_is_not),
        TEST(a_holder_that_wrote_nothing_is_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
