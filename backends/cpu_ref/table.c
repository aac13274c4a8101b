#include "cpu_ref/table.h"

#define REFERENCE(op, name) extern const struct kernel reference_##name##_exact, reference_##name##_double;
#include "cpu_ref/reference.def"
#undef REFERENCE

/* Of each op, lists of one kernel: [0] in fp64, [1] in the defined order. */
static const struct kernel *const references[LLMRUN_OPS][2][2] = {
#define REFERENCE(op, name) [op] = {{&reference_##name##_double}, {&reference_##name##_exact}},
#include "cpu_ref/reference.def"
#undef REFERENCE
};

const struct kernel *const *reference_candidates(uint16_t op, int isa, uint32_t flags)
{
    static const struct kernel *const none = NULL;

    (void)isa;
    return op < LLMRUN_OPS ? references[op][(flags & LLMRUN_OP_EXACT) != 0] : &none;
}

const struct kernel_set cpu_ref_kernel_set = {
    .name = "cpu-ref",
    .version = "0.1.0",
    .priority = 0,
    .exact = 1,
    .candidates = reference_candidates,
};
