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
    struct llmrun_dropout_attributes attributes = {.seq_len = 1, .probability = 1.0f};
    struct op_case op;

    (void)state;
    op_case_begin(&op, LLMRUN_OP_DROPOUT, &attributes, 1);
    op_case_operand(&op, LLMRUN_DROPOUT_X, LLMRUN_F32, EXTENTS(2, 3), NUMBERS_USUAL);
    op_case_operand(&op, LLMRUN_DROPOUT_RNG_STATE, LLMRUN_U32, EXTENTS(5), NUMBERS_SMALL);
    op_case_operand(&op, LLMRUN_DROPOUT_Y, LLMRUN_F32, EXTENTS(2, 3), NUMBERS_USUAL);
    assert_refused(&op, "probability");
}

static void an_unknown_distribution_is_refused(void **state)
{
    struct llmrun_init_attributes attributes = {.stream_id = 1, .distribution = 3, .b = 1.0f};
    struct op_case op;

    (void)state;
    op_case_begin(&op, LLMRUN_OP_INIT, &attributes, 1);
    op_case_operand(&op, LLMRUN_INIT_Y, LLMRUN_F32, EXTENTS(4), NUMBERS_USUAL);
    assert_refused(&op, "distribution");
}

static void parts_that_do_not_divide_or_do_not_fit_are_refused(void **state)
{
    static const struct llmrun_sum_squares_attributes wrong[] = {{0, 0, 1, 0, 0}, {0, 1, 0, 0, 0},  {0, 1, 4, 0, 0},
                                                                 {0, 3, 1, 0, 0}, {-1, 2, 1, 0, 0}, {1, 2, 2, 0, 0}};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct op_case op;

        op_case_begin(&op, LLMRUN_OP_SUM_SQUARES, &wrong[i], 1);
        op_case_operand(&op, LLMRUN_SUM_SQUARES_X, LLMRUN_F32, EXTENTS(2, 6), NUMBERS_USUAL);
        op_case_operand(&op, LLMRUN_SUM_SQUARES_SUMS, LLMRUN_F64, EXTENTS(4), NUMBERS_USUAL);
        assert_refused(&op, "parts that divide x");
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

static void outputs_of_a_matmul_of_two_types_are_refused(void **state)
{
    static const uint32_t types[][3] = {{LLMRUN_BF16, LLMRUN_F32, LLMRUN_BF16},
                                        {LLMRUN_BF16, LLMRUN_BF16, LLMRUN_F32},
                                        {LLMRUN_F32, LLMRUN_BF16, LLMRUN_BF16}};
    static const char *const reasons[] = {"aux has the element type bf16 and must have that of the other sums",
                                          "aux has the element type f32 and must have that of the other sums",
                                          "y has the element type bf16 and must have f32 or the compute type"};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const struct llmrun_matmul_attributes attributes = {0, 1};
        struct op_case op;

        op_case_begin(&op, LLMRUN_OP_MATMUL, &attributes, 1);
        op_case_operand(&op, LLMRUN_MATMUL_X, types[i][0], EXTENTS(2, 3), NUMBERS_USUAL);
        op_case_operand(&op, LLMRUN_MATMUL_W, types[i][0], EXTENTS(4, 3), NUMBERS_USUAL);
        op_case_operand(&op, LLMRUN_MATMUL_Y, types[i][1], EXTENTS(2, 4), NUMBERS_USUAL);
        op_case_operand(&op, LLMRUN_MATMUL_AUX, types[i][2], EXTENTS(2, 4), NUMBERS_USUAL);
        assert_refused(&op, reasons[i]);
    }
}

