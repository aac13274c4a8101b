#include "checkpoint/merge.h"

#include <stdlib.h>
#include <string.h>

#include "checkpoint/content_hash.h"
#include "checkpoint/name_index.h"
#include "tensor/dtype.h"

/* Tensors of the list that the whole does not have yet are added, without their parts. */
static int add_tensors(const struct manifest *list, struct manifest *whole, struct error *error)
{
    struct name_index names = {0};
    int result = name_index_make(whole->tensors, whole->tensor_count, sizeof *whole->tensors, &names, error);

    for (int64_t i = 0; i < list->tensor_count && result == STATUS_OK; i++)
        if (name_index_find(&names, list->tensors[i].name) < 0) {
            struct manifest_tensor tensor = list->tensors[i];

            tensor.content = 0;
            result = manifest_add_tensor(whole, &tensor, error);
        }
    name_index_finish(&names);
    return result;
}

static int check_form(const struct manifest_tensor *wanted, const struct manifest_tensor *tensor, int32_t rank,
                      struct error *error)
{
    char found[SHAPE_TEXT_BYTES], other[SHAPE_TEXT_BYTES];

    if (tensor->dtype == wanted->dtype && shape_equal(&tensor->shape, &wanted->shape))
        return STATUS_OK;
    return error_set(error, STATUS_BUG, "tensor '%.200s' is %s%s on rank %d and %s%s on the ranks before it",
                     tensor->name, dtype_name(tensor->dtype), shape_print(&tensor->shape, found), rank,
                     dtype_name(wanted->dtype), shape_print(&wanted->shape, other));
}

/* `rank` is what its files are counted from, too. */
static int add_parts(const struct manifest *list, int32_t rank, struct manifest *whole, struct error *error)
{
    const int64_t first_file = whole->file_count;
    struct name_index names = {0};
    int result = STATUS_OK;

    for (int64_t i = 0; i < list->file_count && result == STATUS_OK; i++)
        result = manifest_add_file(whole, &list->files[i], error);
    if (result == STATUS_OK)
        result = name_index_make(whole->tensors, whole->tensor_count, sizeof *whole->tensors, &names, error);
    for (int64_t i = 0; i < list->tensor_count && result == STATUS_OK; i++) {
        const struct manifest_tensor *tensor = &list->tensors[i];
        struct manifest_tensor *target = &whole->tensors[name_index_find(&names, tensor->name)];

        result = check_form(target, tensor, rank, error);
        for (int64_t j = 0; j < tensor->part_count && result == STATUS_OK; j++) {
            struct manifest_part part = tensor->parts[j];

            if (part.file < 0)
                continue;
            part.file += first_file;
            target->content += part.content;
            result = manifest_add_part(target, &part, error);
        }
    }
    name_index_finish(&names);
    return result;
}

/* Which rank wrote a file, by the numbers of files that ranks wrote. */
static int32_t writer_of(const struct manifest *lists, int32_t ranks, int64_t file)
{
    int32_t rank = 0;

    while (rank < ranks - 1 && file >= lists[rank].file_count)
        file -= lists[rank++].file_count;
    return rank;
}

static int compare_replica(const struct manifest *lists, int32_t ranks, const struct manifest *whole,
                           const struct manifest_tensor *tensor, const struct manifest_part *replica, int32_t rank,
                           struct error *error)
{
    char box[BOX_TEXT_BYTES], written[CONTENT_TEXT_BYTES], found[CONTENT_TEXT_BYTES];

    box_print(&replica->box, tensor->shape.rank, box);
    for (int64_t i = 0; i < tensor->part_count; i++) {
        const struct manifest_part *part = &tensor->parts[i];

        if (!box_equal(&part->box, &replica->box))
            continue;
        if (part->content == replica->content)
            return STATUS_OK;
        return error_set(error, STATUS_DIVERGED,
                         "tensor %.200s%s has other bits on rank %d (%s) than on rank %d (%s), where both must be the "
                         "same; no checkpoint of step %lld is saved, and the one before it is as it was",
                         tensor->name, box, rank, content_print(replica->content, found),
                         writer_of(lists, ranks, part->file), content_print(part->content, written),
                         (long long)whole->step);
    }
    return error_set(error, STATUS_BUG, "rank %d has the part %s of tensor '%.200s', which no rank writes", rank, box,
                     tensor->name);
}

static int compare_replicas(const struct manifest *lists, int32_t ranks, const struct manifest *whole,
                            struct error *error)
{
    struct name_index names;
    int result = name_index_make(whole->tensors, whole->tensor_count, sizeof *whole->tensors, &names, error);

    for (int32_t rank = 0; rank < ranks && result == STATUS_OK; rank++)
        for (int64_t i = 0; i < lists[rank].tensor_count && result == STATUS_OK; i++) {
            const struct manifest_tensor *tensor = &lists[rank].tensors[i];
            const struct manifest_tensor *target = &whole->tensors[name_index_find(&names, tensor->name)];

            for (int64_t j = 0; j < tensor->part_count && result == STATUS_OK; j++)
                if (tensor->parts[j].file < 0)
                    result = compare_replica(lists, ranks, whole, target, &tensor->parts[j], rank, error);
        }
    name_index_finish(&names);
    return result;
}

int merge_lists(const struct manifest *lists, int32_t ranks, struct manifest *whole, struct error *error)
{
    int result = STATUS_OK;

    whole->step = lists[0].step;
    memcpy(whole->run_id, lists[0].run_id, sizeof whole->run_id);
    for (int32_t rank = 0; rank < ranks && result == STATUS_OK; rank++)
        if ((result = add_tensors(&lists[rank], whole, error)) == STATUS_OK)
            result = add_parts(&lists[rank], rank, whole, error);
    /* First what the run did wrong; two that write one element are our own mistake. */
    if (result == STATUS_OK)
        result = compare_replicas(lists, ranks, whole, error);
    for (int64_t i = 0; i < whole->tensor_count && result == STATUS_OK; i++) {
        result = manifest_check_parts(whole, &whole->tensors[i], "what the ranks wrote", error);
        if (result == STATUS_INPUT)
            result = error->status = STATUS_BUG;
    }
    return result;
}
