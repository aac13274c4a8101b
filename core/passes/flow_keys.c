#include "passes/flow.h"

enum section_kind flow_section_kind(const struct pipeline_entry *entry)
{
    switch (entry->action) {
    case PIPELINE_F:
        return SECTION_FORWARD;
    case PIPELINE_B:
        return SECTION_BACKWARD_INPUT;
    case PIPELINE_W:
        return SECTION_BACKWARD_WEIGHT;
    case PIPELINE_BW:
        return SECTION_BACKWARD;
    default:
        return SECTION_KINDS;
    }
}

int32_t flow_accumulators(int32_t chunk, bool weight)
{
    return 2 * chunk + weight;
}
