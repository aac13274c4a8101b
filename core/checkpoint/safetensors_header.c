#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/strict_json.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/shape_json.h"

#define HEADER_ALIGNMENT 64

static const char *stored_name(uint32_t dtype)
{
    const struct dtype_facts *facts = dtype_facts(dtype);

    return facts->safetensors_name == NULL && facts->bytes == 1 ? "U8" : facts->safetensors_name;
}

int64_t safetensors_form_bytes(const struct safetensors_form *form)
{
    return shape_elements(&form->shape) * dtype_bytes(form->dtype);
}

/* {"dtype":...,"shape":[...],"data_offsets":[begin,end]}; NULL when it cannot be made. Moves *offset to the end. */
static json_t *make_entry(const struct safetensors_form *form, int64_t *offset)
{
    int64_t elements, bytes, begin = *offset;
    json_t *shape;

    if (stored_name(form->dtype) == NULL || shape_check(&form->shape, dtype_bytes(form->dtype), NULL) != STATUS_OK ||
        !shape_elements_checked(&form->shape, &elements) || !checked_mul(elements, dtype_bytes(form->dtype), &bytes) ||
        !checked_add(begin, bytes, offset))
        return NULL;
    shape = shape_to_json(&form->shape);
    if (shape == NULL)
        return NULL;
    return json_pack("{s:s, s:o, s:[I,I]}", "dtype", stored_name(form->dtype), "shape", shape, "data_offsets",
                     (json_int_t)begin, (json_int_t)*offset);
}

static json_t *make_metadata(const struct safetensors_pair *metadata, int64_t count)
{
    json_t *object = json_object();

    for (int64_t i = 0; i < count; i++)
        if (json_object_set_new(object, metadata[i].key, json_string(metadata[i].value)) != 0) {
            json_decref(object);
            return NULL;
        }
    return object;
}

static int make_object(const struct safetensors_form *forms, int64_t count, const struct safetensors_pair *metadata,
                       int64_t metadata_count, json_t *object, struct error *error)
{
    int64_t offset = 0;

    if (metadata_count > 0 && json_object_set_new(object, "__metadata__", make_metadata(metadata, metadata_count)) != 0)
        return error_set(error, STATUS_BUG, "the metadata of a safetensors file are no UTF-8 texts");
    for (int64_t i = 0; i < count; i++) {
        if (strcmp(forms[i].name, "__metadata__") == 0 || json_object_get(object, forms[i].name) != NULL)
            return error_set(error, STATUS_BUG, "the tensor name '%.200s' is taken", forms[i].name);
        if (json_object_set_new(object, forms[i].name, make_entry(&forms[i], &offset)) != 0)
            return error_set(error, STATUS_BUG, "tensor '%.200s' has a name, dtype or shape that cannot be stored",
                             forms[i].name);
    }
    return STATUS_OK;
}

int safetensors_make_header(const struct safetensors_form *forms, int64_t count,
                            const struct safetensors_pair *metadata, int64_t metadata_count, char **header,
                            int64_t *header_bytes, struct error *error)
{
    json_t *object;
    char *text = NULL;
    uint64_t json_bytes;
    int64_t bytes;
    int result;

    strict_json_watch_memory();
    object = json_object();
    result = make_object(forms, count, metadata, metadata_count, object, error);
    bytes = result == STATUS_OK ? (int64_t)json_dumpb(object, NULL, 0, JSON_COMPACT) : 0;
    if (strict_json_lacked_memory())
        result = error_set(error, STATUS_MEMORY, "no memory for a safetensors header");
    if (result != STATUS_OK)
        goto out;
    if (bytes == 0 || bytes > SAFETENSORS_HEADER_LIMIT - HEADER_ALIGNMENT) {
        result = error_set(error, STATUS_BUG, "a safetensors header of %lld bytes is over the format's limit of %d",
                           (long long)bytes, SAFETENSORS_HEADER_LIMIT);
        goto out;
    }
    *header_bytes = round_up(8 + bytes, HEADER_ALIGNMENT);
    text = malloc((size_t)*header_bytes);
    if (text == NULL) {
        result = error_set(error, STATUS_MEMORY, "no memory for a safetensors header of %lld bytes",
                           (long long)*header_bytes);
        goto out;
    }
    memset(text, ' ', (size_t)*header_bytes);
    json_bytes = (uint64_t)*header_bytes - 8;
    memcpy(text, &json_bytes, 8);
    /* Without memory jansson writes less than it announced. */
    if ((int64_t)json_dumpb(object, text + 8, (size_t)bytes, JSON_COMPACT) != bytes) {
        free(text);
        result = error_set(error, STATUS_MEMORY, "no memory for a safetensors header");
        goto out;
    }
    *header = text;
out:
    json_decref(object);
    return result;
}
