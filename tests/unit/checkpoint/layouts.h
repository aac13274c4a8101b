/* Tensors that are cut among ranks in some layout, saved by threads and read again. */
#ifndef LLMRUN_TESTS_CHECKPOINT_LAYOUTS_H
#define LLMRUN_TESTS_CHECKPOINT_LAYOUTS_H

#include "checkpoint/checkpoint.h"
#include "rank_threads.h"

#define LAYOUT_TENSORS 8

/* What all ranks have of some tensors. Made by layout_init, which cuts nothing: rank 0 writes the whole of each, and
 * the others have replicas. */
struct layout {
    int32_t ranks;
    const struct safetensors_form *forms;
    int64_t count;
    struct checkpoint_slice slices[RANKS_MOST][LAYOUT_TENSORS];
    void *data[RANKS_MOST][LAYOUT_TENSORS]; /* of the boxes; made by layout_fill */
    const void *borrowed[RANKS_MOST][LAYOUT_TENSORS];
    struct checkpoint_snapshot snapshots[RANKS_MOST];
    struct file_system fs[RANKS_MOST]; /* file_system_real, without syncs */
};

void layout_init(struct layout *layout, int32_t ranks, const struct safetensors_form *forms, int64_t count);
void layout_finish(struct layout *layout);

/* Cuts a dimension of a tensor in parts of ceil(extent / parts), the last ones shorter or empty: ranks `first`,
 * first + step, ... have part 0, 1, ... of what rank `first` had, and write it. */
void layout_cut(struct layout *layout, int64_t tensor, int dimension, int32_t first, int32_t step, int32_t parts);

/* Element i of tensor t is a number that depends on t, i and `seed` alone. */
void layout_fill(struct layout *layout, uint64_t seed);

/* All ranks save to ckpt as step `step`; group->threads[i].status are the results. */
void layout_save(struct layout *layout, struct rank_threads *group, const char *ckpt, int64_t step);

/* Each rank reads its boxes, as ranks that resume do; asserts success. *bytes (may be NULL) is what was read. */
void layout_load(struct layout *layout, const char *folder, int64_t *bytes);

/* Asserts that what all ranks have is what layout_fill would make. */
void layout_expect(const struct layout *layout, uint64_t seed);

#endif
