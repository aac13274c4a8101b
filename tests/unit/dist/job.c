#include "job.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "dist/sockets.h"

static void (*thread_body)(struct job_rank *rank);
static bool thread_opens;
static int said_to = -1;

void job_note(struct job_rank *rank, int line, const char *condition)
{
    rank->failed_line = line;
    snprintf(rank->failed_text, sizeof rank->failed_text, "%s (last sentence: %.300s)", condition, rank->error.message);
}

int64_t job_now(void)
{
    return clock_system.monotonic_ns(&clock_system);
}

void job_prepare(struct job_rank *ranks, int32_t world, int64_t timeout_ns)
{
    struct error error = {0};
    int32_t port = 0;
    int listener;

    if (socket_listen("127.0.0.1", &port, &listener, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    memset(ranks, 0, (size_t)world * sizeof *ranks);
    for (int32_t i = 0; i < world; i++) {
        ranks[i].environment = (struct rank_environment){.rank = i,
                                                         .world = world,
                                                         .local_rank = i,
                                                         .local_world = world,
                                                         .source = "a test",
                                                         .host = "127.0.0.1",
                                                         .port = port,
                                                         .listener = i == 0 ? listener : -1};
        ranks[i].options = (struct control_options){
            .environment = &ranks[i].environment, .secret = JOB_SECRET, .timeout_ns = timeout_ns};
    }
}

static void *run_thread(void *context)
{
    struct job_rank *rank = context;

    if (thread_opens && control_open(&rank->options, &rank->control, &rank->error) != STATUS_OK) {
        job_note(rank, __LINE__, "control_open");
        return NULL;
    }
    thread_body(rank);
    if (thread_opens)
        control_close(rank->control);
    return NULL;
}

void job_run(struct job_rank *ranks, int32_t world, bool opens, void (*body)(struct job_rank *rank))
{
    pthread_t threads[JOB_MOST];

    thread_body = body;
    thread_opens = opens;
    for (int32_t i = 0; i < world; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_thread, &ranks[i]), 0);
    for (int32_t i = 0; i < world; i++)
        pthread_join(threads[i], NULL);
    for (int32_t i = 0; i < world; i++)
        if (ranks[i].failed_line != 0)
            fail_msg("rank %d, line %d: %s", i, ranks[i].failed_line, ranks[i].failed_text);
}

void job_say(const char *sentence)
{
    char line[1200];
    const int bytes = snprintf(line, sizeof line, "%s\n", sentence);

    if (write(said_to, line, (size_t)bytes) != bytes)
        _exit(98);
}

static int run_process(struct job_rank *rank, int (*body)(struct job_rank *rank))
{
    int code;

    if (control_open(&rank->options, &rank->control, &rank->error) != STATUS_OK) {
        job_say(rank->error.message);
        return 99;
    }
    code = body(rank);
    control_close(rank->control);
    return code;
}

void job_fork(struct job_rank *ranks, int32_t world, struct job_process *processes, int (*body)(struct job_rank *rank))
{
    for (int32_t i = 0; i < world; i++) {
        int ends[2];

        memset(&processes[i], 0, sizeof processes[i]);
        assert_int_equal(pipe2(ends, 0), 0);
        processes[i].pipe = ends[0];
        processes[i].process = fork();
        assert_true(processes[i].process >= 0);
        if (processes[i].process == 0) {
            said_to = ends[1];
            if (i != 0)
                close(ranks[0].environment.listener);
            _exit(run_process(&ranks[i], body));
        }
        close(ends[1]);
    }
    close(ranks[0].environment.listener);
}

/* Reads on; false at the end of what it says, or after 20 s. */
static bool read_more(struct job_process *process)
{
    struct pollfd wait = {.fd = process->pipe, .events = POLLIN};
    const size_t used = strlen(process->said);
    ssize_t got;

    if (poll(&wait, 1, 20000) <= 0 || used == sizeof process->said - 1)
        return false;
    got = read(process->pipe, process->said + used, sizeof process->said - 1 - used);
    if (got > 0)
        process->said[used + (size_t)got] = '\0';
    return got > 0;
}

void job_hear(struct job_process *process, const char *line)
{
    while (strstr(process->said, line) == NULL)
        if (!read_more(process))
            fail_msg("'%s' was not said, only '%s'", line, process->said);
}

void job_wait(struct job_process *process)
{
    int status;

    while (read_more(process))
        ;
    close(process->pipe);
    assert_int_equal(waitpid(process->process, &status, 0), process->process);
    process->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
