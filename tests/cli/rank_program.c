/* rank_program WHAT [RANK [CODE]]: a rank that opens the control channel and then behaves as WHAT says; with RANK that
 * one behaves so and the others wait for a failure. For tests of `llmrun launch`. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dist/control.h"
#include "dist/secret.h"

extern char **environ;

static volatile sig_atomic_t asked;

static void ask(int number)
{
    (void)number;
    asked++;
}

static int survive(struct control *control)
{
    struct error root;

    while (control_failed(control, &root) == STATUS_OK)
        usleep(2000);
    fprintf(stderr, "%s\n", root.message);
    return root.status;
}

static int exchange(struct control *control)
{
    int32_t all[64], mine = 100 + control_rank(control);
    struct error error;

    if (control_exchange(control, NULL, &mine, all, sizeof mine, &error) != STATUS_OK) {
        fprintf(stderr, "%s\n", error.message);
        return error.status;
    }
    printf("rank %d of %d has %d to %d, threads %s\n", control_rank(control), control_world(control), all[0],
           all[control_world(control) - 1], getenv("OMP_NUM_THREADS"));
    return 0;
}

/* Stops on request as training does: all ranks together. */
static int stop(struct control *control)
{
    int32_t all[64], mine;
    struct error error;

    for (int step = 0;; step++) {
        mine = asked;
        if (control_exchange(control, NULL, &mine, all, sizeof mine, &error) != STATUS_OK)
            return error.status;
        if (step == 0 && control_rank(control) == 0)
            puts("runs");
        fflush(stdout);
        for (int32_t i = 0; i < control_world(control); i++)
            if (all[i] > 1)
                return 90; /* asked twice by one signal */
        for (int32_t i = 0; i < control_world(control); i++)
            if (all[i] > 0)
                return STATUS_STOPPED;
        usleep(10000);
    }
}

static int behave(struct control *control, const char *what, int code)
{
    struct error root;

    if (strcmp(what, "exchange") == 0)
        return exchange(control);
    if (strcmp(what, "stop") == 0)
        return stop(control);
    if (strcmp(what, "fail") == 0) {
        for (int line = 1; line <= 30; line++)
            printf("line %d of rank %d\n", line, control_rank(control));
        fflush(stdout);
        control_fail(control, code, "as the test wants it", &root);
        return root.status;
    }
    if (strcmp(what, "kill") == 0) {
        signal(code, SIG_DFL); /* a sanitizer has a handler */
        raise(code);
    }
    if (strcmp(what, "print") == 0)
        for (int line = 0; line < 200000; line++)
            printf("rank %d prints line %d\n", control_rank(control), line);
    if (strcmp(what, "hang") == 0) {
        signal(SIGTERM, SIG_IGN);
        puts("hangs");
        fflush(stdout);
        for (;;)
            pause();
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct rank_environment environment;
    struct control_options options = {.environment = &environment, .timeout_ns = INT64_C(5000000000)};
    char secret[SECRET_TEXT_BYTES] = "";
    struct control *control;
    struct error error;
    int code, status;

    if (argc > 1 && strcmp(argv[1], "exit") == 0)
        return atoi(getenv("RANK")) == atoi(argv[2]) ? atoi(argv[3]) : 0;
    if (argc > 1 && strcmp(argv[1], "sleep") == 0) {
        if (atoi(getenv("RANK")) == atoi(argv[2]))
            return atoi(argv[3]);
        for (;;)
            pause();
    }
    signal(SIGTERM, ask);
    signal(SIGINT, ask);
    status = rank_environment_read(environ, &environment, &error);
    if (status == STATUS_OK)
        status = secret_find(environ, NULL, secret, &error);
    options.secret = secret;
    if (status == STATUS_OK)
        status = control_open(&options, &control, &error);
    if (status != STATUS_OK) {
        fprintf(stderr, "%s\n", error.message);
        return status;
    }
    code = argc > 2 && atoi(argv[2]) != environment.rank ? survive(control)
                                                         : behave(control, argv[1], argc > 3 ? atoi(argv[3]) : 0);
    control_close(control);
    return code;
}
