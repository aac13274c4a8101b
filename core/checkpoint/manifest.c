#include "checkpoint/manifest.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "checkpoint/blocks.h"

void manifest_finish(struct manifest *manifest)
{
    for (int64_t i = 0; i < manifest->file_count; i++)
        free(manifest->files[i].name);
    for (int64_t i = 0; i < manifest->tensor_count; i++) {
        for (int64_t j = 0; j < manifest->tensors[i].part_count; j++)
            free(manifest->tensors[i].parts[j].blocks);
        free(manifest->tensors[i].parts);
        free(manifest->tensors[i].name);
    }
    free(manifest->files);
    free(manifest->tensors);
    checkpoint_state_finish(&manifest->state);
    *manifest = (struct manifest){0};
}

bool manifest_plain_name(const char *name, int64_t limit)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t length = strlen(name);

    return length > 0 && (int64_t)length <= limit && name[0] != '.' && strspn(name, allowed) == length;
}

int manifest_add_file(struct manifest *manifest, const struct manifest_file *file, struct error *error)
{
    struct manifest_file *files =
        array_reserve(manifest->files, manifest->file_count, 1, &manifest->file_capacity, sizeof *files);
    char *name = strdup(file->name);

    if (files != NULL)
        manifest->files = files;
    if (files == NULL || name == NULL) {
        free(name);
        return error_set(error, STATUS_MEMORY, "no memory for the checkpoint's list of files");
    }
    files[manifest->file_count] = *file;
    files[manifest->file_count++].name = name;
    return STATUS_OK;
}

int manifest_add_tensor(struct manifest *manifest, const struct manifest_tensor *tensor, struct error *error)
{
    struct manifest_tensor *tensors =
        array_reserve(manifest->tensors, manifest->tensor_count, 1, &manifest->tensor_capacity, sizeof *tensors);
    char *name = strdup(tensor->name);

    if (tensors != NULL)
        manifest->tensors = tensors;
    if (tensors == NULL || name == NULL) {
        free(name);
        return error_set(error, STATUS_MEMORY, "no memory for the checkpoint's list of tensors");
    }
    tensors[manifest->tensor_count++] = (struct manifest_tensor){.name = name,
                                                                 .dtype = tensor->dtype,
                                                                 .shape = tensor->shape,
                                                                 .bytes = tensor->bytes,
                                                                 .content = tensor->content};
    return STATUS_OK;
}

int manifest_add_part(struct manifest_tensor *tensor, const struct manifest_part *part, struct error *error)
{
    const size_t count = part->file >= 0 ? (size_t)blocks_count(part->bytes, part->block_bytes) : 0;
    struct manifest_part *parts =
        array_reserve(tensor->parts, tensor->part_count, 1, &tensor->part_capacity, sizeof *parts);
    uint64_t *blocks = malloc((count + 1) * sizeof *blocks);

    if (parts != NULL)
        tensor->parts = parts;
    if (parts == NULL || blocks == NULL) {
        free(blocks);
        return error_set(error, STATUS_MEMORY, "no memory for the checkpoint's list of parts");
    }
    if (count > 0)
        memcpy(blocks, part->blocks, count * sizeof *blocks);
    parts[tensor->part_count] = *part;
    parts[tensor->part_count++].blocks = blocks;
    return STATUS_OK;
}

int64_t manifest_branch(const struct manifest *manifest)
{
    int64_t branch = 0;

    (void)checkpoint_state_integer(&manifest->state, MANIFEST_BRANCH_KEY, &branch);
    return branch;
}

const struct manifest_file *manifest_find_file(const struct manifest *manifest, const char *name)
{
    for (int64_t i = 0; i < manifest->file_count; i++)
        if (strcmp(manifest->files[i].name, name) == 0)
            return &manifest->files[i];
    return NULL;
}
