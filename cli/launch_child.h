/* The start of one rank as a child process. */
#ifndef LLMRUN_CLI_LAUNCH_CHILD_H
#define LLMRUN_CLI_LAUNCH_CHILD_H

#include <signal.h>
#include <sys/types.h>

#include "launch_ranks.h"

struct launch_child {
    const struct launch_options *options;
    int32_t index;    /* on this machine */
    const char *host; /* of LLMRUN_RENDEZVOUS */
    int32_t port;
    const char *secret;
    int listener;            /* for rank 0 to inherit; -1: none */
    int output;              /* its standard output and error; -1: those of this process */
    const sigset_t *signals; /* that it does not block */
};

int32_t launch_child_rank(const struct launch_child *child);

/* It gets SIGKILL when this process ends, however that ends. STATUS_USAGE where the program cannot be run. */
int launch_child_start(const struct launch_child *child, pid_t *process, struct error *error);

#endif
