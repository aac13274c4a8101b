/* Where every value lives: lifetimes to offsets in one arena. A run allocates that arena on the device and nothing
 * else, so the plan's bytes are exact.
 *
 * Regions follow each other in the arena. Inputs and results are contiguous, so one copy moves them all; gradients are
 * contiguous, so one fill zeroes them; sums of lanes that wait are not among these. Activations of forward and backward
 * share memory by lifetime; evaluate, prefill and decode run when no microbatch is in flight and overlay the same
 * region. */
#ifndef LLMRUN_PASSES_MEMORY_PLAN_H
#define LLMRUN_PASSES_MEMORY_PLAN_H

#include "program/program.h"

#define PLAN_ALIGNMENT  256 /* of the offset of every value, bytes */
#define PLAN_INPUT_SETS 2   /* submissions whose inputs are on the device: one computes, the next one's arrive */

enum plan_region {
    REGION_PARAMETERS,
    REGION_STATE,
    REGION_COPIES,
    REGION_CONSTANTS,
    REGION_GRADIENTS,
    REGION_WAITING, /* of lanes, until others are added to them */
    REGION_INPUTS,
    REGION_STAGING, /* PLAN_INPUT_SETS copies of the inputs, where they arrive */
    REGION_RESULTS,
    REGION_SCRATCH,
    REGION_CACHES,
    REGION_ACTIVATIONS,
    REGION_WORKSPACE,
    REGIONS
};

/* Where one value is. Address of microbatch m: arena + region offset + offset + m * stride. */
struct placement {
    uint8_t region;    /* enum plan_region */
    bool placed;       /* false: nothing uses it, or it is internal to a compiled section */
    int64_t offset;    /* in the region */
    int64_t stride;    /* from one microbatch to the next; 0: the same memory for all */
    int64_t alignment; /* of every microbatch's place in the arena */
};

struct memory_plan {
    struct placement *placements; /* one a value; owned */
    int64_t region_offset[REGIONS];
    int64_t region_bytes[REGIONS];
    int64_t total_bytes;
};

/* STATUS_USAGE where the bytes cannot be counted, STATUS_BACKEND where those of the workspace are none. `microbatches`
 * of a step; `workspace_bytes` is the largest scratch of any op; with `internal`, activations that only one section
 * uses are left unplaced (a device that compiles sections keeps them itself). */
int memory_plan_make(const struct program *program, int32_t microbatches, int64_t workspace_bytes, bool internal,
                     struct memory_plan *plan, struct error *error);
void memory_plan_free(struct memory_plan *plan);

const char *plan_region_name(enum plan_region region);

#endif
