/* What a person sees of a run: a bar on a terminal, plain lines elsewhere. */
#ifndef LLMRUN_CLI_PROGRESS_H
#define LLMRUN_CLI_PROGRESS_H

#include <stdatomic.h>
#include <stdio.h>

#include "base/log.h"
#include "train/trainer.h"

struct progress {
    FILE *out;
    bool terminal;
    int64_t every;    /* steps between plain lines */
    double step_ms;   /* smoothed, for the time left */
    atomic_bool open; /* the bar's line has no end yet */
    int failure;      /* errno of the first write that failed; 0: none */
};

void progress_init(struct progress *progress, FILE *out, int64_t every);

/* Listens to a trainer; `progress` outlives it. */
struct trainer_observer progress_observer(struct progress *progress);

/* A sink of the log (base/log.h) whose lines begin on a line of their own; the context is a progress. */
void progress_log(void *context, enum log_level level, const char *line);

/* Ends the bar's line, so that other text can follow. */
void progress_end(struct progress *progress);

/* All that was written so far is out: STATUS_STORAGE when some of it could not be written. A reader that went away, as
 * a pager that was quit, has what it wanted: that is no failure, and what follows goes nowhere. */
int progress_check(struct progress *progress, struct error *error);

#endif
