/* What one rank does in a step, as boxes: one for each entry of the schedule that runs sections, one for what combines
 * accumulation groups behind it, one for `reduce` and one for `update`. They come from the rank's commands, in their
 * order; their times are those of the pipeline, in which F, B and W of a chunk take one unit each, BW two, and
 * transfers none (schedule/pipeline.h). */
#ifndef LLMRUN_COMPILE_TIMELINE_H
#define LLMRUN_COMPILE_TIMELINE_H

#include "compile/compiled.h"
#include "compile/traffic.h"

struct timeline_box {
    uint8_t kind;        /* enum section_kind of its sections; of combine sections that of the first */
    int32_t chunk;       /* -1: of none */
    int32_t microbatch;  /* -1: of none */
    int64_t begin, end;  /* units; equal but for F, B, W and BW */
    int64_t launches;    /* sections that compute */
    struct traffic sent; /* in its other sections, which are communication */
    int32_t to;          /* index along pp of the rank that gets its output at `end`; -1: none */
    int64_t to_bytes;
};

struct timeline {
    struct timeline_box *boxes; /* owned */
    int64_t count, capacity;
    int64_t makespan; /* units: from the first begin to the last end of all ranks of the pipeline */
};

int timeline_make(const struct compiled *compiled, struct timeline *timeline, struct error *error);
void timeline_finish(struct timeline *timeline);

#endif
