/* Products by a library agree with the exact ones up to rounding, whatever is asked for beside the product. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "matmul/bf16.h"
#include "matmul/unordered.h"
#include "problem.h"

static float element(const void *array, uint32_t dtype, int64_t at)
{
    return dtype == LLMRUN_F32 ? ((const float *)array)[at] : bf16_widen(((const uint16_t *)array)[at]);
}

/* Sums of k products of numbers below 2: fp32 rounding errors stay below 4 k 2^-24 k, bf16 outputs round to 2^-8. */
static void assert_near(const struct gemm_problem *problem, const void *got, const void *wanted)
{
    float k = (float)problem->segment[0].k * 2.5f;
    for (int64_t i = 0; i < problem->m * problem->c_row; i++) {
        float a = element(got, problem->c_dtype, i), b = element(wanted, problem->c_dtype, i);
        float tolerance = 4.0f * k * k * 0x1p-24f + (problem->c_dtype == LLMRUN_F32 ? 0.0f : fabsf(b) * 0x1p-6f);
        if (!(fabsf(a - b) <= tolerance))
            fail_msg("element %d is %g and should be near %g", (int)i, a, b);
    }
}

static void halve(float *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        values[i] *= 0.5f;
}

static void check(const struct unordered *library, uint32_t dtype)
{
    for (uint32_t i = 0; i < 48; i++) {
        struct form form = {.m = 20 + 3 * i, .n = i % 2 ? 90 : 17, .k = 1 + 7 * i, .dtype = dtype};
        form.c_dtype = i / 2 % 2 ? LLMRUN_F32 : dtype;
        form.segments = 1 + (int)(i / 4 % 3);
        form.a = i / 3 % 2 ? ALONG_K : ALONG_LANES;
        form.b = i / 5 % 2 ? ALONG_K : ALONG_LANES;
        form.accumulate = form.c_dtype == LLMRUN_F32 && i % 3 == 0;
        form.bias = i / 6 % 2;
        form.aux = i / 7 % 2;
        form.activation = i % 5 == 0 ? halve : NULL;
        struct test_problem test;
        problem_create(&test, &form, i);
        struct pool *pool = pool_create(1 + (int)(i % 3));
        void *workspace = malloc((size_t)unordered_workspace(&test.problem) + 1);
        assert_non_null(workspace);
        unordered_run(&test.problem, library, pool, workspace);
        assert_near(&test.problem, test.c, test.expected);
        assert_near(&test.problem, test.aux, test.expected_aux);
        free(workspace);
        pool_destroy(pool);
        problem_destroy(&test);
    }
}

#if defined(WITH_OPENBLAS)
static void openblas_agrees_with_the_exact_products(void **state)
{
    (void)state;
    check(&unordered_openblas, LLMRUN_F32);
}

static void openblas_refuses_bf16(void **state)
{
    struct gemm_problem problem = {.m = 1, .n = 1, .dtype = LLMRUN_BF16, .c_dtype = LLMRUN_F32, .segments = 1};
    char reason[128];
    (void)state;
    assert_false(unordered_openblas.fit(&problem, reason, sizeof(reason)));
    assert_string_equal(reason, "OpenBLAS multiplies fp32 only");
}
#endif

#if defined(WITH_ONEDNN)
static void onednn_agrees_with_the_exact_products(void **state)
{
    (void)state;
    if (!cpu_isa_has_bf16()) {
        print_message("skipped: oneDNN multiplies bf16 with AVX-512 only, which this processor lacks\n");
        skip();
    }
    check(&unordered_onednn, LLMRUN_BF16);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#if defined(WITH_OPENBLAS)
        cmocka_unit_test(openblas_agrees_with_the_exact_products),
        cmocka_unit_test(openblas_refuses_bf16),
#endif
#if defined(WITH_ONEDNN)
        cmocka_unit_test(onednn_agrees_with_the_exact_products),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
