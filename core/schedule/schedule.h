/* The order in which a single rank runs the sections of its microbatches: a table, made on the host and checked there.
 * A single stage has gradient accumulation only; schedules of many ranks are in pipeline.h. */
#ifndef LLMRUN_SCHEDULE_SCHEDULE_H
#define LLMRUN_SCHEDULE_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum schedule_action {
    SCHEDULE_FORWARD,
    SCHEDULE_BACKWARD,
    SCHEDULE_ZERO, /* gradients become zero: the microbatch begins a unit */
    SCHEDULE_CLOSE /* the microbatch ended a unit; `chunk` is the number of levels of the tree of units that close */
};

struct schedule_entry {
    uint8_t action; /* enum schedule_action */
    int32_t microbatch;
    int32_t chunk;
};

struct schedule {
    struct schedule_entry *entries; /* owned */
    int64_t count;
    int32_t microbatches;
    int32_t in_flight; /* largest number of microbatches between their F and their B: slots of activation memory */
};

void schedule_free(struct schedule *schedule);

/* One stage: F and B of each microbatch in turn, in `units` equal groups (a power of two that divides the
 * microbatches), each closed at its end and, with `zero`, zeroed at its start. */
int schedule_accumulate(int32_t microbatches, int32_t units, bool zero, struct schedule *schedule, struct error *error);

/* Levels of the tree of units that close after `unit`: as many as unit + 1 has factors of two. */
int32_t schedule_closed_levels(int32_t unit);

/* Each microbatch's F comes once and before its B, B of a chunk in ascending microbatch order (exact numerics, rule 3),
 * and no more than in_flight are between the two. STATUS_BUG names the entry. */
int schedule_check(const struct schedule *schedule, struct error *error);

#endif
