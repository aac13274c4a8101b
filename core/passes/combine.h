/* Adds the sections in which the terms of a gradient meet that a step sums apart (passes/reduction_order.h); the
 * program was cut into sections before.
 *
 * combine_input, combine_weight {chunk, layer, level}: what backward, or backward_input, and backward_weight of that
 * chunk and layer add up in. Runs after accumulation group u where u + 1 has `level` factors of two, or after the last
 * group with the largest level. Rows of channels are reduced over the batch parts of the microbatch; then come the sums
 * that wait on levels 0 to level - 1, and the result waits on `level`, "<accumulator>.level<level>", or, after the last
 * group, stays in the accumulator. So batch parts meet before position parts.
 *
 * reduce {chunk, layer}: once all groups have met. The terms of the ranks of dp are summed, each gradient once. Rows of
 * channels are reduced over position and head parts into the gradient, and the further uses of a parameter are added to
 * its gradient, in the order in which backward writes them.
 *
 * A section that would have no op is left out. */
#ifndef LLMRUN_PASSES_COMBINE_H
#define LLMRUN_PASSES_COMBINE_H

#include "passes/reduction_order.h"
#include "program/builder.h"

/* What ranks hold of a gradient, or of a part of one, when the terms of all dp ranks have met: a view of the term,
 * "<its name>.whole", which has its memory; the value itself where it is no term over dp. */
int32_t combine_whole(struct builder *builder, int32_t term);

/* With ZeRO the terms meet in this rank's rows: a gradient that has a view of them, "<its name>.shard", is scattered,
 * and so are the further uses of its parameter. */
#define COMBINE_SHARD "shard"

int pass_combine(struct program *program, const struct reduction_form *form, struct error *error);

#endif
