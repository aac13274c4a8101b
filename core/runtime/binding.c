#include "runtime/binding.h"

struct binding binding_of(const struct compiled *compiled, int32_t value, uint64_t arena)
{
    const struct placement *at = &compiled->plan.placements[value];
    struct binding binding = {.pool = NO_POOL};

    if (!at->placed)
        return binding;
    binding.address = arena + (uint64_t)compiled->plan.region_offset[at->region] + (uint64_t)at->offset;
    if (at->pool != NO_POOL && compiled->flow.group_slots[compiled->flow.group[at->pool]] > 1) {
        binding.pool = at->pool;
        binding.stride = at->stride;
    }
    return binding;
}
