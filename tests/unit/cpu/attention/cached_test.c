/* attention_cached: kernels against the exact reference, and the reference against attention, bit for bit. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "attention_case.h"
#include "every.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct cached_shape {
    int64_t rows, capacity;
    int32_t position;
    uint32_t heads, kv_heads;
    int64_t width;
};

/* One row and many, around the block of 64 keys, the strip of 16, heads that fill no vector, and every size of group.
 */
static const struct cached_shape shapes[] = {
    {1, 1, 0, 1, 1, 8},      {1, 64, 0, 2, 2, 64},   {1, 64, 63, 2, 2, 64},   {1, 128, 64, 3, 1, 16},
    {1, 200, 131, 4, 2, 80}, {3, 70, 62, 6, 2, 24},  {7, 130, 100, 5, 1, 10}, {64, 256, 64, 2, 2, 64},
    {65, 130, 65, 2, 1, 16}, {5, 77, 16, 8, 2, 128}, {2, 40, 33, 7, 7, 9},    {64, 64, 0, 3, 3, 32},
};

static struct llmrun_attention_cached_attributes attributes_of(const struct cached_shape *shape)
{
    return (struct llmrun_attention_cached_attributes){shape->heads, shape->kv_heads,
                                                       1.0f / sqrtf((float)shape->width)};
}

static void cached_begin(struct op_case *op, const struct cached_shape *shape,
                         const struct llmrun_attention_cached_attributes *attributes, uint32_t dtype, uint64_t seed)
{
    const int64_t *queries = EXTENTS(shape->rows, shape->heads * shape->width);
    const int64_t *keys = EXTENTS(shape->rows, shape->kv_heads * shape->width);
    const int64_t *cache = EXTENTS(shape->capacity, shape->kv_heads * shape->width);

    op_case_begin(op, LLMRUN_OP_ATTENTION_CACHED, attributes, seed);
    op_case_operand(op, LLMRUN_ATTENTION_CACHED_Q, dtype, queries, NUMBERS_USUAL);
    op_case_operand(op, LLMRUN_ATTENTION_CACHED_K, dtype, keys, NUMBERS_USUAL);
    op_case_operand(op, LLMRUN_ATTENTION_CACHED_V, dtype, keys, NUMBERS_USUAL);
    *(int32_t *)op_case_operand(op, LLMRUN_ATTENTION_CACHED_POSITION, LLMRUN_I32, EXTENTS(1), NUMBERS_SMALL) =
        shape->position;
    op_case_operand(op, LLMRUN_ATTENTION_CACHED_K_CACHE, dtype, cache, NUMBERS_USUAL);
    op_case_operand(op, LLMRUN_ATTENTION_CACHED_V_CACHE, dtype, cache, NUMBERS_USUAL);
    op_case_operand(op, LLMRUN_ATTENTION_CACHED_O, dtype, queries, NUMBERS_USUAL);
}

/* What lies in the caches behind the rows of the call is anything at first. */
static void spoil_behind(struct op_case *op, const struct cached_shape *shape)
{
    size_t row = (size_t)(shape->kv_heads * shape->width) *
                 (op->tensors[LLMRUN_ATTENTION_CACHED_Q].dtype == LLMRUN_BF16 ? 2 : 4);
    size_t used = (size_t)(shape->position + shape->rows) * row, all = (size_t)shape->capacity * row;

    memset((char *)op->data[LLMRUN_ATTENTION_CACHED_K_CACHE] + used, 0xff, all - used);
    memset((char *)op->data[LLMRUN_ATTENTION_CACHED_V_CACHE] + used, 0xff, all - used);
}

static void check_shapes(uint32_t dtype)
{
    for (size_t i = 0; i < COUNT(shapes); i += EVERY(3)) {
        const struct llmrun_attention_cached_attributes attributes = attributes_of(&shapes[i]);
        struct op_case op;
        char what[80];

        snprintf(what, sizeof(what), "shape %zu", i);
        cached_begin(&op, &shapes[i], &attributes, dtype, i);
        spoil_behind(&op, &shapes[i]);
        case_check(&op, what);
        op_case_end(&op);
    }
}

static void fp32_kernels_give_the_bits_of_the_reference(void **state)
{
    (void)state;
    check_shapes(LLMRUN_F32);
}

static void bf16_kernels_give_the_bits_of_the_reference(void **state)
{
    (void)state;
    check_shapes(LLMRUN_BF16);
}

