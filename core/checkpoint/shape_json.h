/* Shapes as JSON arrays of whole numbers. */
#ifndef LLMRUN_CHECKPOINT_SHAPE_JSON_H
#define LLMRUN_CHECKPOINT_SHAPE_JSON_H

#include <jansson.h>

#include "base/status.h"
#include "tensor/shape.h"

/* A new array; NULL without memory. */
json_t *shape_to_json(const struct shape *shape);

/* STATUS_INPUT for a rank above LLMRUN_MAX_RANK and for an extent that is no whole number. Extents are not judged. */
int shape_from_json(const json_t *array, struct shape *shape, struct error *error);

#endif
