#include "huggingface/weights.h"

#include <stdlib.h>
#include <string.h>

#include "tensor/convert.h"

#define BLOCK_ELEMENTS ((int64_t)1 << 18) /* read and converted at once */

/* By the name as transformers saves it, else without the prefix. */
static const struct safetensors_tensor *find_stored(const struct hf_directory *directory,
                                                    const struct model_family *family, const char *parameter,
                                                    struct hf_place *place, const struct safetensors **file)
{
    const char *prefix = family->prefix;
    const struct safetensors_tensor *tensor;

    hf_place_of(family, parameter, place);
    tensor = hf_directory_find(directory, place->name, file);
    if (tensor == NULL && strncmp(place->name, prefix, strlen(prefix)) == 0)
        tensor = hf_directory_find(directory, place->name + strlen(prefix), file);
    return tensor;
}

/* Of a tied matrix some writers keep the head and leave the embedding out. */
static const struct safetensors_tensor *find(const struct hf_directory *directory, const struct model_config *config,
                                             const char *parameter, struct hf_place *place,
                                             const struct safetensors **file)
{
    const struct safetensors_tensor *tensor = find_stored(directory, config->family, parameter, place, file);

    if (tensor == NULL && config->tie_word_embeddings && strcmp(parameter, config->family->embedding) == 0)
        tensor = hf_directory_find(directory, MODEL_HEAD_NAME, file);
    return tensor;
}

static int64_t tensor_count(const struct hf_directory *directory)
{
    int64_t count = 0;

    for (int64_t i = 0; i < directory->count; i++)
        count += directory->files[i].count;
    return count;
}

int hf_weights_check_layers(const struct hf_directory *directory, const struct model_config *config,
                            struct error *error)
{
    if (config->n_layer > tensor_count(directory))
        return error_set(error, STATUS_INPUT, "%s: %s says %lld layers, the files hold %lld tensors", directory->path,
                         HF_CONFIG_NAME, (long long)config->n_layer, (long long)tensor_count(directory));
    return STATUS_OK;
}

static bool is_read(const struct safetensors_tensor *tensor)
{
    return tensor->dtype == LLMRUN_F32 || tensor->dtype == LLMRUN_F16 || tensor->dtype == LLMRUN_BF16;
}

static int check_one(const struct hf_directory *directory, const struct model_config *config,
                     const struct safetensors_form *form, const struct safetensors_tensor **found, struct error *error)
{
    char has[SHAPE_TEXT_BYTES], wants[SHAPE_TEXT_BYTES];
    const struct safetensors *file;
    struct hf_place place;
    struct shape wanted;

    *found = find(directory, config, form->name, &place, &file);
    if (*found == NULL)
        return error_set(error, STATUS_INPUT, "%s has no tensor %s, which %s asks for", directory->path, place.name,
                         HF_CONFIG_NAME);
    if (!is_read(*found))
        return error_set(error, STATUS_INPUT, "%s: tensor '%.200s' is %.40s; F32, F16 and BF16 can be read", file->path,
                         (*found)->name, (*found)->stored_dtype);
    wanted = hf_stored_shape(config, form->name, &form->shape, &place);
    if (!shape_equal(&(*found)->shape, &wanted))
        return error_set(error, STATUS_INPUT, "%s: tensor '%.200s' is %s, %s asks for %s", file->path, (*found)->name,
                         shape_print(&(*found)->shape, has), HF_CONFIG_NAME, shape_print(&wanted, wants));
    return STATUS_OK;
}

static int compare_pointers(const void *a, const void *b)
{
    const struct safetensors_tensor *const *x = a, *const *y = b;

    return (*x > *y) - (*x < *y);
}

