#include "planned.h"

#include <string.h>

int planned_make(const struct program *program, int32_t microbatches, int64_t workspace_bytes, bool internal,
                 struct planned *planned, struct error *error)
{
    const struct pipeline_shape shape = {.ranks = 1, .chunks = 1, .microbatches = microbatches, .groups = 1};
    int status = STATUS_OK;

    memset(planned, 0, sizeof *planned);
    if (program_section(program, SECTION_FORWARD) != NULL)
        status = pipeline_one_f_one_b(&shape, &planned->pipeline, error);
    if (status == STATUS_OK)
        status = flow_make(program, &shape, planned->pipeline.ranks, &planned->flow, error);
    if (status == STATUS_OK)
        status = memory_plan_make(program, &planned->flow, microbatches, workspace_bytes, internal, 0, &planned->plan,
                                  error);
    if (status != STATUS_OK)
        planned_finish(planned);
    return status;
}

void planned_finish(struct planned *planned)
{
    pipeline_finish(&planned->pipeline);
    flow_finish(&planned->flow);
    memory_plan_finish(&planned->plan);
}
