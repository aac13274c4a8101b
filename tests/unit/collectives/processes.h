/* Ranks as processes over the plugin that ranks.h opened, for tests that need real ones: of speed, and of ranks that
 * die. */
#ifndef LLMRUN_TEST_PROCESSES_H
#define LLMRUN_TEST_PROCESSES_H

#include <stdatomic.h>
#include <sys/types.h>

#include "plugin/ranks.h"

#define WORDS 64

struct run {
    int32_t ranks;
    const struct llmrun_option *options;
    int64_t option_count;
    int64_t timeout_ns;              /* of create; 0: none */
    void (*body)(struct rank *rank); /* in each process, with a communicator */
    /* In the parent, when all have one. May be NULL. */
    void (*disturb)(const pid_t *processes, int32_t ranks);
    int words[WORDS]; /* what processes_words begins with */
    int32_t victim;   /* a rank that may end by a signal; -1: none */
    /* In place of the usual meeting, in each process. May be NULL. */
    int32_t (*exchange)(void *context, const void *mine, void *all, int64_t bytes, struct llmrun_error *error);
};

/* Fails the test with the first note of a process, or with what a process ended by. */
void processes_run(const struct run *run);

/* Words that all processes and the parent share. */
atomic_int *processes_words(void);
/* All processes of the run. */
void processes_meet(void);
/* As ranks_exchange. */
int32_t processes_exchange(void *context, const void *mine, void *all, int64_t bytes, struct llmrun_error *error);

#endif