/* `used` is sorted here. */
static int check_surplus(const struct hf_directory *directory, const struct model_config *config,
                         const struct safetensors_tensor **used, int64_t count, struct error *error)
{
    qsort(used, (size_t)count, sizeof *used, compare_pointers);
    for (int64_t f = 0; f < directory->count; f++)
        for (int64_t i = 0; i < directory->files[f].count; i++) {
            const struct safetensors_tensor *tensor = &directory->files[f].tensors[i];

            if (bsearch(&tensor, used, (size_t)count, sizeof *used, compare_pointers) == NULL &&
                !hf_tensor_ignored(config, tensor->name))
                return error_set(error, STATUS_INPUT, "%s: tensor '%.200s' is not of the model in %s",
                                 directory->files[f].path, tensor->name, HF_CONFIG_NAME);
        }
    return STATUS_OK;
}

int hf_weights_check(const struct hf_directory *directory, const struct model_config *config,
                     const struct safetensors_form *forms, int64_t count, struct error *error)
{
    const struct safetensors_tensor **used = malloc((size_t)(count + 1) * sizeof *used);
    int status = STATUS_OK;

    if (used == NULL)
        return error_set(error, STATUS_MEMORY, "no memory to check %lld tensors", (long long)count);
    for (int64_t i = 0; i < count && status == STATUS_OK; i++)
        status = check_one(directory, config, &forms[i], &used[i], error);
    if (status == STATUS_OK)
        status = check_surplus(directory, config, used, count, error);
    free(used);
    return status;
}

uint32_t hf_weights_dtype(const struct hf_directory *directory, const struct model_config *config,
                          const char *parameter)
{
    const struct safetensors *file;
    struct hf_place place;
    const struct safetensors_tensor *tensor = find(directory, config, parameter, &place, &file);

    return tensor != NULL ? tensor->dtype : LLMRUN_NONE;
}

/* `count` elements from element `first` on; `raw` holds BLOCK_ELEMENTS elements of 16 bits. */
static int read_elements(const struct safetensors *file, const struct safetensors_tensor *tensor, int64_t first,
                         int64_t count, float *out, void *raw, struct error *error)
{
    const int64_t bytes = dtype_bytes(tensor->dtype);
    int status = STATUS_OK;

    if (tensor->dtype == LLMRUN_F32)
        return safetensors_read(file, tensor, first * bytes, out, count * bytes, error);
    for (int64_t done = 0; done < count && status == STATUS_OK; done += BLOCK_ELEMENTS) {
        int64_t some = count - done < BLOCK_ELEMENTS ? count - done : BLOCK_ELEMENTS;

        status = safetensors_read(file, tensor, (first + done) * bytes, raw, some * bytes, error);
        if (status == STATUS_OK)
            convert_to_f32(tensor->dtype, raw, out + done, some);
    }
    return status;
}

/* Of a tensor [in, total], columns `first` to first + out into rows of `out` numbers each at out + c x in. Some rows
 * are read at a time, so that what is written by columns stays in the cache. */
static int read_transposed(const struct safetensors *file, const struct safetensors_tensor *tensor, int64_t first,
                           int64_t out, float *memory, void *raw, struct error *error)
{
    const int64_t in = tensor->shape.extent[0], total = tensor->shape.extent[1];
    const int64_t rows = out >= BLOCK_ELEMENTS ? 1 : BLOCK_ELEMENTS / (out > 0 ? out : 1);
    float *block = malloc((size_t)(rows * out + 1) * sizeof *block);
    int status = STATUS_OK;

    if (block == NULL)
        return error_set(error, STATUS_MEMORY, "no memory to read tensor '%.200s'", tensor->name);
    for (int64_t row = 0; row < in && status == STATUS_OK; row += rows) {
        int64_t some = in - row < rows ? in - row : rows;

        if (out == total)
            status = read_elements(file, tensor, row * total, some * total, block, raw, error);
        else
            for (int64_t r = 0; r < some && status == STATUS_OK; r++)
                status = read_elements(file, tensor, (row + r) * total + first, out, block + r * out, raw, error);
        for (int64_t c = 0; c < out && status == STATUS_OK; c++)
            for (int64_t r = 0; r < some; r++)
                memory[c * in + row + r] = block[r * out + c];
    }
    free(block);
    return status;
}

