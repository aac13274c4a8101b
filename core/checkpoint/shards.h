/* Which tensor goes to which shard file, and the headers of these files: known before the first byte is written. */
#ifndef LLMRUN_CHECKPOINT_SHARDS_H
#define LLMRUN_CHECKPOINT_SHARDS_H

#include <stdint.h>

#include "base/status.h"
#include "checkpoint/safetensors.h"

#define SHARDS_DEFAULT_BYTES ((int64_t)2 << 30)

struct shard {
    char name[64];        /* "tensors-00001.safetensors", of rank 3 of several "tensors-rank00003-00001.safetensors" */
    int64_t first, count; /* of the forms */
    char *header;
    int64_t header_bytes;
    int64_t data_bytes;
};

struct shards {
    int64_t count, capacity;
    struct shard *shards;
    int64_t total_bytes; /* of all files */
};

/* Cuts the forms, in their order, into shards. A shard ends before a tensor that would take its data over `limit` bytes
 * (a tensor alone may), and before one whose elements would not stand on a multiple of their size: readers that map the
 * file need that. Each header names run, step and shard. `rank` is -1 where one rank writes all. STATUS_BUG for forms
 * that cannot be stored. */
int shards_plan(const struct safetensors_form *forms, int64_t count, int64_t limit, const char *run_id, int64_t step,
                int32_t rank, struct shards *shards, struct error *error);
void shards_finish(struct shards *shards);

#endif