static void copy_rows(struct op_case *to, int to_index, const struct op_case *from, int from_index, int64_t first,
                      int64_t rows)
{
    const struct llmrun_tensor *tensor = &from->tensors[from_index];
    size_t row = (size_t)tensor->shape[1] * (tensor->dtype == LLMRUN_BF16 ? 2 : 4);

    memcpy(to->data[to_index], (const char *)from->data[from_index] + (size_t)first * row, (size_t)rows * row);
}

/* The last rows of a sequence, given those before them in the caches. */
static void check_against_attention(const struct cached_shape *shape, uint32_t dtype, uint64_t seed)
{
    const struct llmrun_attention_cached_attributes attributes = attributes_of(shape);
    const struct attention_shape whole = {.sequences = 1,
                                          .sequence = shape->position + shape->rows,
                                          .heads = shape->heads,
                                          .kv_heads = shape->kv_heads,
                                          .width = shape->width,
                                          .segments = 1};
    struct attention_case attention;
    struct op_case op, expected;

    attention_case_begin(&attention, &whole, dtype, seed, 1);
    cached_begin(&op, shape, &attributes, dtype, seed);
    for (int i = 0; i < 3; i++)
        copy_rows(&op, LLMRUN_ATTENTION_CACHED_Q + i, &attention.forward, LLMRUN_ATTENTION_Q + i, shape->position,
                  shape->rows);
    for (int i = 0; i < 2; i++)
        copy_rows(&op, LLMRUN_ATTENTION_CACHED_K_CACHE + i, &attention.forward, LLMRUN_ATTENTION_K + i, 0,
                  shape->position);
    op_case_copy(&expected, &op);
    for (int i = 0; i < 2; i++)
        copy_rows(&expected, LLMRUN_ATTENTION_CACHED_K_CACHE + i, &attention.forward, LLMRUN_ATTENTION_K + i, 0,
                  whole.sequence);
    copy_rows(&expected, LLMRUN_ATTENTION_CACHED_O, &attention.forward, LLMRUN_ATTENTION_O, shape->position,
              shape->rows);
    assert_true(op_case_run(&op, case_reference(LLMRUN_OP_ATTENTION_CACHED, 1), 1));
    op_case_assert_same(&expected, &op, "the rows of attention");
    op_case_end(&op);
    op_case_end(&expected);
    attention_case_end(&attention);
}

static void rows_with_a_cache_have_the_bits_of_attention(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(shapes); i += EVERY(3)) {
        check_against_attention(&shapes[i], LLMRUN_F32, i);
        check_against_attention(&shapes[i], LLMRUN_BF16, i);
    }
}

static void rows_that_do_not_fit_are_nan_and_store_nothing(void **state)
{
    static const int32_t positions[] = {-1, 6, INT32_MAX};
    const struct cached_shape shape = {3, 8, 0, 2, 1, 8};
    const struct llmrun_attention_cached_attributes attributes = attributes_of(&shape);

    (void)state;
    for (size_t i = 0; i < COUNT(positions); i++) {
        struct op_case op, found;

        cached_begin(&op, &shape, &attributes, LLMRUN_F32, i);
        *(int32_t *)op.data[LLMRUN_ATTENTION_CACHED_POSITION] = positions[i];
        op_case_copy(&found, &op);
        assert_true(op_case_run(&found, case_reference(LLMRUN_OP_ATTENTION_CACHED, 1), 1));
        for (int64_t e = 0; e < op_case_elements(&found, LLMRUN_ATTENTION_CACHED_O); e++)
            assert_true(isnan(op_case_value(&found, LLMRUN_ATTENTION_CACHED_O, e)));
        memcpy(op.data[LLMRUN_ATTENTION_CACHED_O], found.data[LLMRUN_ATTENTION_CACHED_O],
               (size_t)op_case_elements(&op, LLMRUN_ATTENTION_CACHED_O) * sizeof(float));
        op_case_assert_same(&op, &found, "nothing but o is written");
        case_check(&op, "rows that do not fit");
        op_case_end(&op);
        op_case_end(&found);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fp32_kernels_give_the_bits_of_the_reference),
        cmocka_unit_test(bf16_kernels_give_the_bits_of_the_reference),
        cmocka_unit_test(rows_with_a_cache_have_the_bits_of_attention),
        cmocka_unit_test(rows_that_do_not_fit_are_nan_and_store_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
