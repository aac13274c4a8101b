#include "schedule/pipeline.h"

#include <stdlib.h>

#include "schedule/build.h"

#define STAGES_MAX (1 << 24) /* stages, and a table's positions, stay far from the ends of int32_t */

int32_t pipeline_closed_levels(int32_t group)
{
    int32_t levels = 0;

    for (group++; group % 2 == 0; group /= 2)
        levels++;
    return levels;
}

int32_t pipeline_stage(const struct pipeline *pipeline, int32_t rank, int32_t chunk)
{
    int32_t ranks = pipeline->shape.ranks;

    return pipeline->placement == PIPELINE_V && chunk == 1 ? 2 * ranks - 1 - rank : chunk * ranks + rank;
}

int32_t pipeline_holder(const struct pipeline *pipeline, int32_t stage)
{
    int32_t ranks = pipeline->shape.ranks;

    return pipeline->placement == PIPELINE_V && stage >= ranks ? 2 * ranks - 1 - stage : stage % ranks;
}

enum pipeline_placement pipeline_placement_of(enum pipeline_kind kind, int32_t chunks)
{
    return kind == PIPELINE_ZERO_BUBBLE && chunks == 2 ? PIPELINE_V : PIPELINE_LOOP;
}

const char *pipeline_action_name(int action)
{
    static const char *const names[] = {"F", "B", "W", "BW", "ZERO_B", "ZERO_W", "COMBINE_B", "COMBINE_W"};

    return action < (int)(sizeof names / sizeof names[0]) ? names[action] : "an unknown action";
}

void pipeline_finish(struct pipeline *pipeline)
{
    if (pipeline->ranks != NULL)
        free(pipeline->ranks[0].entries); /* all tables are one block */
    free(pipeline->ranks);
    *pipeline = (struct pipeline){0};
}

int pipeline_begin(const struct pipeline_shape *shape, const char *name, int32_t chunks_min, int32_t chunks_max,
                   bool split, struct pipeline *pipeline, struct error *error)
{
    int64_t each; /* entries a rank */

    *pipeline = (struct pipeline){.shape = *shape, .placement = PIPELINE_LOOP};
    if (shape->ranks < 1 || shape->microbatches < 1)
        return error_set(error, STATUS_USAGE, "schedule %s: %d ranks and %d microbatches, wanted at least 1 of each",
                         name, shape->ranks, shape->microbatches);
    if (shape->chunks < chunks_min || shape->chunks > chunks_max)
        return error_set(error, STATUS_USAGE, "schedule %s: %d chunks a rank, wanted %d to %d", name, shape->chunks,
                         chunks_min, chunks_max);
    if (shape->ranks > STAGES_MAX / shape->chunks)
        return error_set(error, STATUS_USAGE, "schedule %s: %d ranks of %d chunks, more than %d stages", name,
                         shape->ranks, shape->chunks, STAGES_MAX);
    if (shape->groups < 1 || (shape->groups & (shape->groups - 1)) != 0 || shape->microbatches % shape->groups != 0)
        return error_set(error, STATUS_USAGE,
                         "schedule %s: %d accumulation groups, wanted a power of two that divides %d microbatches",
                         name, shape->groups, shape->microbatches);
    each = shape->chunks * ((int64_t)shape->microbatches * (split ? 3 : 2) + shape->groups * (shape->zero ? 4LL : 2LL));
    pipeline->ranks = calloc((size_t)shape->ranks, sizeof *pipeline->ranks);
    if (pipeline->ranks != NULL && each <= INT64_MAX / (int64_t)sizeof(struct pipeline_entry) / shape->ranks)
        pipeline->ranks[0].entries = malloc((size_t)(shape->ranks * each) * sizeof *pipeline->ranks[0].entries);
    if (pipeline->ranks == NULL || pipeline->ranks[0].entries == NULL) {
        pipeline_finish(pipeline);
        return error_set(error, STATUS_MEMORY, "no memory for the schedule of %d ranks and %d microbatches",
                         shape->ranks, shape->microbatches);
    }
    for (int32_t i = 1; i < shape->ranks; i++)
        pipeline->ranks[i].entries = pipeline->ranks[0].entries + i * each;
    return STATUS_OK;
}

void pipeline_builder_init(struct pipeline_builder *builder, const struct pipeline *pipeline, int32_t rank)
{
    *builder = (struct pipeline_builder){.shape = &pipeline->shape, .rank = &pipeline->ranks[rank]};
}

static void put(struct pipeline_builder *builder, enum pipeline_action action, int32_t chunk, int32_t microbatch,
                int32_t level)
{
    builder->rank->entries[builder->rank->count++] =
        (struct pipeline_entry){(uint8_t)action, (uint8_t)level, (uint16_t)chunk, microbatch};
}

static void raise_to(int32_t *most, int32_t used)
{
    if (used > *most)
        *most = used;
}

void pipeline_add(struct pipeline_builder *builder, enum pipeline_action action, int32_t chunk)
{
    const struct pipeline_shape *shape = builder->shape;
    struct pipeline_slots *used = &builder->used, *slots = &builder->rank->slots;
    int32_t microbatch = builder->next[action][chunk], each = shape->microbatches / shape->groups;
    bool writes_b = action == PIPELINE_B || action == PIPELINE_BW;
    bool writes_w = action == PIPELINE_W || action == PIPELINE_BW;

    if (microbatch == shape->microbatches)
        return;
    builder->next[action][chunk]++;
    if (shape->zero && microbatch % each == 0) {
        if (writes_b)
            put(builder, PIPELINE_ZERO_B, chunk, microbatch, 0);
        if (writes_w)
            put(builder, PIPELINE_ZERO_W, chunk, microbatch, 0);
    }
    put(builder, action, chunk, microbatch, 0);
    if ((microbatch + 1) % each == 0) {
        int32_t level = pipeline_closed_levels(microbatch / each);

        if (writes_b)
            put(builder, PIPELINE_COMBINE_B, chunk, microbatch, level);
        if (writes_w)
            put(builder, PIPELINE_COMBINE_W, chunk, microbatch, level);
    }
    used->f_to_b += (action == PIPELINE_F) - writes_b;
    used->b_to_w += (action == PIPELINE_B) - (action == PIPELINE_W);
    used->f_to_w += (action == PIPELINE_F) - writes_w;
    raise_to(&slots->f_to_b, used->f_to_b);
    raise_to(&slots->b_to_w, used->b_to_w);
    raise_to(&slots->f_to_w, used->f_to_w);
}
