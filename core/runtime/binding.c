#include "runtime/binding.h"

struct binding binding_of(const struct compiled *compiled, int32_t value, const struct arena *arena)
{
    const struct placement *at = &compiled->plan.placements[value];
    struct binding binding = {.pool = NO_POOL};

    if (!at->placed)
        return binding;
    binding.offset = memory_plan_offset(&compiled->plan, value, 0);
    binding.address = arena_address(arena, binding.offset);
    if (at->pool != NO_POOL && compiled->flow.group_slots[compiled->flow.group[at->pool]] > 1) {
        binding.pool = at->pool;
        binding.steps = at->steps;
    }
    return binding;
}
