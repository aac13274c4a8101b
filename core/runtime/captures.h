/* Which runs of commands a device that captures work replays as one. A run is as many launches and zeros of the compute
 * lane as follow each other; copies of inputs and losses, which differ from microbatch to microbatch, end it. Runs that
 * launch the same sections in the same slots share one graph. */
#ifndef LLMRUN_RUNTIME_CAPTURES_H
#define LLMRUN_RUNTIME_CAPTURES_H

#include "hal/graph.h"
#include "runtime/section.h"

/* Launched command by command the first time, so that a device has loaded what it loads on first use; captured the
 * second time. */
struct captured {
    struct graph graph;
    int64_t uses;
    uint64_t hash;      /* of the first run that it is of */
    int32_t job;        /* and where that run is */
    int64_t first, end; /* commands */
};

struct captures {
    struct captured *captured; /* owned */
    int64_t count, capacity;
    int32_t *starts[JOBS]; /* of each command of a job: the number of the graph whose run starts there, or -1; owned */
    int64_t *ends[JOBS];   /* of each such command: behind its run; owned */
};

/* Finds the runs, and captures nothing yet. Empty for a device that does not capture. */
int captures_create(const struct device *device, const struct compiled *compiled,
                    const struct prepared_section *sections, struct captures *captures, struct error *error);
void captures_destroy(struct captures *captures);

/* The graph of the run that starts at command `i`, and the command behind it; NULL where none starts. */
struct captured *captures_find(const struct captures *captures, enum job job, int64_t i, int64_t *end);

/* `i`, or the end of the run that it is inside of. */
int64_t captures_behind(const struct captures *captures, enum job job, int64_t i);

#endif