int hf_weights_read(const struct hf_directory *directory, const struct model_config *config,
                    const struct safetensors_form *form, float *memory, struct error *error)
{
    const int64_t elements = shape_elements(&form->shape);
    const struct safetensors *file;
    struct hf_place place;
    const struct safetensors_tensor *tensor = find(directory, config, form->name, &place, &file);
    void *raw = malloc(BLOCK_ELEMENTS * 2);
    int64_t stored;
    int status;

    if (raw == NULL || tensor == NULL) {
        free(raw);
        return tensor == NULL ? error_set(error, STATUS_BUG, "%s was not checked", directory->path)
                              : error_set(error, STATUS_MEMORY, "no memory to read tensor %s", form->name);
    }
    stored = shape_elements(&tensor->shape) / place.parts;
    if (place.transposed)
        status = read_transposed(file, tensor, place.part * form->shape.extent[0], form->shape.extent[0], memory, raw,
                                 error);
    else
        status = read_elements(file, tensor, place.part * stored, stored, memory, raw, error);
    if (status == STATUS_OK)
        memset(memory + stored, 0, (size_t)(elements - stored) * sizeof *memory);
    free(raw);
    return status;
}

/* Numbers from element `first` on; both blocks have `count`. A NaN is equal to nothing, itself included. */
static int compare_block(const struct safetensors *const files[2], const struct safetensors_tensor *const tensors[2],
                         int64_t first, int64_t count, float *blocks[2], void *raw, bool *differ, struct error *error)
{
    for (int i = 0; i < 2; i++) {
        int status = read_elements(files[i], tensors[i], first, count, blocks[i], raw, error);

        if (status != STATUS_OK)
            return status;
    }
    for (int64_t i = 0; i < count && !*differ; i++)
        *differ = !(blocks[0][i] == blocks[1][i]);
    return STATUS_OK;
}

static int compare_values(const struct safetensors *const files[2], const struct safetensors_tensor *const tensors[2],
                          bool *differ, struct error *error)
{
    const int64_t elements = shape_elements(&tensors[0]->shape);
    float *memory = malloc(BLOCK_ELEMENTS * 2 * sizeof *memory);
    void *raw = malloc(BLOCK_ELEMENTS * 2);
    float *blocks[2] = {memory, memory + (memory != NULL ? BLOCK_ELEMENTS : 0)};
    int status = memory != NULL && raw != NULL
                     ? STATUS_OK
                     : error_set(error, STATUS_MEMORY, "no memory to read %s of %s", MODEL_HEAD_NAME, files[0]->path);

    for (int64_t done = 0; done < elements && status == STATUS_OK && !*differ; done += BLOCK_ELEMENTS)
        status =
            compare_block(files, tensors, done, elements - done < BLOCK_ELEMENTS ? elements - done : BLOCK_ELEMENTS,
                          blocks, raw, differ, error);
    free(memory);
    free(raw);
    return status;
}

int hf_weights_own_head(const struct hf_directory *directory, const struct model_config *config, bool *own,
                        struct error *error)
{
    const struct safetensors *files[2];
    const struct safetensors_tensor *tensors[2];
    struct hf_place place;

    *own = false;
    tensors[0] = hf_directory_find(directory, MODEL_HEAD_NAME, &files[0]);
    tensors[1] = find_stored(directory, config->family, config->family->embedding, &place, &files[1]);
    if (tensors[0] == NULL || tensors[1] == NULL)
        return STATUS_OK;
    *own = !is_read(tensors[0]) || !shape_equal(&tensors[0]->shape, &tensors[1]->shape);
    return *own || !is_read(tensors[1]) ? STATUS_OK : compare_values(files, tensors, own, error);
}
