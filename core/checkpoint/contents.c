#include "checkpoint/contents.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/text.h"
#include "checkpoint/content_hash.h"
#include "tensor/dtype.h"

static int content_of(struct checkpoint *checkpoint, const struct manifest_tensor *tensor, uint64_t *content,
                      struct error *error)
{
    const struct box whole = box_whole(&tensor->shape);
    void *memory;
    int result;

    *content = tensor->content;
    if (checkpoint->manifest.format > 1)
        return STATUS_OK;
    memory = malloc((size_t)tensor->bytes + 1);
    if (memory == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for tensor '%.200s' of %lld bytes", tensor->name,
                         (long long)tensor->bytes);
    result = checkpoint_read(checkpoint, tensor, memory, tensor->bytes, error);
    if (result == STATUS_OK)
        *content = content_of_box(tensor->dtype, &tensor->shape, &whole, memory);
    free(memory);
    return result;
}

int checkpoint_contents(struct checkpoint *checkpoint, uint64_t *tensors, uint64_t *all, struct error *error)
{
    const struct manifest *manifest = &checkpoint->manifest;
    struct text lines = {0};
    int result = STATUS_OK;

    for (int64_t i = 0; i < manifest->tensor_count && result == STATUS_OK; i++)
        result = content_of(checkpoint, &manifest->tensors[i], &tensors[i], error);
    for (int64_t i = 0; i < checkpoint->names.count && result == STATUS_OK; i++) {
        const int64_t position = checkpoint->names.entries[i].position;
        const struct manifest_tensor *tensor = &manifest->tensors[position];
        char shape[SHAPE_TEXT_BYTES], content[CONTENT_TEXT_BYTES];

        text_add(&lines, "%s %s%s %s\n", tensor->name, dtype_name(tensor->dtype), shape_print(&tensor->shape, shape),
                 content_print(tensors[position], content));
    }
    if (lines.failed)
        result =
            error_set(error, STATUS_MEMORY, "no memory for a list of %lld tensors", (long long)manifest->tensor_count);
    *all = hash_text(lines.data != NULL ? lines.data : "");
    text_finish(&lines);
    return result;
}
