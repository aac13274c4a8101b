#include "tensor/shape.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/checked.h"

struct shape shape_of(int32_t rank, const int64_t *extent)
{
    struct shape shape = {.rank = rank};

    for (int32_t i = 0; i < rank && i < LLMRUN_MAX_RANK; i++)
        shape.extent[i] = extent[i];
    return shape;
}

bool shape_elements_checked(const struct shape *shape, int64_t *elements)
{
    int64_t product = 1;
    bool empty = false;

    for (int32_t i = 0; i < shape->rank; i++) {
        if (shape->extent[i] < 0)
            return false;
        /* An extent of 0 must not hide an overflow of the others: strides are products too. */
        empty = empty || shape->extent[i] == 0;
        if (shape->extent[i] > 0 && !checked_mul(product, shape->extent[i], &product))
            return false;
    }
    *elements = empty ? 0 : product;
    return true;
}

int shape_check(const struct shape *shape, int64_t element_bytes, struct error *error)
{
    char text[SHAPE_TEXT_BYTES];
    int64_t elements, bytes;

    if (shape->rank < 0 || shape->rank > LLMRUN_MAX_RANK)
        return error_set(error, STATUS_INPUT, "rank %d is out of range; 0 to %d can be used", (int)shape->rank,
                         LLMRUN_MAX_RANK);
    if (!shape_elements_checked(shape, &elements) || !checked_mul(elements, element_bytes, &bytes))
        return error_set(error, STATUS_INPUT,
                         "shape %s has a negative extent or more elements than can be counted in 63 bits",
                         shape_print(shape, text));
    return STATUS_OK;
}

int64_t shape_elements(const struct shape *shape)
{
    int64_t product = 1;

    for (int32_t i = 0; i < shape->rank; i++)
        product *= shape->extent[i];
    return product;
}

bool shape_equal(const struct shape *a, const struct shape *b)
{
    if (a->rank != b->rank)
        return false;
    for (int32_t i = 0; i < a->rank; i++)
        if (a->extent[i] != b->extent[i])
            return false;
    return true;
}

const char *shape_print(const struct shape *shape, char *text)
{
    size_t used = 1;

    text[0] = '[';
    for (int32_t i = 0; i < shape->rank && i < LLMRUN_MAX_RANK; i++)
        used +=
            (size_t)snprintf(text + used, SHAPE_TEXT_BYTES - used, "%s%" PRId64, i > 0 ? "," : "", shape->extent[i]);
    snprintf(text + used, SHAPE_TEXT_BYTES - used, "]");
    return text;
}
