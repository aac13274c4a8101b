/* The one operation that all calls of the control channel are made of. */
#ifndef LLMRUN_DIST_CONTROL_CALLS_H
#define LLMRUN_DIST_CONTROL_CALLS_H

#include "dist/control.h"
#include "dist/gathering.h"

/* The parts of all ranks of a group, one after the other at `data`. */
struct gathered {
    uint8_t *memory;
    const uint8_t *sizes; /* u64 each */
    const uint8_t *data;
};

/* Blocks until all ranks of the group have called it. `gathered` is to be finished, also after a failure. */
int control_gather(struct control *control, enum gather_kind kind, const struct control_group *group, const void *mine,
                   int64_t bytes, struct gathered *gathered, struct error *error);
int64_t gathered_size(const struct gathered *gathered, int32_t index); /* bytes of one part */
void gathered_finish(struct gathered *gathered);                       /* accepts a zeroed struct */

#endif