/* 6 columns from token 6 on, two parts. */
static void statistics_of_another_vocabulary_are_refused(void **state)
{
    static const struct {
        struct llmrun_loss_statistics_attributes attributes;
        const char *reason;
    } wrong[] = {{{0, 6, 4, 10, 2, 0}, "seq_len is 0"},        {{3, 6, 4, 10, 2, 0}, "a multiple of 3"},
                 {{2, -1, 4, 10, 2, 0}, "needs a vocabulary"}, {{2, 6, 5, 10, 2, 0}, "needs a vocabulary"},
                 {{2, 6, 6, 10, 2, 0}, "needs a vocabulary"},  {{2, 12, 4, 10, 2, 0}, "needs a vocabulary"},
                 {{2, 6, 4, 10, 3, 0}, "must have 3"},         {{2, 6, 4, 10, 0, 0}, "vocabulary_parts is 0"}};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct op_case op;

        op_case_begin(&op, LLMRUN_OP_LOSS_STATISTICS, &wrong[i].attributes, 1);
        op_case_operand(&op, LLMRUN_LOSS_STATISTICS_LOGITS, LLMRUN_F32, EXTENTS(4, 6), NUMBERS_USUAL);
        op_case_operand(&op, LLMRUN_LOSS_STATISTICS_TARGETS, LLMRUN_I32, EXTENTS(4), NUMBERS_SMALL);
        op_case_operand(&op, LLMRUN_LOSS_STATISTICS_STATISTICS, LLMRUN_F32, EXTENTS(2, 3, 4), NUMBERS_USUAL);
        assert_refused(&op, wrong[i].reason);
    }
}

static void a_gradient_from_statistics_of_other_parts_is_refused(void **state)
{
    static const struct {
        struct llmrun_loss_gradient_attributes attributes;
        int64_t losses, parts;
        const char *reason;
    } wrong[] = {{{0, 6, 4, 2, 0}, 2, 4, "seq_len is 0"},      {{2, 6, 4, 2, 0}, 1, 4, "losses has 1 elements"},
                 {{2, 6, 7, 2, 0}, 2, 4, "must be at most 6"}, {{2, 6, -1, 2, 0}, 2, 4, "must be at least 0"},
                 {{2, 6, 4, 0, 0}, 2, 4, "parts is 0"},        {{2, 6, 4, 4, 0}, 2, 4, "must divide 6"},
                 {{2, 5, 4, 2, 0}, 2, 4, "of which its own"},  {{2, 9, 4, 2, 0}, 2, 4, "of which its own"},
                 {{2, -6, 4, 2, 0}, 2, 4, "of which its own"}, {{2, 6, 4, 2, 0}, 2, 6, "a power of two"},
                 {{2, 6, 4, 2, 0}, 2, 512, "at most 256"}};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct op_case op;

        op_case_begin(&op, LLMRUN_OP_LOSS_GRADIENT, &wrong[i].attributes, 1);
        op_case_operand(&op, LLMRUN_LOSS_GRADIENT_LOGITS, LLMRUN_F32, EXTENTS(4, 6), NUMBERS_USUAL);
        op_case_operand(&op, LLMRUN_LOSS_GRADIENT_STATISTICS, LLMRUN_F32, EXTENTS(wrong[i].parts, 3, 4), NUMBERS_USUAL);
        op_case_operand(&op, LLMRUN_LOSS_GRADIENT_TARGETS, LLMRUN_I32, EXTENTS(4), NUMBERS_SMALL);
        op_case_operand(&op, LLMRUN_LOSS_GRADIENT_LOSS_WEIGHTS, LLMRUN_F32, EXTENTS(4), NUMBERS_USUAL);
        op_case_operand(&op, LLMRUN_LOSS_GRADIENT_SCALE, LLMRUN_F32, EXTENTS(1), NUMBERS_USUAL);
        op_case_operand(&op, LLMRUN_LOSS_GRADIENT_LOSSES, LLMRUN_F64, EXTENTS(wrong[i].losses), NUMBERS_USUAL);
        assert_refused(&op, wrong[i].reason);
    }
}

