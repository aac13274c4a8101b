/* The plain definition of a matrix product, against numbers worked out by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "matmul/bf16.h"
#include "matmul/gemm.h"

static void assert_same_bits(float got, float wanted)
{
    if (memcmp(&got, &wanted, sizeof(got)) != 0)
        fail_msg("%a, wanted %a", got, wanted);
}

static struct gemm_problem dot(uint32_t dtype, int64_t k, const void *a, const void *b, float *c)
{
    struct gemm_problem problem = {
        .m = 1, .n = 1, .dtype = dtype, .c_dtype = LLMRUN_F32, .segments = 1, .c = c, .c_row = 1};
    problem.segment[0] = (struct gemm_segment){k, a, k, 1, b, 1, k};
    return problem;
}

static void fp32_is_a_chain_from_the_first_k_to_the_last(void **state)
{
    /* 1 is lost in 2^24 when it comes second and in twos is not: 1 + 1 + 2^24 = 2^24 + 2, 2^24 + 1 + 1 = 2^24. */
    float first_small[] = {1.0f, 1.0f, 0x1p24f}, first_large[] = {0x1p24f, 1.0f, 1.0f}, ones[] = {1.0f, 1.0f, 1.0f}, c;
    struct gemm_problem problem = dot(LLMRUN_F32, 3, first_small, ones, &c);
    (void)state;
    gemm_plain(&problem, NULL);
    assert_same_bits(c, 0x1p24f + 2.0f);
    problem = dot(LLMRUN_F32, 3, first_large, ones, &c);
    gemm_plain(&problem, NULL);
    assert_same_bits(c, 0x1p24f);
}

static void a_product_is_not_rounded_before_it_is_added(void **state)
{
    /* (1 + 2^-12)^2 - (1 + 2^-11) = 2^-24, which a rounded product would lose. */
    float a[] = {1.0f, 1.0f + 0x1p-12f}, b[] = {-(1.0f + 0x1p-11f), 1.0f + 0x1p-12f}, c;
    struct gemm_problem problem = dot(LLMRUN_F32, 2, a, b, &c);
    (void)state;
    gemm_plain(&problem, NULL);
    assert_same_bits(c, 0x1p-24f);
}

static void accumulation_starts_the_chain_from_the_value_found(void **state)
{
    /* 2^24 + 1 + 1 = 2^24 from the left; the sum of the new terms alone would give 2^24 + 2. */
    float ones[] = {1.0f, 1.0f}, c = 0x1p24f;
    struct gemm_problem problem = dot(LLMRUN_F32, 2, ones, ones, &c);
    (void)state;
    problem.accumulate = 1;
    gemm_plain(&problem, NULL);
    assert_same_bits(c, 0x1p24f);
}

static void parts_are_added_nearest_first_and_the_value_found_last(void **state)
{
    /* Parts 2^24, 1, 1, 1: (2^24 + 1) + (1 + 1) = 2^24 + 2; a chain stays at 2^24. Then 2^25 + that rounds to 3 2^24 +
     * 0. */
    float a[] = {0x1p24f, 1.0f, 1.0f, 1.0f}, ones[] = {1.0f, 1.0f, 1.0f, 1.0f}, c;
    struct gemm_problem problem = dot(LLMRUN_F32, 4, a, ones, &c);
    (void)state;
    problem.parts = 4;
    gemm_plain(&problem, NULL);
    assert_same_bits(c, 0x1p24f + 2.0f);
    c = -0x1p24f;
    problem.accumulate = 1;
    gemm_plain(&problem, NULL);
    assert_same_bits(c, 2.0f);
}

static void segments_are_one_chain(void **state)
{
    /* 1 + 1 (segment 0), then + 2^24 (segment 1) = 2^24 + 2. */
    float ones[] = {1.0f, 1.0f}, large[] = {0x1p24f}, c;
    struct gemm_problem problem = dot(LLMRUN_F32, 2, ones, ones, &c);
    (void)state;
    problem.segments = 2;
    problem.segment[1] = (struct gemm_segment){1, large, 1, 1, ones, 1, 1};
    gemm_plain(&problem, NULL);
    assert_same_bits(c, 0x1p24f + 2.0f);
}

