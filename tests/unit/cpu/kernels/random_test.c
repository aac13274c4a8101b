/* Random numbers: Philox as published, normal numbers and dropout by their statistics. Bounds are five standard errors.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <llmrun/random.h>

#include "cpu_ref/table.h"
#include "golden.h"
#include "kernels/table.h"
#include "op_case.h"

#define NUMBERS 1000000

static void run_fastest(struct op_case *op)
{
    const struct kernel *const *kernels = kernel_table_candidates(op->op.op, (int)cpu_isa_best(), LLMRUN_OP_EXACT);

    assert_true(op_case_run(op, op_case_kernel(kernels), 2));
}

/* The vectors of Random123 1.09, tests/kat_vectors, philox4x32 10. */
static void philox_gives_the_published_numbers(void **state)
{
    static const struct {
        uint32_t counter[4], key[2], word[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        struct llmrun_random_block block = llmrun_philox(known[i].counter, known[i].key);

        assert_memory_equal(block.word, known[i].word, sizeof(block.word));
    }
}

static void normal_numbers_have_the_moments_and_tails_of_the_normal_distribution(void **state)
{
    struct llmrun_init_attributes attributes = {
        .stream_id = 0x5eed, .distribution = LLMRUN_INIT_NORMAL, .a = 2.0f, .b = 0.02f};
    double moment[5] = {0}, n = NUMBERS;
    int beyond_2 = 0, beyond_4 = 0;
    struct op_case op;

    (void)state;
    op_case_begin(&op, LLMRUN_OP_INIT, &attributes, 1);
    op_case_operand(&op, LLMRUN_INIT_Y, LLMRUN_F32, EXTENTS(1000, NUMBERS / 1000), NUMBERS_USUAL);
    run_fastest(&op);
    for (int64_t i = 0; i < NUMBERS; i++) {
        double z = (op_case_value(&op, LLMRUN_INIT_Y, i) - 2.0) / 0.02;

        for (int k = 1; k <= 4; k++)
            moment[k] += pow(z, k) / n;
        beyond_2 += fabs(z) > 2;
        beyond_4 += fabs(z) > 4;
    }
    assert_true(fabs(moment[1]) < 5 / sqrt(n));
    assert_true(fabs(moment[2] - 1) < 5 * sqrt(2 / n));
    assert_true(fabs(moment[3]) < 5 * sqrt(15 / n));
    assert_true(fabs(moment[4] - 3) < 5 * sqrt(96 / n));
    assert_true(fabs(beyond_2 - 0.0455003 * n) < 5 * sqrt(0.0455003 * n));
    assert_true(fabs(beyond_4 - 6.334e-5 * n) < 5 * sqrt(6.334e-5 * n));
    op_case_end(&op);
}

static void uniform_numbers_fill_their_interval(void **state)
{
    struct llmrun_init_attributes attributes = {
        .stream_id = 0x5eed, .distribution = LLMRUN_INIT_UNIFORM, .a = -1.0f, .b = 3.0f};
    double sum = 0, squares = 0, n = NUMBERS;
    struct op_case op;

    (void)state;
    op_case_begin(&op, LLMRUN_OP_INIT, &attributes, 1);
    op_case_operand(&op, LLMRUN_INIT_Y, LLMRUN_F32, EXTENTS(NUMBERS), NUMBERS_USUAL);
    run_fastest(&op);
    for (int64_t i = 0; i < NUMBERS; i++) {
        double y = op_case_value(&op, LLMRUN_INIT_Y, i);

        assert_true(y >= -1.0 && y < 3.0);
        sum += y;
        squares += y * y;
    }
    assert_true(fabs(sum / n - 1) < 5 * sqrt(16.0 / 12 / n));
    assert_true(fabs(squares / n - 7.0 / 3) < 5 * 2.6 / sqrt(n)); /* E y^2 = 7/3, deviation of y^2 below 2.6 */
    op_case_end(&op);
}

/* Elements of ones after dropout. `sequences` of 50 positions and 40 channels, from `first` on. */
static float *dropped(uint32_t key, uint32_t first, int64_t sequences)
{
    struct llmrun_dropout_attributes attributes = {.seq_len = 50, .probability = 0.1f};
    const int64_t *extents = EXTENTS(sequences * 50, 40);
    uint32_t random[] = {11, 0, 3, first, key};
    struct op_case op;
    float *x, *y;

    op_case_begin(&op, LLMRUN_OP_DROPOUT, &attributes, 1);
    x = op_case_operand(&op, LLMRUN_DROPOUT_X, LLMRUN_F32, extents, NUMBERS_USUAL);
    for (int64_t i = 0; i < sequences * 2000; i++)
        x[i] = 1.0f;
    memcpy(op_case_operand(&op, LLMRUN_DROPOUT_RNG_STATE, LLMRUN_U32, EXTENTS(5), NUMBERS_SMALL), random,
           sizeof(random));
    y = op_case_operand(&op, LLMRUN_DROPOUT_Y, LLMRUN_F32, extents, NUMBERS_USUAL);
    run_fastest(&op);
    op.data[LLMRUN_DROPOUT_Y] = NULL;
    op_case_end(&op);
    return y;
}

static void dropout_keeps_nine_in_ten_and_scales_them(void **state)
{
    float *a = dropped(1, 0, NUMBERS / 2000), *b = dropped(2, 0, NUMBERS / 2000);
    double n = NUMBERS, kept = 0, agree = 0;

    (void)state;
    for (int i = 0; i < NUMBERS; i++) {
        assert_true(a[i] == 0.0f || a[i] == 1.0f / 0.9f);
        kept += a[i] != 0.0f;
        agree += (a[i] != 0.0f) == (b[i] != 0.0f);
    }
    assert_true(fabs(kept - 0.9 * n) < 5 * sqrt(0.09 * n));
    assert_true(fabs(agree - 0.82 * n) < 5 * sqrt(0.82 * 0.18 * n)); /* another key, independent numbers */
    free(a);
    free(b);
}

static void dropout_of_a_later_microbatch_is_that_part_of_the_whole_batch(void **state)
{
    float *whole = dropped(1, 0, 5), *part = dropped(1, 2, 3);

    (void)state;
    assert_memory_equal(whole + 2 * 2000, part, 3 * 2000 * sizeof(float));
    free(whole);
    free(part);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_gives_the_published_numbers),
        cmocka_unit_test(normal_numbers_have_the_moments_and_tails_of_the_normal_distribution),
        cmocka_unit_test(uniform_numbers_fill_their_interval),
        cmocka_unit_test(dropout_keeps_nine_in_ten_and_scales_them),
        cmocka_unit_test(dropout_of_a_later_microbatch_is_that_part_of_the_whole_batch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
