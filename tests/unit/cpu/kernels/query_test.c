/* What is refused before a kernel runs, by the check of all ops or by the kernels' queries: run has no way to say no.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "cpu_ref/table.h"
#include "kernels/table.h"
#include "op_case.h"
#include "runtime/check.h"

/* The check of all ops, or both backends, exact or not, refuse the case, and the reason holds `words`. Ends the case.
 */
static void assert_refused(struct op_case *op, const char *words)
{
    char checked[256] = "";

    if (check_op(&op->op, checked, sizeof(checked)) != LLMRUN_OK) {
        if (strstr(checked, words) == NULL)
            fail_msg("the reason is: %s", checked);
        op_case_end(op);
        return;
    }
    for (uint32_t flags = 0; flags <= LLMRUN_OP_EXACT; flags++) {
        const struct kernel *const kernels[] = {
            op_case_kernel(kernel_table_candidates(op->op.op, CPU_ISA_PLAIN, flags)),
            op_case_kernel(reference_candidates(op->op.op, CPU_ISA_PLAIN, flags)),
        };

        for (int i = 0; i < 2; i++) {
            int64_t workspace_bytes = 0;
            char reason[256] = "";

            assert_int_equal(kernels[i]->query(&op->op, 1, &workspace_bytes, reason, sizeof(reason)), 0);
            if (strstr(reason, words) == NULL)
                fail_msg("the reason of %s is: %s", kernels[i]->name, reason);
        }
    }
    op_case_end(op);
}

static void add_case(struct op_case *op, uint32_t a, uint32_t b)
{
    op_case_begin(op, LLMRUN_OP_ADD, NULL, 1);
    op_case_operand(op, LLMRUN_ADD_A, a, EXTENTS(2, 3), NUMBERS_SMALL);
    op_case_operand(op, LLMRUN_ADD_B, b, EXTENTS(2, 3), NUMBERS_SMALL);
    op_case_operand(op, LLMRUN_ADD_Y, a, EXTENTS(2, 3), NUMBERS_SMALL);
}

static void compute_operands_of_two_types_are_refused(void **state)
{
    struct op_case op;

    (void)state;
    add_case(&op, LLMRUN_F32, LLMRUN_BF16);
    assert_refused(&op, "operand b has the element type bf16 and must have f32");
}

static void types_that_no_kernel_computes_are_refused(void **state)
{
    struct op_case op;

    (void)state;
    add_case(&op, LLMRUN_F64, LLMRUN_F64);
    assert_refused(&op, "add takes f32 and bf16 as operand a, not f64");
}

static void adding_to_an_activation_is_refused(void **state)
{
    struct op_case op;

    (void)state;
    add_case(&op, LLMRUN_F32, LLMRUN_F32);
    op.op.accumulate = 1u << LLMRUN_ADD_Y;
    assert_refused(&op, "adds only to the operands 0");
}

static void a_dropout_probability_of_one_is_refused(void **state)
{
    struct llmrun_dropout_attributes attributes = {1, 1.0f, 0};
    struct op_case op;

    (void)state;
    op_case_begin(&op, LLMRUN_OP_DROPOUT, &attributes, 1);
    op_case_operand(&op, LLMRUN_DROPOUT_X, LLMRUN_F32, EXTENTS(2, 3), NUMBERS_USUAL);
    op_case_operand(&op, LLMRUN_DROPOUT_RANDOM, LLMRUN_U32, EXTENTS(5), NUMBERS_SMALL);
    op_case_operand(&op, LLMRUN_DROPOUT_Y, LLMRUN_F32, EXTENTS(2, 3), NUMBERS_USUAL);
    assert_refused(&op, "probability");
}

static void an_unknown_distribution_is_refused(void **state)
{
    struct llmrun_init_attributes attributes = {1, 3, 0.0f, 1.0f, 0};
    struct op_case op;

    (void)state;
    op_case_begin(&op, LLMRUN_OP_INIT, &attributes, 1);
    op_case_operand(&op, LLMRUN_INIT_Y, LLMRUN_F32, EXTENTS(4), NUMBERS_USUAL);
    assert_refused(&op, "distribution");
}

static void leaves_that_do_not_divide_or_do_not_fit_are_refused(void **state)
{
    static const struct llmrun_sum_squares_attributes wrong[] = {{0, 0, 1}, {0, 1, 0},  {0, 1, 4},
                                                                 {0, 3, 1}, {-1, 2, 1}, {1, 2, 2}};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct op_case op;

        op_case_begin(&op, LLMRUN_OP_SUM_SQUARES, &wrong[i], 1);
        op_case_operand(&op, LLMRUN_SUM_SQUARES_X, LLMRUN_F32, EXTENTS(2, 6), NUMBERS_USUAL);
        op_case_operand(&op, LLMRUN_SUM_SQUARES_SUMS, LLMRUN_F64, EXTENTS(4), NUMBERS_USUAL);
        assert_refused(&op, "leaves that divide x");
    }
}

static void rotary_tables_of_another_width_than_half_a_head_are_refused(void **state)
{
    static const struct {
        struct llmrun_rope_attributes attributes;
        const char *words;
    } wrong[] = {
        {{0, 0}, "rope: attribute heads is 0 and must be at least 1"},
        {{2, 2}, "an inverse of 0 or 1"},
        {{1, 0}, "needs heads twice as wide as its tables"},
        {{3, 0}, "rope: operand x has 8 elements in dimension 1 and must have a multiple of 3"},
        {{4, 0}, "needs heads twice as wide as its tables"},
        {{8, 0}, "needs heads twice as wide as its tables"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct op_case op;

        op_case_begin(&op, LLMRUN_OP_ROPE, &wrong[i].attributes, 1);
        op_case_operand(&op, LLMRUN_ROPE_X, LLMRUN_F32, EXTENTS(5, 8), NUMBERS_USUAL);
        op_case_operand(&op, LLMRUN_ROPE_POSITIONS, LLMRUN_I32, EXTENTS(5), NUMBERS_SMALL);
        op_case_operand(&op, LLMRUN_ROPE_COSINES, LLMRUN_F32, EXTENTS(16, 2), NUMBERS_USUAL);
        op_case_operand(&op, LLMRUN_ROPE_SINES, LLMRUN_F32, EXTENTS(16, 2), NUMBERS_USUAL);
        op_case_operand(&op, LLMRUN_ROPE_Y, LLMRUN_F32, EXTENTS(5, 8), NUMBERS_USUAL);
        assert_refused(&op, wrong[i].words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compute_operands_of_two_types_are_refused),
        cmocka_unit_test(types_that_no_kernel_computes_are_refused),
        cmocka_unit_test(adding_to_an_activation_is_refused),
        cmocka_unit_test(a_dropout_probability_of_one_is_refused),
        cmocka_unit_test(an_unknown_distribution_is_refused),
        cmocka_unit_test(leaves_that_do_not_divide_or_do_not_fit_are_refused),
        cmocka_unit_test(rotary_tables_of_another_width_than_half_a_head_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
