/* Runs the tables of all ranks as pipeline.h says that tensors travel. Private to core/schedule. */
#ifndef LLMRUN_SCHEDULE_WALK_H
#define LLMRUN_SCHEDULE_WALK_H

#include "schedule/pipeline.h"

/* Each entry and each transfer is looked at a fixed number of times. `times` may be NULL. STATUS_BUG names a rank and
 * its entry where the tables deadlock; pipeline_check has seen each rank's own rules kept. */
int pipeline_walk(const struct pipeline *pipeline, const struct pipeline_costs *costs, struct pipeline_times *times,
                  struct error *error);

/* "F", "B", ...: for messages. */
const char *pipeline_action_name(int action);

#endif
