#include "engine/layout.h"

int64_t layout_smallest_world(const struct config *config)
{
    return config->parallel.tp * config->parallel.pp;
}

void layout_forget_stored(struct config *config)
{
    if (!config_is_given(config, CONFIG_KEY_parallel_tp))
        config->parallel.tp = 1;
    if (!config_is_given(config, CONFIG_KEY_parallel_pp))
        config->parallel.pp = 1;
    if (!config_is_given(config, CONFIG_KEY_parallel_sp))
        config->parallel.sp = CONFIG_SP_AUTO;
    config->parallel.zero = 0;
    config->parallel.zero_group = 0;
    config->parallel.chunks = 1;
    config->parallel.loss_chunk = 0;
    config->parallel.schedule = CONFIG_SCHEDULE_1F1B;
}

/* How many ranks of dp share one optimizer state. */
static int set_shards(const struct config *config, struct mesh *mesh, struct error *error)
{
    const int64_t group = config->parallel.zero_group;
    const int32_t dp = mesh->sizes[MESH_DP];

    if (config->parallel.zero == 0 || group == 0 || group == dp)
        return STATUS_OK;
    for (int32_t near = dp; dp % group != 0 && near > 0; near--)
        if (dp % near == 0 && near < group)
            return error_set(error, STATUS_USAGE,
                             "parallel.zero_group is %lld and does not divide the %d ranks of data parallelism; take "
                             "%d, or 0 for all of them",
                             (long long)group, dp, near);
    mesh->shards = (int32_t)group;
    return STATUS_OK;
}

int layout_mesh(const struct config *config, int32_t world, int32_t rank, struct mesh *mesh, struct error *error)
{
    const int64_t each = layout_smallest_world(config);

    if (each > world || world % each != 0)
        return error_set(error, STATUS_USAGE,
                         "parallel.tp %lld x parallel.pp %lld are %lld ranks, and there are %d: the number of ranks is "
                         "a multiple of them, for example %lld (`llmrun launch -n %lld train ...`)",
                         (long long)config->parallel.tp, (long long)config->parallel.pp, (long long)each, world,
                         (long long)(world < each ? each : world / each * each),
                         (long long)(world < each ? each : world / each * each));
    *mesh = mesh_single();
    mesh->sizes[MESH_TP] = (int32_t)config->parallel.tp;
    mesh->sizes[MESH_PP] = (int32_t)config->parallel.pp;
    mesh->sizes[MESH_DP] = world / (int32_t)each;
    mesh_place(mesh, rank);
    return set_shards(config, mesh, error);
}

int layout_sequence_parallel(const struct config *config, const struct mesh *mesh, bool *sequence_parallel,
                             struct error *error)
{
    const bool split = mesh->sizes[MESH_TP] > 1;

    if (config->parallel.sp == CONFIG_SP_TRUE && !split)
        return error_set(error, STATUS_USAGE,
                         "parallel.sp is true and parallel.tp 1: sequence parallelism splits positions over the ranks "
                         "of tp; set tp, or leave sp at auto");
    *sequence_parallel = split && config->parallel.sp != CONFIG_SP_FALSE;
    return STATUS_OK;
}
