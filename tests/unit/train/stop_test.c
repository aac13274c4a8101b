/* Signals that ask a run to stop. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "train/stop.h"

static const int signals[] = {SIGTERM, SIGINT, SIGUSR1, SIGHUP};
static const char *const names[] = {"SIGTERM", "SIGINT", "SIGUSR1", "SIGHUP"};

static void one_signal_is_a_request(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        stop_listen(NULL);
        assert_null(stop_requested());
        raise(signals[i]);
        assert_string_equal(stop_requested(), names[i]);
    }
}

static void listening_anew_forgets_an_earlier_request(void **state)
{
    (void)state;
    stop_listen(NULL);
    raise(SIGTERM);
    stop_listen(NULL);
    assert_null(stop_requested());
}

/* The exit code of a child that gets two signals. */
static int twice(int first, int second)
{
    int result;
    pid_t child = fork();

    if (child == 0) {
        stop_listen(NULL);
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
        cmocka_unit_test(a_second_signal_ends_with_128_and_its_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
