#include "checkpointing/channel.h"

#include <stdlib.h>
#include <string.h>

#define CHANNEL 1

static int gather(void *context, const void *mine, int64_t bytes, char **all, int64_t *sizes, struct error *error)
{
    const struct checkpoint_channel *channel = context;

    return control_gather_texts(channel->control, &channel->group, mine, bytes, all, sizes, error);
}

/* How many bytes there are, then the bytes. */
static int broadcast(void *context, const void *mine, int64_t bytes, char **told, int64_t *told_bytes,
                     struct error *error)
{
    const struct checkpoint_channel *channel = context;
    int status = control_broadcast(channel->control, &channel->group, &bytes, sizeof bytes, error);
    char *data;

    if (status != STATUS_OK)
        return status;
    data = calloc(1, (size_t)bytes + 1);
    if (data == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for %lld bytes about a checkpoint", (long long)bytes);
    if (channel->ranks.rank == 0 && bytes > 0)
        memcpy(data, mine, (size_t)bytes);
    status = bytes > 0 ? control_broadcast(channel->control, &channel->group, data, bytes, error) : STATUS_OK;
    if (status != STATUS_OK) {
        free(data);
        return status;
    }
    *told = data;
    *told_bytes = bytes;
    return STATUS_OK;
}

int checkpoint_channel_init(struct checkpoint_channel *channel, struct ranks *ranks, struct error *error)
{
    const int32_t world = ranks_world(ranks);

    *channel = (struct checkpoint_channel){.control = ranks_control(ranks)};
    if (ranks == NULL)
        return STATUS_OK;
    channel->members = calloc((size_t)world, sizeof *channel->members);
    if (channel->members == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the ranks of a job");
    for (int32_t i = 0; i < world; i++)
        channel->members[i] = i;
    channel->group = (struct control_group){.ranks = channel->members, .count = world, .channel = CHANNEL};
    channel->ranks = (struct checkpoint_ranks){
        .rank = ranks_rank(ranks), .ranks = world, .gather = gather, .broadcast = broadcast, .context = channel};
    return STATUS_OK;
}

void checkpoint_channel_finish(struct checkpoint_channel *channel)
{
    free(channel->members);
    *channel = (struct checkpoint_channel){.control = NULL};
}

const struct checkpoint_ranks *checkpoint_channel_ranks(const struct checkpoint_channel *channel)
{
    return channel->control != NULL ? &channel->ranks : NULL;
}
