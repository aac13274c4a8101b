/* What llmrun status is told of a running job. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "dist/status_socket.h"
#include "job.h"

#define SECONDS INT64_C(1000000000)

static struct job_rank ranks[3];
static struct job_process processes[3];
static char folder[400];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/llmrun-status-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return 1;
    /* Longer than the path of a socket may be. */
    for (int i = 0; i < 3; i++) {
        snprintf(folder + strlen(folder), 70, "/%060d", i);
        if (mkdir(folder, 0700) != 0)
            return 1;
    }
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        if (rmdir(folder) != 0)
            return 1;
        *strrchr(folder, '/') = '\0';
    }
    return 0;
}

static int work(struct job_rank *rank)
{
    struct error error;

    if (control_serve_status(rank->control, folder, &error) != STATUS_OK)
        return 90;
    control_note(rank->control, 7 + rank->environment.rank, rank->environment.rank == 1 ? "reading data" : "forward");
    usleep(300000);
    job_say("works");
    while (control_failed(rank->control, &error) == STATUS_OK)
        usleep(100000);
    return 0;
}

static void each_rank_has_a_line_with_its_step_and_what_it_does(void **state)
{
    struct error error;
    struct stat status;
    char *text, path[512];

    (void)state;
    snprintf(path, sizeof path, "%s/.control", folder);
    job_prepare(ranks, 3, SECONDS);
    job_fork(ranks, 3, processes, work);
    for (int i = 0; i < 3; i++)
        job_hear(&processes[i], "works");
    usleep(300000);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    for (int again = 0; again < 2; again++) {
        if (status_socket_ask(folder, &text, &error) != STATUS_OK)
            fail_msg("%s", error.message);
        assert_non_null(strstr(text, "what it does\n   0  "));
        assert_non_null(strstr(text, "forward\n   1  "));
        assert_non_null(strstr(text, "reading data\n   2  "));
        assert_non_null(strstr(text, "  here           7  "));
        assert_non_null(strstr(text, "  here           8  "));
        free(text);
    }
    kill(processes[0].process, SIGKILL);
    for (int i = 0; i < 3; i++)
        job_wait(&processes[i]);
    /* What a killed job leaves is told apart, and the next one replaces it. */
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(status_socket_ask(folder, &text, &error), STATUS_INPUT);
    assert_non_null(strstr(error.message, "no job of several ranks runs there on this machine"));
}

static void a_job_that_ends_removes_its_socket(void **state)
{
    struct error error;
    char *text, path[512];

    (void)state;
    snprintf(path, sizeof path, "%s/.control", folder);
    job_prepare(ranks, 3, SECONDS);
    job_fork(ranks, 3, processes, work);
    for (int i = 0; i < 3; i++)
        job_hear(&processes[i], "works");
    assert_int_equal(status_socket_ask(folder, &text, &error), STATUS_OK);
    free(text);
    kill(processes[2].process, SIGKILL);
    for (int i = 0; i < 3; i++)
        job_wait(&processes[i]);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(status_socket_ask(folder, &text, &error), STATUS_INPUT);
}

static void a_folder_that_is_none_is_named(void **state)
{
    struct error error;
    char *text;

    (void)state;
    assert_int_equal(status_socket_ask("/nowhere", &text, &error), STATUS_INPUT);
    assert_string_equal(error.message, "/nowhere: No such file or directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rank_has_a_line_with_its_step_and_what_it_does),
        cmocka_unit_test(a_job_that_ends_removes_its_socket),
        cmocka_unit_test(a_folder_that_is_none_is_named),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
