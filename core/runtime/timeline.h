/* Where the time of a submission goes: an event of the device before each launch, and so from one to the next the time
 * of what stands between them. What the device does to be ready for the launch counts as the launch's. */
#ifndef LLMRUN_RUNTIME_TIMELINE_H
#define LLMRUN_RUNTIME_TIMELINE_H

#include "hal/stream.h"

struct timeline_mark {
    struct event event;
    const char *what; /* a literal, for what is no op of the program; NULL for an op */
    int32_t op;       /* index in the program; -1 for what is none */
};

/* Zero-initialise. Marks are made when they are first needed and kept, so a second submission allocates nothing. */
struct timeline {
    struct timeline_mark *marks;
    int64_t count; /* of the submission at hand */
    int64_t made;  /* with an event */
    int64_t capacity;
};

void timeline_destroy(struct timeline *timeline);

/* What is enqueued on `stream` from here to the next mark is `what`, or op `op`. NULL for the timeline does nothing. */
int timeline_mark(struct timeline *timeline, const struct stream *stream, const char *what, int32_t op,
                  struct error *error);

/* Nanoseconds from mark `index`, below count - 1, to the next; both are to be ready. */
int timeline_elapsed(const struct timeline *timeline, int64_t index, int64_t *ns, struct error *error);

#endif
