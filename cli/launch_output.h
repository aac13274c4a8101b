/* What a rank prints, for ranks whose output is not the terminal's: it goes into a log, and its last lines are kept. */
#ifndef LLMRUN_CLI_LAUNCH_OUTPUT_H
#define LLMRUN_CLI_LAUNCH_OUTPUT_H

#include <limits.h>
#include <stdbool.h>

#include "base/status.h"

#define OUTPUT_KEPT 4096

struct launch_output {
    int pipe; /* -1: closed, or none */
    int log;
    char path[PATH_MAX];
    bool lost; /* the log takes no more; said once */
    char kept[OUTPUT_KEPT];
    int kept_bytes;
};

/* Opens FOLDER/rank_N.log, to be written at its end, and a pipe; *end is the one that the rank writes to. */
int launch_output_open(struct launch_output *output, const char *folder, int rank, int *end, struct error *error);
void launch_output_close(struct launch_output *output); /* accepts one with -1 in pipe and log */

/* Takes what has come; closes the pipe at its end. Does not block. */
void launch_output_take(struct launch_output *output);

/* Prints the last lines on stderr, at most 20, each behind "rank N: ". */
void launch_output_print(const struct launch_output *output, int rank);

#endif
