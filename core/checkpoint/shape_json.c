#include "checkpoint/shape_json.h"

json_t *shape_to_json(const struct shape *shape)
{
    json_t *array = json_array();

    for (int32_t i = 0; i < shape->rank && array != NULL; i++)
        if (json_array_append_new(array, json_integer(shape->extent[i])) != 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

int shape_from_json(const json_t *array, struct shape *shape, struct error *error)
{
    *shape = (struct shape){0};
    if (json_array_size(array) > LLMRUN_MAX_RANK)
        return error_set(error, STATUS_INPUT, "rank %zu is out of range; 0 to %d can be used", json_array_size(array),
                         LLMRUN_MAX_RANK);
    for (size_t i = 0; i < json_array_size(array); i++) {
        if (!json_is_integer(json_array_get(array, i)))
            return error_set(error, STATUS_INPUT, "an extent of its shape is no integer");
        shape->extent[shape->rank++] = json_integer_value(json_array_get(array, i));
    }
    return STATUS_OK;
}
