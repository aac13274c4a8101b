#include "program/part.h"

#include <string.h>

#include "tensor/dtype.h"

bool value_is_split(const struct value *value)
{
    return value->split_count > 0;
}

int64_t value_whole_bytes(const struct value *value)
{
    int64_t elements = 1;

    for (int i = 0; i < value->rank; i++)
        elements *= value->full[i];
    return elements * dtype_bytes(value->dtype);
}

int value_part_begins(const struct value *value, int dimension, int64_t *first, struct error *error)
{
    int64_t left = value->full[dimension];

    *first = 0;
    for (int i = 0; i < value->split_count; i++) {
        const struct split *split = &value->splits[i];
        const int64_t each = (left + split->parts - 1) / split->parts;
        int64_t begin = split->index * each;

        if (split->dimension != dimension)
            continue;
        if (split->factor != 0)
            return error_set(error, STATUS_BUG, "%s is split along an inner factor of dimension %d, which is no run",
                             value->name, dimension);
        if (begin > left)
            begin = left;
        *first += begin;
        left = left - begin < each ? left - begin : each;
    }
    return STATUS_OK;
}

/* Copies the run of the last dimension, for each index of the dimensions before it. */
static void take(const struct value *value, const int64_t *first, int dimension, int64_t row, const char *whole,
                 char **part)
{
    const int64_t size = dtype_bytes(value->dtype);

    if (dimension == value->rank - 1) {
        const int64_t bytes = value->shape[dimension] * size;

        memcpy(*part, whole + (row * value->full[dimension] + first[dimension]) * size, (size_t)bytes);
        *part += bytes;
        return;
    }
    for (int64_t i = 0; i < value->shape[dimension]; i++)
        take(value, first, dimension + 1, row * value->full[dimension] + first[dimension] + i, whole, part);
}

int value_take_part(const struct value *value, const void *whole, void *part, struct error *error)
{
    int64_t first[LLMRUN_MAX_RANK];
    char *to = part;

    for (int i = 0; i < value->rank; i++) {
        int status = value_part_begins(value, i, &first[i], error);

        if (status != STATUS_OK)
            return status;
    }
    if (value->rank == 0)
        memcpy(part, whole, (size_t)value_bytes(value));
    else
        take(value, first, 0, 0, whole, &to);
    return STATUS_OK;
}
