/* Communication ops on host memory. */
#ifndef LLMRUN_TEST_LOCKSTEP_EXCHANGE_H
#define LLMRUN_TEST_LOCKSTEP_EXCHANGE_H

#include "program/program.h"

/* One rank of the axis. */
struct exchange_side {
    const struct value *x, *y;
    const void *from;
    void *to;
};

/* Does op (OP_ALL_GATHER ...) for all ranks of `axis`, in the order of their index: parts are put together, or terms
 * are added as a balanced tree, nearest rank first, and each rank takes its part. */
void exchange_run(uint16_t op, enum mesh_axis axis, const struct exchange_side *sides, int count, int64_t sequences);

#endif
