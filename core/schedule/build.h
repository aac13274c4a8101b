/* What the schedules and their checks share: a table grows by "the next microbatch of this action and chunk". Private
 * to core/schedule. */
#ifndef LLMRUN_SCHEDULE_BUILD_H
#define LLMRUN_SCHEDULE_BUILD_H

#include "schedule/pipeline.h"

/* One rank's table while it is made. */
struct pipeline_builder {
    const struct pipeline_shape *shape;
    struct pipeline_rank *rank;
    int32_t next[PIPELINE_BW + 1][PIPELINE_CHUNKS_MAX]; /* microbatch, by action and chunk */
    struct pipeline_slots used;
};

/* Allocates the tables of all ranks, empty, each with room for all entries. `split`: W apart from B. The schedule takes
 * from `chunks_min` to `chunks_max` chunks. */
int pipeline_begin(const struct pipeline_shape *shape, const char *name, int32_t chunks_min, int32_t chunks_max,
                   bool split, struct pipeline *pipeline, struct error *error);

void pipeline_builder_init(struct pipeline_builder *builder, const struct pipeline *pipeline, int32_t rank);

/* Adds F, B, W or BW of the chunk's next microbatch, with the ZERO and COMBINE that belong there, and counts slots.
 * Adds nothing once the chunk has had all its microbatches. */
void pipeline_add(struct pipeline_builder *builder, enum pipeline_action action, int32_t chunk);

/* Levels of the tree of accumulation groups that close after `group`: as many as group + 1 has factors of two. */
int32_t pipeline_closed_levels(int32_t group);

#endif
