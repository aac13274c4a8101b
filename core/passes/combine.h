/* Adds the sections in which the terms of a gradient meet that a step sums apart (passes/reduction_order.h); the
 * program was cut into sections before.
 *
 * combine_input, combine_weight {chunk, layer, level}: what backward, or backward_input, and backward_weight of that
 * chunk and layer add up in. Runs after accumulation group u where u + 1 has `level` factors of two, or after the last
 * group with the largest level. Rows of channels are reduced over the batch parts of the microbatch; then come the sums
 * that wait on levels 0 to level - 1, and the result waits on `level`, "<accumulator>.level<level>", or, after the last
 * group, stays in the accumulator. So batch parts meet before position parts.
 *
 * reduce {chunk, layer}: once all groups have met. Rows of channels are reduced over position and head parts into the
 * gradient, and the further uses of a parameter are added to its gradient, in the order in which backward writes them.
 *
 * A section that would have no op is left out. */
#ifndef LLMRUN_PASSES_COMBINE_H
#define LLMRUN_PASSES_COMBINE_H

#include "passes/reduction_order.h"

int pass_combine(struct program *program, const struct reduction_form *form, struct error *error);

#endif
