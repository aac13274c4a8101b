/* Shapes of dense row-major tensors: the last dimension is the innermost. */
#ifndef LLMRUN_TENSOR_SHAPE_H
#define LLMRUN_TENSOR_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "llmrun/types.h"

/* Rank 0 is one element. Extents past the rank are 0, so that equal shapes are equal bytes. */
struct shape {
    int32_t rank; /* 0 to LLMRUN_MAX_RANK */
    int64_t extent[LLMRUN_MAX_RANK];
};

#define SHAPE_TEXT_BYTES 112 /* holds the text of any shape: 5 numbers of 20 characters, commas, brackets, NUL */

struct shape shape_of(int32_t rank, const int64_t *extent);

/* STATUS_INPUT unless the rank is in range, no extent is negative and the count of elements (and of bytes, with
 * elements of `element_bytes` >= 1) fits an int64_t. Shapes from outside pass here first. */
int shape_check(const struct shape *shape, int64_t element_bytes, struct error *error);

/* The product of the extents; false when it does not fit or an extent is negative. */
bool shape_elements_checked(const struct shape *shape, int64_t *elements);

/* The same for a shape that passed shape_check. */
int64_t shape_elements(const struct shape *shape);

bool shape_equal(const struct shape *a, const struct shape *b);

/* "[256,64]", "[]" for rank 0. Returns `text`, which has at least SHAPE_TEXT_BYTES. */
const char *shape_print(const struct shape *shape, char *text);

#endif
