#include "huggingface/names.h"

#include <stdio.h>
#include <string.h>

/* "h.12.attn.c_proj.weight": behind "h.12."; the name itself outside the layers. */
static const char *within_layer(const struct model_family *family, const char *name)
{
    const size_t length = strlen(family->layers);
    const char *at = name + length;

    if (strncmp(name, family->layers, length) != 0)
        return name;
    at += strspn(at, "0123456789");
    return *at == '.' ? at + 1 : name;
}

void hf_place_of(const struct model_family *family, const char *parameter, struct hf_place *place)
{
    const char *suffix = within_layer(family, parameter);
    const bool prefixed = family->prefixed || strcmp(parameter, MODEL_HEAD_NAME) == 0;
    const struct stored_form *form = family->stored;

    while (form != NULL && form->ours != NULL && strcmp(form->ours, suffix) != 0)
        form++;
    *place = (struct hf_place){.parts = 1};
    if (form != NULL && form->ours != NULL)
        *place = (struct hf_place){.part = form->part, .parts = form->parts, .transposed = form->transposed};
    snprintf(place->name, sizeof place->name, "%s%.*s%s", prefixed ? "" : family->prefix, (int)(suffix - parameter),
             parameter, form != NULL && form->ours != NULL ? form->theirs : suffix);
}

bool hf_is_vocabulary(const struct model_family *family, const char *parameter)
{
    return strcmp(parameter, family->embedding) == 0 || strcmp(parameter, MODEL_HEAD_NAME) == 0;
}

struct shape hf_stored_shape(const struct model_config *config, const char *parameter, const struct shape *form,
                             const struct hf_place *place)
{
    struct shape shape = *form;

    if (hf_is_vocabulary(config->family, parameter))
        shape.extent[0] = config->vocab_size;
    shape.extent[0] *= place->parts;
    if (place->transposed) {
        int64_t rows = shape.extent[0];

        shape.extent[0] = shape.extent[1];
        shape.extent[1] = rows;
    }
    return shape;
}

static bool ends_with(const char *name, const char *end)
{
    size_t length = strlen(name), wanted = strlen(end);

    return length >= wanted && strcmp(name + length - wanted, end) == 0;
}

bool hf_tensor_ignored(const struct model_config *config, const char *name)
{
    if (strcmp(name, MODEL_HEAD_NAME) == 0)
        return config->tie_word_embeddings;
    for (const char *const *buffer = config->family->buffers; *buffer != NULL; buffer++)
        if (ends_with(name, *buffer))
            return true;
    return false;
}
