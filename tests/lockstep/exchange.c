#include "lockstep/exchange.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lockstep/part.h"
#include "program/op_table.h"
#include "tensor/dtype.h"

static bool is_split_over(const struct value *value, enum mesh_axis axis)
{
    for (int i = 0; i < value->split_count; i++)
        if (value->splits[i].axis == axis)
            return true;
    return false;
}

/* A bf16 or fp32 number as fp32, and back where that is exact. */
static float number_at(const void *data, int64_t i, uint32_t dtype)
{
    uint32_t bits = 0;
    float number;

    if (dtype == LLMRUN_F32)
        return ((const float *)data)[i];
    bits = (uint32_t)((const uint16_t *)data)[i] << 16;
    memcpy(&number, &bits, sizeof number);
    return number;
}

static void put_number(void *data, int64_t i, uint32_t dtype, float number)
{
    uint32_t bits;

    if (dtype == LLMRUN_F32) {
        ((float *)data)[i] = number;
        return;
    }
    memcpy(&bits, &number, sizeof bits);
    ((uint16_t *)data)[i] = (uint16_t)(bits >> 16);
}

static void add(void *to, const void *other, const struct value *value, enum reduction reduction)
{
    const int64_t bytes = value_bytes(value);

    if (reduction == REDUCTION_SLOT) {
        for (int64_t i = 0; i < bytes / 4; i++)
            ((uint32_t *)to)[i] += ((const uint32_t *)other)[i];
        return;
    }
    /* Of a sum, terms of bf16 would be rounded; of a selection all but one are -0. */
    assert_true(value->dtype == LLMRUN_F32 || (value->dtype == LLMRUN_BF16 && reduction == REDUCTION_SELECT));
    for (int64_t i = 0; i < value_elements(value); i++)
        put_number(to, i, value->dtype, number_at(to, i, value->dtype) + number_at(other, i, value->dtype));
}

/* What the ranks have together, owned by the caller. */
static void *joined(enum mesh_axis axis, const struct exchange_side *sides, int count, int64_t sequences)
{
    const size_t size = (size_t)dtype_bytes(sides[0].x->dtype);
    int64_t elements = 0;
    char *whole = NULL;

    for (int r = 0; r < count; r++)
        for (int64_t i = 0; i < value_elements(sides[r].x); i++) {
            const int64_t at = part_element_over(sides[r].x, axis, i, sequences, &elements);

            if (whole == NULL)
                whole = calloc((size_t)elements, size);
            assert_non_null(whole);
            memcpy(whole + (size_t)at * size, (const char *)sides[r].from + (size_t)i * size, size);
        }
    return whole;
}

static void *reduced(enum mesh_axis axis, const struct exchange_side *sides, int count)
{
    const enum reduction reduction = (enum reduction)sides[0].x->partial[axis].reduction;
    const size_t bytes = (size_t)value_bytes(sides[0].x);
    char *terms = malloc((size_t)count * bytes);

    assert_non_null(terms);
    for (int r = 0; r < count; r++)
        memcpy(terms + (size_t)r * bytes, sides[r].from, bytes);
    for (int step = 1; step < count; step *= 2)
        for (int r = 0; r + step < count; r += 2 * step)
            add(terms + (size_t)r * bytes, terms + (size_t)(r + step) * bytes, sides[0].x, reduction);
    return terms;
}

void exchange_run(uint16_t op, enum mesh_axis axis, const struct exchange_side *sides, int count, int64_t sequences)
{
    const size_t size = (size_t)dtype_bytes(sides[0].x->dtype);
    const bool sums = op == OP_REDUCE_SCATTER || op == OP_ALL_REDUCE;
    void *whole = sums ? reduced(axis, sides, count) : NULL;

    if (!sums)
        whole = op == OP_SLICE ? NULL : joined(axis, sides, count, sequences);
    for (int r = 0; r < count; r++) {
        const char *from = op == OP_SLICE ? sides[r].from : whole;
        int64_t elements;

        if (!is_split_over(sides[r].y, axis)) {
            memcpy(sides[r].to, from, (size_t)value_bytes(sides[r].y));
            continue;
        }
        for (int64_t i = 0; i < value_elements(sides[r].y); i++)
            memcpy((char *)sides[r].to + (size_t)i * size,
                   from + (size_t)part_element_over(sides[r].y, axis, i, sequences, &elements) * size, size);
    }
    free(whole);
}
