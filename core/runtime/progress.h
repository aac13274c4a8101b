/* How far a submission has come: a mark behind each of its sections, so that waiting for it tells the one at which a
 * device hangs. Allocates when it is made only. */
#ifndef LLMRUN_RUNTIME_PROGRESS_H
#define LLMRUN_RUNTIME_PROGRESS_H

#include "plugin/stream.h"
#include "program/program.h"

#define PROGRESS_MARKS 32

/* A device that computes less than this a second counts as hung once the device's time is over, too: a section gets the
 * longer of that time and what it takes at this rate. For devices of the host's own processor, whose peak rate is that
 * of all cores; others get a hundredth of their peak, where they tell it. */
#define PROGRESS_HOST_FLOPS 2e9

struct progress {
    struct progress_mark {
        struct event event;
        const char *section; /* name */
        int32_t microbatch;
        double seconds; /* that it may take at the rate above */
    } marks[PROGRESS_MARKS];
    int count;
    int64_t launches; /* of the submission so far */
    int64_t every;    /* launches a mark */
    double unmarked;  /* seconds of launches since the last mark */
    int64_t step;     /* number of the training step, 0: none */
};

int progress_create(struct device *device, struct progress *progress, struct error *error);
void progress_destroy(struct progress *progress);

/* At the start of a submission of about `launches` sections. */
void progress_begin(struct progress *progress, int64_t launches, int64_t step);
/* Behind a section that was enqueued on `stream`; `flops` of it. */
int progress_mark(struct progress *progress, const struct stream *stream, enum section_kind section, int32_t microbatch,
                  double flops, struct error *error);
/* Waits for one mark after the other, then for `done`. A section that takes too long is named: "device 0 of cpu did not
 * finish section forward of step 3 within 60 s". */
int progress_await(const struct progress *progress, const struct event *done, struct error *error);

/* Seconds of `flops` operations at the slowest rate that a device is known to have. */
double progress_seconds(const struct device *device, double flops);

#endif
