/* A sum in parts may be made where its parts lie: what an op gives for a half of an axis is what the whole has of it,
 * bit for bit, and the two halves meet in one addition. This is what splitting over ranks rests on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/table.h"
#include "op_case.h"

#define ROWS    24
#define COLUMNS 80
#define TOKENS  16

static void run(struct op_case *op)
{
    assert_true(
        op_case_run(op, op_case_kernel(kernel_table_candidates(op->op.op, (int)cpu_isa_best(), LLMRUN_OP_EXACT)), 2));
}

/* Copies the half `half` of the columns of a matrix whose elements have `bytes` bytes. */
static void half_columns(void *to, const void *from, int half, int64_t rows, int64_t columns, size_t bytes)
{
    size_t part = (size_t)columns / 2 * bytes;

    for (int64_t row = 0; row < rows; row++)
        memcpy((char *)to + (size_t)row * part, (const char *)from + ((size_t)row * 2 + (size_t)half) * part, part);
}

static void assert_sum(const float *whole, const float *near, const float *far, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (whole[i] != near[i] + far[i])
            fail_msg("element %lld: %a and %a do not meet in %a", (long long)i, (double)near[i], (double)far[i],
                     (double)whole[i]);
}

static void a_product_is_the_sum_of_its_halves_along_k(void **state)
{
    struct llmrun_matmul_attributes whole = {.feature_parts = 8}, part = {.feature_parts = 4};
    struct op_case op, half[2];

    (void)state;
    op_case_begin(&op, LLMRUN_OP_MATMUL, &whole, 1);
    op_case_operand(&op, LLMRUN_MATMUL_X, LLMRUN_F32, EXTENTS(TOKENS, COLUMNS), NUMBERS_USUAL);
    op_case_operand(&op, LLMRUN_MATMUL_W, LLMRUN_F32, EXTENTS(ROWS, COLUMNS), NUMBERS_USUAL);
    op_case_operand(&op, LLMRUN_MATMUL_Y, LLMRUN_F32, EXTENTS(TOKENS, ROWS), NUMBERS_USUAL);
    run(&op);
    for (int i = 0; i < 2; i++) {
        op_case_begin(&half[i], LLMRUN_OP_MATMUL, &part, 1);
        half_columns(op_case_operand(&half[i], LLMRUN_MATMUL_X, LLMRUN_F32, EXTENTS(TOKENS, COLUMNS / 2), 0),
                     op.data[LLMRUN_MATMUL_X], i, TOKENS, COLUMNS, sizeof(float));
        half_columns(op_case_operand(&half[i], LLMRUN_MATMUL_W, LLMRUN_F32, EXTENTS(ROWS, COLUMNS / 2), 0),
                     op.data[LLMRUN_MATMUL_W], i, ROWS, COLUMNS, sizeof(float));
        op_case_operand(&half[i], LLMRUN_MATMUL_Y, LLMRUN_F32, EXTENTS(TOKENS, ROWS), 0);
        run(&half[i]);
    }
    assert_sum(op.data[LLMRUN_MATMUL_Y], half[0].data[LLMRUN_MATMUL_Y], half[1].data[LLMRUN_MATMUL_Y], TOKENS * ROWS);
    op_case_end(&half[0]);
    op_case_end(&half[1]);
    op_case_end(&op);
}

