#include "checkpoint/shards.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/checked.h"
#include "checkpoint/checkpoint.h"

static int start_shard(struct shards *shards, int64_t first, struct error *error)
{
    struct shard *grown = array_reserve(shards->shards, shards->count, 1, &shards->capacity, sizeof *grown);

    if (grown == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the list of shards");
    shards->shards = grown;
    grown[shards->count++] = (struct shard){.first = first};
    return STATUS_OK;
}

static int cut(const struct safetensors_form *forms, int64_t count, int64_t limit, struct shards *shards,
               struct error *error)
{
    for (int64_t i = 0; i < count; i++) {
        struct shard *last = shards->count > 0 ? &shards->shards[shards->count - 1] : NULL;
        int64_t element_bytes = dtype_bytes(forms[i].dtype), bytes;

        if (element_bytes == 0 || shape_check(&forms[i].shape, element_bytes, NULL) != STATUS_OK)
            return error_set(error, STATUS_BUG, "tensor '%.200s' has a dtype or shape that cannot be stored",
                             forms[i].name);
        bytes = shape_elements(&forms[i].shape) * element_bytes;
        if (last == NULL || last->data_bytes % element_bytes != 0 ||
            (last->data_bytes > 0 && bytes > limit - last->data_bytes)) {
            int result = start_shard(shards, i, error);

            if (result != STATUS_OK)
                return result;
            last = &shards->shards[shards->count - 1];
        }
        last->count++;
        if (!checked_add(last->data_bytes, bytes, &last->data_bytes) ||
            !checked_add(shards->total_bytes, bytes, &shards->total_bytes))
            return error_set(error, STATUS_BUG, "the tensors have more bytes than can be counted in 63 bits");
    }
    return STATUS_OK;
}

static int make_header(const struct safetensors_form *forms, const char *run_id, int64_t step, int32_t rank,
                       int64_t number, int64_t shards, struct shard *shard, struct error *error)
{
    char step_text[32], shard_text[64];
    const struct safetensors_pair metadata[] = {
        {CHECKPOINT_KEY_RUN, run_id}, {CHECKPOINT_KEY_STEP, step_text}, {CHECKPOINT_KEY_SHARD, shard_text}};

    if (rank < 0)
        snprintf(shard->name, sizeof shard->name, "tensors-%05" PRId64 ".safetensors", number);
    else
        snprintf(shard->name, sizeof shard->name, "tensors-rank%05" PRId32 "-%05" PRId64 ".safetensors", rank, number);
    snprintf(step_text, sizeof step_text, "%" PRId64, step);
    snprintf(shard_text, sizeof shard_text, "%" PRId64 " of %" PRId64, number, shards);
    return safetensors_make_header(forms + shard->first, shard->count, metadata, 3, &shard->header,
                                   &shard->header_bytes, error);
}

int shards_plan(const struct safetensors_form *forms, int64_t count, int64_t limit, const char *run_id, int64_t step,
                int32_t rank, struct shards *shards, struct error *error)
{
    int result;

    *shards = (struct shards){0};
    result = cut(forms, count, limit, shards, error);
    for (int64_t i = 0; i < shards->count && result == STATUS_OK; i++) {
        result = make_header(forms, run_id, step, rank, i + 1, shards->count, &shards->shards[i], error);
        shards->total_bytes += shards->shards[i].header_bytes;
    }
    if (result != STATUS_OK)
        shards_finish(shards);
    return result;
}

void shards_finish(struct shards *shards)
{
    for (int64_t i = 0; i < shards->count; i++)
        free(shards->shards[i].header);
    free(shards->shards);
    *shards = (struct shards){0};
}