/* Two sequences of four queries and of six keys each, in four heads of three, which two heads of keys serve. */
static void attention_case(struct op_case *op, const struct llmrun_attention_attributes *attributes, int64_t key_rows)
{
    op_case_begin(op, LLMRUN_OP_ATTENTION, attributes, 1);
    op_case_operand(op, LLMRUN_ATTENTION_Q, LLMRUN_F32, EXTENTS(8, 12), NUMBERS_USUAL);
    op_case_operand(op, LLMRUN_ATTENTION_K, LLMRUN_F32, EXTENTS(key_rows, 6), NUMBERS_USUAL);
    op_case_operand(op, LLMRUN_ATTENTION_V, LLMRUN_F32, EXTENTS(key_rows, 6), NUMBERS_USUAL);
    op_case_operand(op, LLMRUN_ATTENTION_O, LLMRUN_F32, EXTENTS(8, 12), NUMBERS_USUAL);
    op_case_operand(op, LLMRUN_ATTENTION_LSE, LLMRUN_F32, EXTENTS(8, 4), NUMBERS_USUAL);
}

static void queries_and_heads_that_are_no_part_of_the_whole_are_refused(void **state)
{
    static const struct {
        struct llmrun_attention_attributes attributes;
        int64_t key_rows;
        const char *words; /* NULL: taken */
    } cases[] = {
        {{4, 6, 2, 4, 2, 4, 8, 1.0f, 0.0f}, 12, NULL},
        {{4, 6, 0, 4, 2, 0, 0, 1.0f, 0.0f}, 12, NULL},
        {{4, 6, 3, 4, 2, 0, 0, 1.0f, 0.0f}, 12, "queries at positions that have keys"},
        {{4, 6, -1, 4, 2, 0, 0, 1.0f, 0.0f}, 12, "queries at positions that have keys"},
        {{4, 6, INT64_MAX, 4, 2, 0, 0, 1.0f, 0.0f}, 12, "queries at positions that have keys"},
        {{8, 6, 0, 4, 2, 0, 0, 1.0f, 0.0f}, 6, "queries at positions that have keys"},
        {{4, 6, 0, 4, 2, 0, 0, 1.0f, 0.0f}, 18, "must have 12"},
        {{4, 5, 0, 4, 2, 0, 0, 1.0f, 0.0f}, 12, "must have 10"},
        {{3, 6, 0, 4, 2, 0, 0, 1.0f, 0.0f}, 12, "a multiple of 3"},
        {{4, 0, 0, 4, 2, 0, 0, 1.0f, 0.0f}, 12, "keys is 0"},
        {{4, 6, 0, 4, 2, 7, 8, 1.0f, 0.0f}, 12, "some of all heads"},
        {{4, 6, 0, 4, 2, 0, 1, 1.0f, 0.0f}, 12, "some of all heads"},
        {{4, 6, 0, 4, 2, 4, 0, 1.0f, 0.0f}, 12, "some of all heads"},
        {{4, 6, 0, 4, 2, UINT32_MAX, 3, 1.0f, 0.0f}, 12, "some of all heads"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct op_case op;

        attention_case(&op, &cases[i].attributes, cases[i].key_rows);
        if (cases[i].words != NULL) {
            assert_refused(&op, cases[i].words);
            continue;
        }
        assert_true(op_case_run(&op, op_case_kernel(reference_candidates(LLMRUN_OP_ATTENTION, CPU_ISA_PLAIN, 0)), 1));
        op_case_end(&op);
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
        cmocka_unit_test(parts_that_do_not_divide_or_do_not_fit_are_refused),
        cmocka_unit_test(outputs_of_a_matmul_of_two_types_are_refused),
        cmocka_unit_test(statistics_of_another_vocabulary_are_refused),
        cmocka_unit_test(a_gradient_from_statistics_of_other_parts_is_refused),
        cmocka_unit_test(rotary_tables_of_another_width_than_half_a_head_are_refused),
        cmocka_unit_test(queries_and_heads_that_are_no_part_of_the_whole_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
