#include "huggingface/stored_list.h"

#include <stdlib.h>
#include <string.h>

int hf_stored_list_make(const struct model_config *config, const struct safetensors_form *forms, int64_t count,
                        struct hf_stored_list *list, struct error *error)
{
    int64_t found = 0, wanted = 0;

    list->count = 0;
    list->tensors = calloc((size_t)count + 1, sizeof *list->tensors);
    if (list->tensors == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for a list of %lld tensors", (long long)count);
    for (int64_t i = 0; i < count; i++) {
        struct hf_stored *tensor = NULL;
        struct hf_place place;

        hf_place_of(config->family, forms[i].name, &place);
        /* Parts stand near each other. */
        for (int64_t t = list->count - 1; t >= 0 && t >= list->count - 4 && tensor == NULL; t--)
            if (strcmp(list->tensors[t].name, place.name) == 0)
                tensor = &list->tensors[t];
        if (tensor == NULL) {
            tensor = &list->tensors[list->count++];
            memcpy(tensor->name, place.name, sizeof tensor->name);
            tensor->dtype = forms[i].dtype;
            tensor->shape = hf_stored_shape(config, forms[i].name, &forms[i].shape, &place);
            tensor->parts = place.parts;
            tensor->transposed = place.transposed;
            wanted += place.parts;
        }
        tensor->parameters[place.part] = i;
        found++;
    }
    if (found == wanted)
        return STATUS_OK;
    hf_stored_list_finish(list);
    return error_set(error, STATUS_BUG, "the parameters of the model do not make up the tensors of transformers");
}

void hf_stored_list_finish(struct hf_stored_list *list)
{
    free(list->tensors);
    *list = (struct hf_stored_list){NULL, 0};
}

static int compare(const void *a, const void *b)
{
    const struct hf_stored *x = a, *y = b;
    int64_t difference = dtype_bytes(y->dtype) - dtype_bytes(x->dtype);

    return difference != 0 ? (int)difference : strcmp(x->name, y->name);
}

void hf_stored_list_order(struct hf_stored_list *list)
{
    qsort(list->tensors, (size_t)list->count, sizeof *list->tensors, compare);
}

void hf_stored_place(const struct hf_stored *tensor, int part, const float *parameter, float *memory)
{
    int64_t in, out, total;

    if (!tensor->transposed) {
        int64_t elements = shape_elements(&tensor->shape) / tensor->parts;

        memcpy(memory + part * elements, parameter, (size_t)elements * sizeof *memory);
        return;
    }
    in = tensor->shape.extent[0];
    total = tensor->shape.extent[1];
    out = total / tensor->parts;
    for (int64_t r = 0; r < in; r++)
        for (int64_t c = 0; c < out; c++)
            memory[r * total + part * out + c] = parameter[c * in + r];
}
