/* How long each step takes: from the end of the step before it, or from where training goes on after something else, to
 * its own end. The host notices these ends late: two steps are in flight, and a device that takes only so much work
 * ahead blocks the host while it enqueues more. So the device's events tell the time. Of the first step after something
 * else the host's clock does: its start is the host's, and nobody keeps the host from seeing its end. */
#ifndef LLMRUN_TRAIN_STEP_CLOCK_H
#define LLMRUN_TRAIN_STEP_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "hal/stream.h"

/* Two steps in flight, the end of the one before them, and one to spare. */
#define STEP_CLOCK_MARKS 4

struct step_clock_mark {
    struct event event;
    int64_t host_ns; /* when it was enqueued */
};

/* Zero-initialise. `stream` is that of the steps. */
struct step_clock {
    const struct stream *stream;
    const struct clock *host;
    struct step_clock_mark marks[STEP_CLOCK_MARKS];
    int64_t made;    /* marks so far; mark i stands at i % STEP_CLOCK_MARKS */
    int64_t read;    /* the mark that the next step is counted from */
    int64_t read_ns; /* the host's time of it */
    bool started;    /* that mark is a start */
    bool doubtful;   /* the device's times cannot be true: the host's are used */
};

int step_clock_open(struct step_clock *clock, const struct stream *stream, const struct clock *host,
                    struct error *error);
void step_clock_close(struct step_clock *clock);

/* Training goes on, with nothing submitted: the next step counts from now. */
int step_clock_start(struct step_clock *clock, struct error *error);

/* A step was submitted whole. */
int step_clock_end(struct step_clock *clock, struct error *error);

/* The time of the oldest step that was not read, once it was collected. Where the device gives none, or one that the
 * host's clock contradicts, the time between two readings, and a warning the first time. */
int64_t step_clock_read(struct step_clock *clock);

#endif
