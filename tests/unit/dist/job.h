/* Jobs of several ranks for tests of the control channel: ranks as threads of this process, or as processes. */
#ifndef LLMRUN_TEST_JOB_H
#define LLMRUN_TEST_JOB_H

#include <stdbool.h>
#include <sys/types.h>

#include "dist/control.h"

#define JOB_MOST   16
#define JOB_SECRET "a secret for tests alone"

struct job_rank {
    struct rank_environment environment;
    struct control_options options;
    struct control *control;
    struct error error; /* of the last call */
    int failed_line;    /* where CHECK found something else than expected, and what */
    char failed_text[512];
    void *context;
};

/* In a body, where cmocka's own checks cannot be used: ends it with a note for the main thread. */
#define CHECK(rank, condition)                                                                                         \
    do                                                                                                                 \
        if (!(condition)) {                                                                                            \
            job_note(rank, __LINE__, #condition);                                                                      \
            return;                                                                                                    \
        }                                                                                                              \
    while (0)
void job_note(struct job_rank *rank, int line, const char *condition);

/* Makes a listener at a free port of 127.0.0.1 and the environments of `world` ranks that meet there. */
void job_prepare(struct job_rank *ranks, int32_t world, int64_t timeout_ns);

/* Runs `body` in a thread a rank. With `opens` each opens its control before and closes it afterwards. Fails the test
 * with the first note. */
void job_run(struct job_rank *ranks, int32_t world, bool opens, void (*body)(struct job_rank *rank));

/* The same with a process a rank; `body` gives the exit code, 99 where opening failed. What a rank calls job_say is
 * read by job_wait. */
struct job_process {
    pid_t process;
    int pipe;
    int code;        /* after job_wait; 128 + signal where one killed it */
    char said[2048]; /* the same */
};
void job_fork(struct job_rank *ranks, int32_t world, struct job_process *processes, int (*body)(struct job_rank *rank));
void job_say(const char *sentence);
/* Waits until the process says the next line, at most 20 s. */
void job_hear(struct job_process *process, const char *line);
void job_wait(struct job_process *process);

int64_t job_now(void);
#endif
