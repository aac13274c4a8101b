/* How the ranks of a job meet about checkpoints: over the control channel, on a number of its own, so that a save on a
 * thread of its own does not meet what the trainer shares meanwhile. */
#ifndef LLMRUN_CHECKPOINTING_CHANNEL_H
#define LLMRUN_CHECKPOINTING_CHANNEL_H

#include "checkpoint/ranks.h"
#include "dist/ranks.h"

struct checkpoint_channel {
    struct checkpoint_ranks ranks; /* its context is the channel itself, which must stay in its place */
    struct control *control;       /* NULL: one rank */
    struct control_group group;
    int32_t *members; /* owned */
};

int checkpoint_channel_init(struct checkpoint_channel *channel, struct ranks *ranks, struct error *error);
void checkpoint_channel_finish(struct checkpoint_channel *channel); /* accepts a zeroed struct */

/* NULL for one rank. */
const struct checkpoint_ranks *checkpoint_channel_ranks(const struct checkpoint_channel *channel);

#endif
