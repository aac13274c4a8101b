/* Where every value lives: lifetimes to offsets in one arena. A run allocates that arena on the device and nothing
 * else, so the plan's bytes are exact.
 *
 * Regions follow each other in the arena. Results are contiguous, so one copy moves them all; what the B, or the W, of
 * a chunk adds to is contiguous, so one fill zeroes it; sums of lanes that wait are not among these. Inputs are those
 * of the step, in one block, and behind it a block for each microbatch in flight; where they arrive, one for each
 * microbatch of the step. Activations that one line of the schedule uses (passes/flow.h) share memory by lifetime, and
 * all lines share one region. The others are in flight: each group of pools has its slots, with the values of a pool
 * side by side in each.
 *
 * A device whose largest allocation is smaller than the arena has several buffers in its place. No value crosses a
 * border of buffers, nor does a block of inputs: a region that does not fit beside those before it begins a buffer, and
 * has a border at each multiple of `buffer_bytes`. */
#ifndef LLMRUN_PASSES_MEMORY_PLAN_H
#define LLMRUN_PASSES_MEMORY_PLAN_H

#include "passes/flow.h"
#include "program/program.h"

#define PLAN_ALIGNMENT  256  /* of every value in the arena, bytes */
#define PLAN_PAGE       4096 /* of every region and every buffer, bytes */
#define PLAN_INPUT_SETS 2    /* submissions whose inputs are on the device: one computes, the next one's arrive */

enum plan_region {
    REGION_PARAMETERS,
    REGION_STATE,
    REGION_CAST,
    REGION_CONSTANTS,
    REGION_GRADIENTS,
    REGION_PENDING, /* of lanes, until others are added to them */
    REGION_INPUTS,
    REGION_STAGING, /* PLAN_INPUT_SETS times the inputs of a step, where they arrive */
    REGION_RESULTS,
    REGION_SCRATCH,
    REGION_CACHES,
    REGION_FLIGHT, /* activations that live from one line of the schedule to another */
    REGION_ACTIVATIONS,
    REGION_WORKSPACE,
    REGIONS
};

/* Where one value is: region offset + offset, and of a value with a pool + steps[slot], counted in bytes of the arena.
 * A view has the place of its elements in its root. */
struct placement {
    uint8_t region; /* enum plan_region */
    bool placed;    /* false: nothing uses it, or it is internal to a compiled section */
    int32_t pool;   /* whose slot it is in (passes/flow.h), or NO_POOL */
    int64_t offset; /* in the region; but for views a multiple of PLAN_ALIGNMENT, as the steps are */
    int64_t *steps; /* of a value with a pool: bytes from its slot 0 to each slot; in the plan */
};

struct plan_range {
    int64_t offset, bytes; /* in a region, or in the arena */
};

struct memory_plan {
    struct placement *placements; /* one a value; owned */
    int64_t region_offset[REGIONS];
    int64_t region_bytes[REGIONS];
    int64_t total_bytes;
    int64_t buffer_bytes;            /* of a buffer at most; 0: the arena is one, however large */
    struct plan_range *buffers;      /* what each holds of the arena, in order; owned */
    int64_t buffer_count;            /* at least 1 */
    int64_t *steps;                  /* of all placements, first those of the inputs of microbatches; owned */
    struct plan_range *accumulators; /* in the region of gradients: of each flow_accumulators; owned */
    int32_t accumulator_count;
    int64_t step_input_bytes;       /* to the end of the block of the inputs that are no microbatch's */
    int64_t microbatch_input_bytes; /* the block of those of a microbatch */
    int64_t staged_bytes;           /* the inputs of a step: its own block, then those of all its microbatches */
};

/* STATUS_USAGE where the bytes cannot be counted, STATUS_BACKEND where those of the workspace are none, STATUS_MEMORY
 * where a value is larger than `largest`. `microbatches` of a step; `workspace_bytes` is the largest scratch of any op;
 * with `internal`, activations that only one section uses are left unplaced (a device that compiles sections keeps them
 * itself); `largest` is the largest allocation of the device, 0: as large as it likes. */
int memory_plan_make(const struct program *program, const struct flow *flow, int32_t microbatches,
                     int64_t workspace_bytes, bool internal, int64_t largest, struct memory_plan *plan,
                     struct error *error);
void memory_plan_finish(struct memory_plan *plan);

/* Where a value is in the arena, in its slot `slot`; any slot of one without a pool. */
int64_t memory_plan_offset(const struct memory_plan *plan, int32_t value, int32_t slot);

/* Where an input of microbatch `microbatch` is among the staged ones, from their first byte on. */
int64_t memory_plan_staged(const struct memory_plan *plan, int32_t value, int32_t microbatch);

const char *plan_region_name(enum plan_region region);

#endif