static void bf16_takes_the_odd_element_of_a_pair_first(void **state)
{
    /* With 2^24 at k = 1 the 1 at k = 0 is lost behind it, and so are those of the next pair. */
    uint16_t a[] = {bf16_round(1.0f), bf16_round(0x1p24f), bf16_round(1.0f), bf16_round(1.0f)};
    uint16_t ones[] = {bf16_round(1.0f), bf16_round(1.0f), bf16_round(1.0f), bf16_round(1.0f)};
    float c;
    struct gemm_problem problem = dot(LLMRUN_BF16, 4, a, ones, &c);
    (void)state;
    gemm_plain(&problem, NULL);
    assert_same_bits(c, 0x1p24f);
    a[1] = bf16_round(1.0f);
    a[0] = bf16_round(0x1p24f);
    problem.segment[0].k = 2;
    gemm_plain(&problem, NULL);
    assert_same_bits(c, 0x1p24f); /* 1 + 2^24, a tie to even */
}

static void an_odd_bf16_tail_is_paired_with_positive_zeros(void **state)
{
    /* -0 + (+0)(+0) = +0, and then + (1)(-0) = +0; without the zeros it would stay -0. */
    uint16_t one = bf16_round(1.0f), negative_zero = bf16_round(-0.0f);
    float c = -0.0f;
    struct gemm_problem problem = dot(LLMRUN_BF16, 1, &one, &negative_zero, &c);
    (void)state;
    problem.accumulate = 1;
    gemm_plain(&problem, NULL);
    assert_same_bits(c, 0.0f);
}

static void bf16_steps_take_and_leave_denormals_as_zero(void **state)
{
    (void)state;
    assert_same_bits(gemm_step_bf16(0x1p-130f, 0x1p20f, 1.0f), 1.0f);
    assert_same_bits(gemm_step_bf16(1.0f, 0x1p-20f, 0x1p-127f), 0x1p-20f);
    assert_same_bits(gemm_step_bf16(0x1p-70f, -0x1p-70f, 0.0f), -0.0f);
    assert_same_bits(gemm_step_bf16(0x1p-63f, 0x1p-63f, 0.0f), 0x1p-126f);
}

static void a_bf16_step_is_rounded_before_it_is_found_too_small(void **state)
{
    /* 2^-126 - n 2^-153. The 24-bit numbers next below 2^-126 are 2^-150 apart. From n = 5 on the nearest is below
     * 2^-126 and becomes zero, although with the steps of the denormal range, 2^-149, it would still round to 2^-126. n
     * = 4 is a tie, to even. Checked with vdpbf16ps on a Sapphire Rapids core. */
    (void)state;
    assert_same_bits(gemm_step_bf16(-4 * 0x1p-80f, 0x1p-73f, 0x1p-126f), 0x1p-126f);
    assert_same_bits(gemm_step_bf16(-5 * 0x1p-80f, 0x1p-73f, 0x1p-126f), 0.0f);
    assert_same_bits(gemm_step_bf16(5 * 0x1p-80f, 0x1p-73f, -0x1p-126f), -0.0f);
}

static void add_ten(float *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        values[i] += 10.0f;
}

static void the_activation_is_taken_of_the_rounded_aux(void **state)
{
    /* 1 + 2^-9 rounds to 1 in bf16; 11 + 2^-9 would round to 11 all the same, so the bias is chosen to make 3 + 2^-7 +
     * 2^-9: rounded 3 + 2^-6 (the step at 3 is 2^-6, a tie and more goes up), + 10 = 13 + 2^-6 -> 13. */
    float one = 1.0f, bias = 2.0f + 0x1p-7f + 0x1p-9f;
    uint16_t y, aux;
    struct gemm_problem problem = dot(LLMRUN_F32, 1, &one, &one, NULL);
    (void)state;
    problem.c_dtype = LLMRUN_BF16;
    problem.c = &y;
    problem.aux = &aux;
    problem.bias = &bias;
    problem.activation = add_ten;
    gemm_plain(&problem, NULL);
    assert_same_bits(bf16_widen(aux), 3.0f + 0x1p-6f);
    assert_same_bits(bf16_widen(y), 13.0f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fp32_is_a_chain_from_the_first_k_to_the_last),
        cmocka_unit_test(a_product_is_not_rounded_before_it_is_added),
        cmocka_unit_test(accumulation_starts_the_chain_from_the_value_found),
        cmocka_unit_test(parts_are_added_nearest_first_and_the_value_found_last),
        cmocka_unit_test(segments_are_one_chain),
        cmocka_unit_test(bf16_takes_the_odd_element_of_a_pair_first),
        cmocka_unit_test(an_odd_bf16_tail_is_paired_with_positive_zeros),
        cmocka_unit_test(bf16_steps_take_and_leave_denormals_as_zero),
        cmocka_unit_test(a_bf16_step_is_rounded_before_it_is_found_too_small),
        cmocka_unit_test(the_activation_is_taken_of_the_rounded_aux),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
