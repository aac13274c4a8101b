#include "layouts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tensor/dtype.h"

static int no_sync(const struct file_system *fs, int handle)
{
    (void)fs;
    (void)handle;
    return 0;
}

static int no_sync_folder(const struct file_system *fs, const char *path)
{
    (void)fs;
    (void)path;
    return 0;
}

void layout_init(struct layout *layout, int32_t ranks, const struct safetensors_form *forms, int64_t count)
{
    memset(layout, 0, sizeof *layout);
    layout->ranks = ranks;
    layout->forms = forms;
    layout->count = count;
    for (int32_t r = 0; r < ranks; r++) {
        layout->fs[r] = file_system_real;
        layout->fs[r].sync = no_sync;
        layout->fs[r].sync_folder = no_sync_folder;
        for (int64_t t = 0; t < count; t++)
            layout->slices[r][t] = (struct checkpoint_slice){box_whole(&forms[t].shape), r == 0};
    }
}

void layout_finish(struct layout *layout)
{
    for (int32_t r = 0; r < layout->ranks; r++)
        for (int64_t t = 0; t < layout->count; t++)
            free(layout->data[r][t]);
}

void layout_cut(struct layout *layout, int64_t tensor, int dimension, int32_t first, int32_t step, int32_t parts)
{
    const struct box whole = layout->slices[first][tensor].box;
    const int64_t extent = whole.extent[dimension], each = (extent + parts - 1) / parts;

    for (int32_t i = 0; i < parts; i++) {
        struct checkpoint_slice *slice = &layout->slices[first + i * step][tensor];
        const int64_t begin = i * each < extent ? i * each : extent;

        slice->box = whole;
        slice->box.first[dimension] += begin;
        slice->box.extent[dimension] = extent - begin < each ? extent - begin : each;
        slice->stored = true;
    }
}

static uint64_t element(uint64_t seed, int64_t tensor, int64_t index)
{
    uint64_t z = (seed * 31 + (uint64_t)tensor) * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)index;

    z = (z ^ z >> 31) * UINT64_C(0xd6e8feb86659fd93);
    return z ^ z >> 32;
}

static int64_t box_bytes(const struct layout *layout, int32_t rank, int64_t tensor)
{
    return box_elements(&layout->slices[rank][tensor].box, layout->forms[tensor].shape.rank) *
           dtype_bytes(layout->forms[tensor].dtype);
}

/* The logical index of each element, counted up like the digits of a number. */
static void make_box(const struct layout *layout, int32_t rank, int64_t tensor, uint64_t seed, char *data)
{
    const struct shape *shape = &layout->forms[tensor].shape;
    const struct box *box = &layout->slices[rank][tensor].box;
    const int64_t elements = box_elements(box, shape->rank);
    const size_t bytes = (size_t)dtype_bytes(layout->forms[tensor].dtype);

    for (int64_t i = 0; i < elements; i++) {
        int64_t rest = i, index = 0, stride = 1;
        uint64_t value;

        for (int d = shape->rank - 1; d >= 0; d--) {
            index += (box->first[d] + rest % box->extent[d]) * stride;
            rest /= box->extent[d];
            stride *= shape->extent[d];
        }
        value = element(seed, tensor, index);
        memcpy(data + (size_t)i * bytes, &value, bytes);
    }
}

void layout_fill(struct layout *layout, uint64_t seed)
{
    for (int32_t r = 0; r < layout->ranks; r++)
        for (int64_t t = 0; t < layout->count; t++) {
            free(layout->data[r][t]);
            layout->data[r][t] = malloc((size_t)box_bytes(layout, r, t) + 1);
            make_box(layout, r, t, seed, layout->data[r][t]);
        }
}

static int save_one(struct rank_thread *rank, struct error *error)
{
    return checkpoint_save(rank->task, NULL, error);
}

void layout_save(struct layout *layout, struct rank_threads *group, const char *ckpt, int64_t step)
{
    for (int32_t r = 0; r < layout->ranks; r++) {
        for (int64_t t = 0; t < layout->count; t++)
            layout->borrowed[r][t] = layout->data[r][t];
        layout->snapshots[r] = (struct checkpoint_snapshot){
            .target = {.fs = &layout->fs[r], .folder = ckpt, .step = step, .run_id = "run-1"},
            .forms = layout->forms,
            .data = layout->borrowed[r],
            .count = layout->count,
            .keep = 2,
            .ranks = layout->ranks > 1 ? &group->threads[r].ranks : NULL,
            .slices = layout->ranks > 1 ? layout->slices[r] : NULL,
        };
        group->threads[r].task = &layout->snapshots[r];
    }
    rank_threads_run(group, save_one);
}

void layout_load(struct layout *layout, const char *folder, int64_t *bytes)
{
    if (bytes != NULL)
        *bytes = 0;
    for (int32_t r = 0; r < layout->ranks; r++) {
        struct checkpoint checkpoint;
        struct error error = {0};

        if (checkpoint_open(&file_system_real, folder, &checkpoint, &error) != STATUS_OK)
            fail_msg("%s", error.message);
        for (int64_t t = 0; t < layout->count; t++) {
            const struct manifest_tensor *tensor = checkpoint_tensor_find(&checkpoint, layout->forms[t].name);

            assert_non_null(tensor);
            free(layout->data[r][t]);
            layout->data[r][t] = malloc((size_t)box_bytes(layout, r, t) + 1);
            if (checkpoint_read_box(&checkpoint, tensor, &layout->slices[r][t].box, layout->data[r][t], &error) !=
                STATUS_OK)
                fail_msg("%s", error.message);
        }
        if (bytes != NULL)
            *bytes += checkpoint.bytes_read;
        checkpoint_close(&checkpoint);
    }
}

void layout_expect(const struct layout *layout, uint64_t seed)
{
    for (int32_t r = 0; r < layout->ranks; r++)
        for (int64_t t = 0; t < layout->count; t++) {
            const size_t bytes = (size_t)box_bytes(layout, r, t);
            char *wanted = malloc(bytes + 1);

            make_box(layout, r, t, seed, wanted);
            if (memcmp(wanted, layout->data[r][t], bytes) != 0)
                fail_msg("rank %d: %s is not what was saved", r, layout->forms[t].name);
            free(wanted);
        }
}