static void check_weight_gradient(uint32_t dtype, size_t bytes)
{
    struct llmrun_matmul_weight_grad_attributes whole = {.batch_parts = 8}, part = {.batch_parts = 4};
    struct op_case op, half[2];

    op_case_begin(&op, LLMRUN_OP_MATMUL_WEIGHT_GRAD, &whole, 2);
    op_case_operand(&op, LLMRUN_MATMUL_WEIGHT_GRAD_DY, dtype, EXTENTS(TOKENS, ROWS), NUMBERS_USUAL);
    op_case_operand(&op, LLMRUN_MATMUL_WEIGHT_GRAD_X, dtype, EXTENTS(TOKENS, COLUMNS), NUMBERS_USUAL);
    op_case_operand(&op, LLMRUN_MATMUL_WEIGHT_GRAD_DW, LLMRUN_F32, EXTENTS(ROWS, COLUMNS), NUMBERS_USUAL);
    run(&op);
    for (int i = 0; i < 2; i++) {
        size_t dy = TOKENS / 2 * ROWS * bytes, x = TOKENS / 2 * COLUMNS * bytes;

        op_case_begin(&half[i], LLMRUN_OP_MATMUL_WEIGHT_GRAD, &part, 2);
        memcpy(op_case_operand(&half[i], LLMRUN_MATMUL_WEIGHT_GRAD_DY, dtype, EXTENTS(TOKENS / 2, ROWS), 0),
               (char *)op.data[LLMRUN_MATMUL_WEIGHT_GRAD_DY] + (size_t)i * dy, dy);
        memcpy(op_case_operand(&half[i], LLMRUN_MATMUL_WEIGHT_GRAD_X, dtype, EXTENTS(TOKENS / 2, COLUMNS), 0),
               (char *)op.data[LLMRUN_MATMUL_WEIGHT_GRAD_X] + (size_t)i * x, x);
        op_case_operand(&half[i], LLMRUN_MATMUL_WEIGHT_GRAD_DW, LLMRUN_F32, EXTENTS(ROWS, COLUMNS), 0);
        run(&half[i]);
    }
    assert_sum(op.data[LLMRUN_MATMUL_WEIGHT_GRAD_DW], half[0].data[LLMRUN_MATMUL_WEIGHT_GRAD_DW],
               half[1].data[LLMRUN_MATMUL_WEIGHT_GRAD_DW], ROWS * COLUMNS);
    op_case_end(&half[0]);
    op_case_end(&half[1]);
    op_case_end(&op);
}

static void a_weight_gradient_is_the_sum_of_its_halves_along_the_batch(void **state)
{
    (void)state;
    check_weight_gradient(LLMRUN_F32, 4);
    check_weight_gradient(LLMRUN_BF16, 2);
}

/* The slots of a part of a gradient, as they stand in the table of the whole. */
static void check_slots(const struct op_case *whole, int rows_halved, int half)
{
    int64_t rows = rows_halved ? ROWS / 2 : ROWS, columns = rows_halved ? COLUMNS : COLUMNS / 2;
    struct llmrun_sum_squares_attributes part = {.row_parts = rows_halved ? 4 : 8, .column_parts = rows_halved ? 8 : 4};
    struct op_case op;
    float *x;

    op_case_begin(&op, LLMRUN_OP_SUM_SQUARES, &part, 3);
    x = op_case_operand(&op, LLMRUN_SUM_SQUARES_X, LLMRUN_F32, EXTENTS(rows, columns), 0);
    op_case_operand(&op, LLMRUN_SUM_SQUARES_SUMS, LLMRUN_F64, EXTENTS(32), 0);
    if (rows_halved)
        memcpy(x, (const float *)whole->data[LLMRUN_SUM_SQUARES_X] + half * rows * COLUMNS,
               (size_t)(rows * COLUMNS) * sizeof(*x));
    else
        half_columns(x, whole->data[LLMRUN_SUM_SQUARES_X], half, ROWS, COLUMNS, sizeof(*x));
    run(&op);
    for (int64_t slot = 0; slot < 32; slot++) {
        int64_t row = slot / part.column_parts + (rows_halved ? half * 4 : 0);
        int64_t column = slot % part.column_parts + (rows_halved ? 0 : half * 4);

        assert_true(op_case_value(&op, LLMRUN_SUM_SQUARES_SUMS, slot) ==
                    op_case_value(whole, LLMRUN_SUM_SQUARES_SUMS, row * 8 + column));
    }
    op_case_end(&op);
}

static void a_part_of_a_gradient_has_the_squares_of_the_whole_along_either_axis(void **state)
{
    struct llmrun_sum_squares_attributes attributes = {.row_parts = 8, .column_parts = 8};
    struct op_case op;

    (void)state;
    op_case_begin(&op, LLMRUN_OP_SUM_SQUARES, &attributes, 3);
    op_case_operand(&op, LLMRUN_SUM_SQUARES_X, LLMRUN_F32, EXTENTS(ROWS, COLUMNS), NUMBERS_USUAL);
    op_case_operand(&op, LLMRUN_SUM_SQUARES_SUMS, LLMRUN_F64, EXTENTS(64), NUMBERS_USUAL);
    run(&op);
    for (int half = 0; half < 2; half++) {
        check_slots(&op, 0, half);
        check_slots(&op, 1, half);
    }
    op_case_end(&op);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_product_is_the_sum_of_its_halves_along_k),
        cmocka_unit_test(a_weight_gradient_is_the_sum_of_its_halves_along_the_batch),
        cmocka_unit_test(a_part_of_a_gradient_has_the_squares_of_the_whole_along_either_axis),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
