/* The parts of tensors in a manifest of format 2. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/strict_json.h"
#include "checkpoint/blocks.h"
#include "checkpoint/content_hash.h"
#include "checkpoint/manifest.h"
#include "checkpoint/name_index.h"
#include "checkpoint/shape_json.h"
#include "tensor/dtype.h"

/* Parts of a tensor that can be compared with each other in reasonable time. */
#define MOST_PARTS 65536

bool manifest_part_is_in_file(const struct manifest *manifest, const struct manifest_part *part)
{
    const struct manifest_file *file = &manifest->files[part->file];
    int64_t end;

    return file->header_bytes > 0 && part->offset >= file->header_bytes &&
           checked_add(part->offset, part->bytes, &end) && end <= file->bytes;
}

static int read_content(const json_t *object, const char *source, const char *tensor, uint64_t *content,
                        struct error *error)
{
    const char *text;
    int result = strict_json_text(object, "content", source, &text, error);

    if (result == STATUS_OK && !content_parse(text, content))
        return error_set(error, STATUS_INPUT, "%s: 'content' of tensor '%.200s' is no content hash", source, tensor);
    return result;
}

static int read_indices(const json_t *object, const char *key, const char *source, const struct manifest_tensor *tensor,
                        int64_t *numbers, struct error *error)
{
    struct shape read;
    json_t *array;
    int result = strict_json_array(object, key, source, &array, error);

    if (result != STATUS_OK)
        return result;
    if (shape_from_json(array, &read, error) != STATUS_OK || read.rank != tensor->shape.rank)
        return error_set(error, STATUS_INPUT, "%s: '%s' of a part of tensor '%.200s' is not %d whole numbers", source,
                         key, tensor->name, tensor->shape.rank);
    memcpy(numbers, read.extent, sizeof read.extent);
    return STATUS_OK;
}

static int read_box(const json_t *object, const char *source, const struct manifest_tensor *tensor,
                    struct manifest_part *part, struct error *error)
{
    char text[BOX_TEXT_BYTES], shape[SHAPE_TEXT_BYTES];
    int result;

    if ((result = read_indices(object, "first", source, tensor, part->box.first, error)) != STATUS_OK ||
        (result = read_indices(object, "extent", source, tensor, part->box.extent, error)) != STATUS_OK ||
        (result = strict_json_integer(object, "bytes", source, 0, &part->bytes, error)) != STATUS_OK ||
        (result = read_content(object, source, tensor->name, &part->content, error)) != STATUS_OK)
        return result;
    if (!box_is_within(&part->box, &tensor->shape))
        return error_set(error, STATUS_INPUT, "%s: tensor '%.200s' is %s and has a part outside of it", source,
                         tensor->name, shape_print(&tensor->shape, shape));
    if (part->bytes != box_elements(&part->box, tensor->shape.rank) * dtype_bytes(tensor->dtype))
        return error_set(error, STATUS_INPUT,
                         "%s: part %s of tensor '%.200s' has %lld bytes, which dtype and extent do not give", source,
                         box_print(&part->box, tensor->shape.rank, text), tensor->name, (long long)part->bytes);
    return STATUS_OK;
}

