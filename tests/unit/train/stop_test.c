/* Signals that ask a run to stop. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "quiet.h"
#include "train/stop.h"

static const int signals[] = {SIGTERM, SIGINT, SIGUSR1, SIGHUP};
static const char *const names[] = {"SIGTERM", "SIGINT", "SIGUSR1", "SIGHUP"};

static void one_signal_is_a_request(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        stop_listen(NULL, 0);
        assert_null(stop_requested());
        raise(signals[i]);
        assert_string_equal(stop_requested(), names[i]);
    }
}

static void listening_anew_forgets_an_earlier_request(void **state)
{
    (void)state;
    stop_listen(NULL, 0);
    raise(SIGTERM);
    stop_listen(NULL, 0);
    assert_null(stop_requested());
}

static void the_step_that_a_signal_found_is_the_last_one(void **state)
{
    char folder[] = "/tmp/llmrun-stop-XXXXXX";

    (void)state;
    assert_non_null(mkdtemp(folder));
    stop_listen(folder, 1);
    assert_false(stop_before(1));
    assert_false(stop_before(2));
    raise_quietly(SIGTERM);
    assert_true(stop_asked());
    assert_false(stop_before(2)); /* it may be submitted already */
    assert_true(stop_before(3));
    assert_int_equal(rmdir(folder), 0);
}

static void a_file_stop_asks_until_the_run_is_done_with_it(void **state)
{
    char folder[] = "/tmp/llmrun-stop-XXXXXX", path[64];
    int file;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/STOP", folder);
    close(creat(path, 0600));
    stop_listen(folder, 1);
    assert_int_equal(access(path, F_OK), -1); /* it was of an earlier run */
    assert_false(stop_asked());
    assert_false(stop_before(7));
    file = creat(path, 0600);
    assert_true(file >= 0 && close(file) == 0);
    assert_null(stop_requested());
    assert_true(stop_asked());
    assert_string_equal(stop_requested(), path);
    assert_false(stop_before(7));
    assert_true(stop_before(8));
    assert_int_equal(access(path, F_OK), 0);
    stop_done();
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(rmdir(folder), 0);
}

static char said[1024];

static void hear(void *context, enum log_level level, const char *line)
{
    const size_t length = strlen(said);

    (void)context;
    snprintf(said + length, sizeof said - length, "%s%s\n", level == LOG_WARNING ? "warning: " : "", line);
}

/* A STOP that somebody else removes is gone as wanted; one that is a folder stays, which is said. A file that nobody
 * looked at is not this run's. */
static void what_becomes_of_the_file_is_said_where_it_stays(void **state)
{
    char folder[] = "/tmp/llmrun-stop-XXXXXX", path[64], wanted[256];

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/STOP", folder);
    log_set_sink(hear, NULL);
    for (int stays = 0; stays < 2; stays++) {
        said[0] = '\0';
        stop_listen(folder, 3);
        assert_int_equal(stays ? mkdir(path, 0700) : close(creat(path, 0600)), 0);
        assert_false(stop_before(3));
        assert_true(stop_asked());
        assert_true(stop_asked()); /* said once */
        snprintf(wanted, sizeof wanted, "%s: stopping after step 3 with a checkpoint\n", path);
        assert_string_equal(said, wanted);
        said[0] = '\0';
        if (!stays)
            assert_int_equal(unlink(path), 0);
        stop_done();
        snprintf(wanted, sizeof wanted, "warning: %s could not be removed: Is a directory\n", path);
        assert_string_equal(said, stays ? wanted : "");
    }
    assert_int_equal(rmdir(path), 0);
    said[0] = '\0';
    stop_listen(folder, 1);
    assert_int_equal(close(creat(path, 0600)), 0);
    stop_done();
    assert_int_equal(unlink(path), 0);
    log_set_sink(NULL, NULL);
    assert_string_equal(said, "");
    assert_int_equal(rmdir(folder), 0);
}

/* Standard error that takes at most so many bytes a call (0: it is the real one), and none once `room` bytes came. */
static struct {
    size_t at_most, room;
    ssize_t refusal; /* what a call returns for which there is no room */
    int refused;
    char text[2 * PATH_MAX];
    size_t length;
} taker;

