/* A signal whose answer on standard error goes to nobody. */
#ifndef LLMRUN_TEST_TRAIN_QUIET_H
#define LLMRUN_TEST_TRAIN_QUIET_H

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

static inline void raise_quietly(int signal)
{
    int before = dup(STDERR_FILENO), nowhere = open("/dev/null", O_WRONLY);

    assert_true(before >= 0 && nowhere >= 0 && dup2(nowhere, STDERR_FILENO) == STDERR_FILENO);
    raise(signal);
    dup2(before, STDERR_FILENO);
    close(before);
    close(nowhere);
}

#endif
