/* How far a submission has come: a mark behind each entry of its schedule, so that waiting for it tells the one at
 * which a device hangs. Allocates when it is made only. */
#ifndef LLMRUN_RUNTIME_PROGRESS_H
#define LLMRUN_RUNTIME_PROGRESS_H

#include "hal/stream.h"
#include "program/program.h"

#define PROGRESS_MARKS 32

struct progress {
    struct progress_mark {
        struct event event;
        const char *section; /* name */
        int32_t microbatch;
        double seconds; /* progress_seconds */
    } marks[PROGRESS_MARKS];
    int count;
    int64_t launches; /* since the last mark */
    int64_t every;    /* of them for a mark */
    double unmarked;  /* seconds since the last mark */
    int64_t step;     /* number of the training step, 0: none */
};

int progress_create(struct device *device, struct progress *progress, struct error *error);
void progress_destroy(struct progress *progress);

/* At the start of a submission of about `launches` marks. */
void progress_begin(struct progress *progress, int64_t launches, int64_t step);
/* Behind sections that were enqueued on `stream` together, `launches` of the announced, which may take `seconds`; the
 * last is of a kind and a microbatch. */
int progress_mark(struct progress *progress, const struct stream *stream, enum section_kind section, int32_t microbatch,
                  int64_t launches, double seconds, struct error *error);
/* Waits for one mark after the other, then for `done`. A section that takes too long is named: "device 0 of cpu did not
 * finish section forward of step 3 within 60 s". */
int progress_await(const struct progress *progress, const struct event *done, struct error *error);

/* Floating-point operations a second of the slowest device that is one: for the host's own processor what one busy core
 * without vectors has; others are held to a hundredth of their peak, where they tell it. */
double progress_flops_per_s(const struct device *device);

/* Seconds that a section takes such a device, from their operations, the bytes of their operands, and the
 * numbers that init draws. A device counts as hung when neither its timeout nor this was enough. */
double progress_seconds(const struct device *device, const struct program *program, const struct section *section);

#endif