ssize_t __real_write(int handle, const void *data, size_t bytes);
ssize_t __wrap_write(int handle, const void *data, size_t bytes);

ssize_t __wrap_write(int handle, const void *data, size_t bytes)
{
    const size_t left = taker.room - taker.length;
    size_t put = bytes < taker.at_most ? bytes : taker.at_most;

    if (handle != STDERR_FILENO || taker.at_most == 0)
        return __real_write(handle, data, bytes);
    put = put < left ? put : left;
    if (put == 0) {
        taker.refused++;
        errno = EAGAIN;
        return taker.refusal;
    }
    memcpy(taker.text + taker.length, data, put);
    taker.length += put;
    taker.text[taker.length] = '\0';
    return (ssize_t)put;
}

/* What SIGTERM is answered while `step` is the next one. */
static void raise_to_taker(const char *folder, int64_t step, size_t at_most, size_t room, ssize_t refusal)
{
    stop_listen(folder, step);
    memset(&taker, 0, sizeof taker);
    taker.at_most = at_most;
    taker.room = room;
    taker.refusal = refusal;
    errno = EDOM;
    assert_int_equal(raise(SIGTERM), 0);
    assert_int_equal(errno, EDOM); /* as it was before the handler */
    taker.at_most = 0;
    assert_string_equal(stop_requested(), "SIGTERM");
}

static void the_answer_is_whole_where_standard_error_takes_a_part_at_a_time(void **state)
{
    static const int64_t steps[] = {0, 9, 10, 1203, INT64_MAX};
    static const size_t parts[] = {1, 7, 40, 100000};
    char longest[PATH_MAX - 5], wanted[2 * PATH_MAX];

    (void)state;
    memset(longest, 'x', sizeof longest - 1);
    longest[0] = '/';
    longest[sizeof longest - 1] = '\0';
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        for (size_t k = 0; k < sizeof parts / sizeof parts[0]; k++) {
            const char *folder = (i + k) % 2 == 0 ? "/nowhere/run" : longest;

            snprintf(wanted, sizeof wanted,
                     "SIGTERM: stopping after step %lld with a checkpoint in %s; a second signal ends at once\n",
                     (long long)steps[i], folder);
            raise_to_taker(folder, steps[i], parts[k], SIZE_MAX, -1);
            assert_string_equal(taker.text, wanted);
            assert_int_equal(taker.refused, 0);
        }
}

static void an_answer_that_nobody_takes_keeps_no_run(void **state)
{
    (void)state;
    for (ssize_t refusal = -1; refusal <= 0; refusal++) {
        raise_to_taker("/nowhere/run", 3, 4, 10, refusal);
        assert_string_equal(taker.text, "SIGTERM: s");
        assert_int_equal(taker.refused, 1);
        raise_to_taker("/nowhere/run", 3, 4, 0, refusal);
        assert_int_equal(taker.refused, 1);
    }
}

/* The exit code of a child that gets two signals. */
static int twice(int first, int second)
{
    int result;
    pid_t child = fork();

    if (child == 0) {
        stop_listen(NULL, 0);
        raise(first);
        raise(second);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &result, 0), child);
    return WIFEXITED(result) ? WEXITSTATUS(result) : -1;
}

static void a_second_signal_ends_with_128_and_its_number(void **state)
{
    (void)state;
    assert_int_equal(twice(SIGTERM, SIGTERM), 128 + 15);
    assert_int_equal(twice(SIGTERM, SIGINT), 128 + 2);
    assert_int_equal(twice(SIGUSR1, SIGTERM), 128 + 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_signal_is_a_request),
        cmocka_unit_test(listening_anew_forgets_an_earlier_request),
        cmocka_unit_test(the_step_that_a_signal_found_is_the_last_one),
        cmocka_unit_test(a_file_stop_asks_until_the_run_is_done_with_it),
        cmocka_unit_test(what_becomes_of_the_file_is_said_where_it_stays),
        cmocka_unit_test(the_answer_is_whole_where_standard_error_takes_a_part_at_a_time),
        cmocka_unit_test(an_answer_that_nobody_takes_keeps_no_run),
        cmocka_unit_test(a_second_signal_ends_with_128_and_its_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