/* *checksums is freed by the caller. */
static int read_blocks(const json_t *object, const char *source, const struct manifest_tensor *tensor,
                       const struct manifest_part *part, uint64_t **checksums, struct error *error)
{
    const int64_t count = blocks_count(part->bytes, part->block_bytes);
    const char *text;
    int64_t length;
    int result = strict_json_text(object, "blocks", source, &text, error);

    if (result != STATUS_OK)
        return result;
    length = (int64_t)strlen(text);
    if ((part->bytes > 0 && part->block_bytes == 0) || part->block_bytes % dtype_bytes(tensor->dtype) != 0 ||
        length % 16 != 0 || length / 16 != count)
        return error_set(error, STATUS_INPUT,
                         "%s: a part of tensor '%.200s' has %lld bytes in blocks of %lld, and %lld digits of checksums",
                         source, tensor->name, (long long)part->bytes, (long long)part->block_bytes, (long long)length);
    *checksums = malloc((size_t)(count + 1) * sizeof **checksums);
    if (*checksums == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the checkpoint's list of parts");
    for (int64_t i = 0; i < count; i++)
        if (!checksum_parse_digits(text + 16 * i, &(*checksums)[i]))
            return error_set(error, STATUS_INPUT, "%s: 'blocks' of a part of tensor '%.200s' are no checksums", source,
                             tensor->name);
    return STATUS_OK;
}

static int read_place(const json_t *object, const char *source, const struct name_index *files,
                      const struct manifest *manifest, const struct manifest_tensor *tensor, struct manifest_part *part,
                      struct error *error)
{
    const char *file;
    int result;

    if ((result = strict_json_text(object, "file", source, &file, error)) != STATUS_OK ||
        (result = strict_json_integer(object, "offset", source, 0, &part->offset, error)) != STATUS_OK ||
        (result = strict_json_integer(object, "block_bytes", source, 0, &part->block_bytes, error)) != STATUS_OK)
        return result;
    part->file = name_index_find(files, file);
    if (part->file < 0)
        return error_set(error, STATUS_INPUT, "%s: tensor '%.200s' is in the file '%.140s', which is not listed",
                         source, tensor->name, file);
    if (!manifest_part_is_in_file(manifest, part))
        return error_set(error, STATUS_INPUT, "%s: tensor '%.200s' is not within the data of file %s", source,
                         tensor->name, manifest->files[part->file].name);
    return read_blocks(object, source, tensor, part, &part->blocks, error);
}

static int read_part(const json_t *object, const char *source, const struct name_index *files,
                     const struct manifest *manifest, struct manifest_tensor *tensor, struct error *error)
{
    struct manifest_part part = {.file = -1};
    int result = read_box(object, source, tensor, &part, error);

    if (result == STATUS_OK && (!manifest->is_list || json_object_get(object, "file") != NULL))
        result = read_place(object, source, files, manifest, tensor, &part, error);
    if (result == STATUS_OK)
        result = manifest_add_part(tensor, &part, error);
    free(part.blocks);
    return result;
}

int manifest_read_parts(const json_t *object, const char *source, const struct name_index *files,
                        const struct manifest *manifest, struct manifest_tensor *tensor, struct error *error)
{
    uint64_t sum = 0;
    json_t *parts, *element;
    size_t i;
    int result;

    if ((result = read_content(object, source, tensor->name, &tensor->content, error)) != STATUS_OK ||
        (result = strict_json_array(object, "parts", source, &parts, error)) != STATUS_OK)
        return result;
    if (json_array_size(parts) > MOST_PARTS)
        return error_set(error, STATUS_INPUT, "%s: tensor '%.200s' has %zu parts; at most %d can be read", source,
                         tensor->name, json_array_size(parts), MOST_PARTS);
    json_array_foreach(parts, i, element) if ((result = read_part(element, source, files, manifest, tensor, error)) !=
                                              STATUS_OK) return result;
    for (int64_t j = 0; j < tensor->part_count; j++)
        sum += tensor->parts[j].file >= 0 ? tensor->parts[j].content : 0;
    if (sum != tensor->content)
        return error_set(error, STATUS_INPUT, "%s: the content hashes of the parts of tensor '%.200s' give another one",
                         source, tensor->name);
    return manifest->is_list ? STATUS_OK : manifest_check_parts(manifest, tensor, source, error);
}

static int compare_first(const void *a, const void *b)
{
    const struct manifest_part *const *left = a, *const *right = b;
    const int64_t x = (*left)->box.first[0], y = (*right)->box.first[0];

    return (x > y) - (x < y);
}

static int overlap(const struct manifest *manifest, const struct manifest_tensor *tensor, const struct manifest_part *a,
                   const struct manifest_part *b, const char *source, struct error *error)
{
    char one[BOX_TEXT_BYTES], other[BOX_TEXT_BYTES];

    return error_set(error, STATUS_INPUT, "%s: tensor '%.200s' has parts that overlap: %s in %s and %s in %s", source,
                     tensor->name, box_print(&a->box, tensor->shape.rank, one), manifest->files[a->file].name,
                     box_print(&b->box, tensor->shape.rank, other), manifest->files[b->file].name);
}

/* In the order of their first rows only those have to be compared that share one. */
static int check_disjoint(const struct manifest *manifest, const struct manifest_tensor *tensor,
                          const struct manifest_part **sorted, const char *source, struct error *error)
{
    struct box common;

    for (int64_t i = 0; i < tensor->part_count; i++)
        sorted[i] = &tensor->parts[i];
    qsort(sorted, (size_t)tensor->part_count, sizeof *sorted, compare_first);
    for (int64_t i = 0; i < tensor->part_count; i++) {
        const int64_t end = sorted[i]->box.first[0] + sorted[i]->box.extent[0];

        for (int64_t j = i + 1; j < tensor->part_count && (tensor->shape.rank == 0 || sorted[j]->box.first[0] < end);
             j++)
            if (box_intersect(&sorted[i]->box, &sorted[j]->box, tensor->shape.rank, &common))
                return overlap(manifest, tensor, sorted[i], sorted[j], source, error);
    }
    return STATUS_OK;
}

int manifest_check_parts(const struct manifest *manifest, const struct manifest_tensor *tensor, const char *source,
                         struct error *error)
{
    const struct manifest_part **sorted;
    int64_t bytes = 0;
    int result;

    for (int64_t i = 0; i < tensor->part_count; i++)
        if (tensor->parts[i].bytes == 0 && tensor->bytes > 0)
            return error_set(error, STATUS_INPUT, "%s: tensor '%.200s' has a part of 0 bytes", source, tensor->name);
    sorted = malloc((size_t)(tensor->part_count + 1) * sizeof *sorted);
    if (sorted == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the checkpoint's list of parts");
    result = check_disjoint(manifest, tensor, sorted, source, error);
    free((void *)sorted);
    /* Disjoint ones cannot be more than the whole. */
    for (int64_t i = 0; i < tensor->part_count; i++)
        bytes += tensor->parts[i].bytes;
    if (result == STATUS_OK && bytes != tensor->bytes)
        return error_set(error, STATUS_INPUT, "%s: the parts of tensor '%.200s' have %lld bytes of its %lld", source,
                         tensor->name, (long long)bytes, (long long)tensor->bytes);
    return result;
}
