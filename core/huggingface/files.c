#include "huggingface/files.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"
#include "huggingface/directory.h"

static int64_t tensor_bytes(const struct hf_stored *tensor)
{
    return shape_elements(&tensor->shape) * dtype_bytes(tensor->dtype);
}

static int cut(const struct hf_stored_list *list, int64_t limit, struct hf_files *files, struct error *error)
{
    for (int64_t i = 0; i < list->count; i++) {
        struct hf_file *last = files->count > 0 ? &files->files[files->count - 1] : NULL;
        int64_t bytes = tensor_bytes(&list->tensors[i]);

        if (last == NULL || (last->data_bytes > 0 && bytes > limit - last->data_bytes)) {
            struct hf_file *grown = array_reserve(files->files, files->count, 1, &files->capacity, sizeof *grown);

            if (grown == NULL)
                return error_set(error, STATUS_MEMORY, "no memory for a list of files");
            files->files = grown;
            last = &grown[files->count++];
            *last = (struct hf_file){.first = i};
        }
        last->count++;
        last->data_bytes += bytes;
        files->total_bytes += bytes;
    }
    return STATUS_OK;
}

static int make_header(const struct hf_stored_list *list, struct hf_file *file, struct error *error)
{
    /* Without it transformers refuses a file. */
    const struct safetensors_pair format = {"format", "pt"};
    struct safetensors_form *forms = malloc((size_t)(file->count + 1) * sizeof *forms);
    int status;

    if (forms == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the header of %s", file->name);
    for (int64_t i = 0; i < file->count; i++) {
        const struct hf_stored *tensor = &list->tensors[file->first + i];

        forms[i] = (struct safetensors_form){tensor->name, tensor->dtype, tensor->shape};
    }
    status = safetensors_make_header(forms, file->count, &format, 1, &file->header, &file->header_bytes, error);
    free(forms);
    return status;
}

static int make_index(const struct hf_stored_list *list, struct hf_files *files, struct error *error)
{
    json_t *map = json_object(), *root;
    bool good = map != NULL;

    for (int64_t f = 0; f < files->count; f++)
        for (int64_t i = 0; i < files->files[f].count && good; i++)
            good = json_object_set_new(map, list->tensors[files->files[f].first + i].name,
                                       json_string(files->files[f].name)) == 0;
    root = json_pack("{s:{s:I}, s:o}", "metadata", "total_size", (json_int_t)files->total_bytes, "weight_map", map);
    if (good && root != NULL)
        files->index = json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS);
    json_decref(root);
    return files->index != NULL ? STATUS_OK : error_set(error, STATUS_MEMORY, "no memory for %s", HF_INDEX_NAME);
}

int hf_files_plan(const struct hf_stored_list *list, int64_t limit, struct hf_files *files, struct error *error)
{
    int status;

    *files = (struct hf_files){.count = 0};
    status = cut(list, limit, files, error);
    for (int64_t i = 0; i < files->count && status == STATUS_OK; i++) {
        struct hf_file *file = &files->files[i];

        if (files->count == 1)
            snprintf(file->name, sizeof file->name, "%s", HF_MODEL_NAME);
        else
            snprintf(file->name, sizeof file->name, "model-%05" PRId64 "-of-%05" PRId64 ".safetensors", i + 1,
                     files->count);
        status = make_header(list, file, error);
    }
    if (status == STATUS_OK && files->count > 1)
        status = make_index(list, files, error);
    if (status != STATUS_OK)
        hf_files_finish(files);
    return status;
}

void hf_files_finish(struct hf_files *files)
{
    for (int64_t i = 0; i < files->count; i++)
        free(files->files[i].header);
    free(files->files);
    free(files->index);
    *files = (struct hf_files){.count = 0};
}
