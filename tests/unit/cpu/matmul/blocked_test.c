/* Every kernel of this machine against the plain definition, bit for bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "every.h"
#include "matmul/gemm_regions.h"
#include "problem.h"

static const uint32_t dtypes[] = {LLMRUN_F32, LLMRUN_BF16};

static void every_small_shape_has_the_defined_bits(void **state)
{
    static const int64_t sizes[] = {1, 2, 3, 5, 6, 7, 13, 14, 15, 16, 17, 31, 32, 33, 47, 61};
    int count = (int)(sizeof(sizes) / sizeof(sizes[0]));
    (void)state;
    for (uint32_t i = 0; i < 160; i += EVERY(5)) {
        struct form form = {.m = sizes[i % count], .n = sizes[i * 7 / 3 % count], .k = sizes[i * 5 / 2 % count]};
        form.dtype = dtypes[i % 2];
        form.c_dtype = dtypes[i / 2 % 2];
        form.a = (enum layout)(i / 3 % LAYOUTS);
        form.b = (enum layout)(i / 9 % LAYOUTS);
        form.bias = i % 5 == 0;
        form_check(&form, i);
    }
}

static void shapes_beyond_every_block_size_have_the_defined_bits(void **state)
{
    static const struct {
        int64_t m, n, k;
    } shapes[] = {{1040, 35, 5}, {30, 3110, 3}, {15, 33, 2050}, {17, 270, 769}, {29, 515, 401}, {7, 18, 5000}};
    (void)state;
    for (uint32_t i = 0; i < 24; i += EVERY(5)) {
        struct form form = {.m = shapes[i / 4].m, .n = shapes[i / 4].n, .k = shapes[i / 4].k};
        form.dtype = dtypes[i % 2];
        form.c_dtype = dtypes[i / 2 % 2];
        form.b = ALONG_LANES;
        form_check(&form, 1000 + i);
    }
}

static void a_product_is_cut_where_packing_twice_is_cheap(void **state)
{
    struct gemm_problem large = {.m = 1024, .n = 768}, row = {.m = 1, .n = 768}, small = {.m = 64, .n = 64};
    (void)state;
    for (const struct gemm_kernel *const *kernel = machine_kernels(LLMRUN_F32); *kernel != NULL; kernel++) {
        struct gemm_grid grid = gemm_grid_choose(&large, *kernel, 2);
        assert_int_equal(grid.rows * grid.columns, 2);
        grid = gemm_grid_choose(&row, *kernel, 2);
        assert_int_equal(grid.rows, 1);
        assert_int_equal(grid.columns, 2);
        grid = gemm_grid_choose(&large, *kernel, 64);
        assert_int_equal(grid.rows * grid.columns, 1);
        grid = gemm_grid_choose(&small, *kernel, 8);
        assert_int_equal(grid.rows * grid.columns, 1);
    }
}

static void accumulation_goes_on_where_the_output_stands(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 12; i += EVERY(5)) {
        struct form form = {.m = 31 + i, .n = 65 - i, .k = i % 3 == 0 ? 801 : 19, .accumulate = 1};
        form.dtype = dtypes[i % 2];
        form.c_dtype = LLMRUN_F32;
        form.a = ALONG_LANES;
        form_check(&form, 2000 + i);
    }
}

static void parts_have_the_defined_bits(void **state)
{
    static const int parts[] = {2, 4, 8, 32};
    (void)state;
    for (uint32_t i = 0; i < 32; i += EVERY(5)) {
        struct form form = {.m = 33, .n = 290, .parts = parts[i / 2 % 4]};
        form.k = form.parts * (int64_t)(3 + i);
        form.segments = 1 + (int)(i % GEMM_SEGMENTS);
        form.dtype = dtypes[i % 2];
        form.c_dtype = dtypes[i / 8 % 2];
        form.accumulate = form.c_dtype == LLMRUN_F32 && i / 4 % 2;
        form.bias = i % 7 == 0;
        form_check(&form, 3000 + i);
    }
}

/* Several parts in a KC block, one part a KC block, several KC blocks a part; c in fp32, added to, and in bf16. */
static void parts_longer_and_shorter_than_a_kc_block_have_the_defined_bits(void **state)
{
    static const int64_t parts[] = {96, 97, 384, 1000, 1700};
    (void)state;
    for (uint32_t i = 0; i < 20; i += EVERY(3)) {
        struct form form = {.m = 29, .n = 70, .parts = i % 2 ? 8 : 4};
        form.k = form.parts * parts[i % 5];
        form.segments = i % 5 == 2 ? 3 : 1;
        form.dtype = dtypes[i / 2 % 2];
        form.c_dtype = dtypes[i / 4 % 2];
        form.a = (enum layout)(i / 3 % LAYOUTS);
        form.accumulate = form.c_dtype == LLMRUN_F32 && i % 3 > 0;
        form.bias = i % 4 == 0;
        form_check(&form, 4000 + i);
    }
}

static void segments_have_the_defined_bits(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 24; i += EVERY(5)) {
        struct form form = {.m = 20, .n = 50, .k = i < 12 ? 1 + i : 700 + i, .segments = 2 + (int)(i / 2 % 2)};
        form.dtype = dtypes[i % 2];
        form.c_dtype = dtypes[i / 3 % 2];
        form.b = (enum layout)(i % LAYOUTS);
        form_check(&form, 4000 + i);
    }
}

static void numbers_at_the_edge_of_the_range_have_the_defined_bits(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 60; i += EVERY(5)) {
        struct form form = {.m = 29, .n = 40, .k = 1 + i % 10, .accumulate = i / 4 % 2};
        form.numbers = i % 4 < 2 ? TINY : SPECIAL;
        form.dtype = dtypes[i % 2];
        form.c_dtype = form.accumulate ? LLMRUN_F32 : dtypes[i / 8 % 2];
        form_check(&form, 5000 + i);
    }
}

static void double_and_add_one(float *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        values[i] = 2.0f * values[i] + 1.0f;
}

static void few_rows_have_the_defined_bits(void **state)
{
    static const int64_t ks[] = {1, 2, 3, 7, 8, 9, 31, 64, 130, 277, 768};
    static const int64_t ns[] = {1, 15, 16, 17, 48, 64, 65, 130, 400};
    (void)state;
    for (uint32_t i = 0; i < 128; i += EVERY(5)) {
        struct form form = {.m = 1 + i % 5, .n = ns[i % 9], .k = ks[i % 11], .b = ALONG_K};
        form.parts = i % 3 == 0 ? 1 << i / 3 % 5 : 1;
        form.k *= form.parts;
        form.segments = 1 + (int)(i / 7 % GEMM_SEGMENTS);
        form.dtype = dtypes[i % 2];
        form.c_dtype = dtypes[i / 2 % 2];
        form.accumulate = form.c_dtype == LLMRUN_F32 && i / 4 % 2;
        form.a = (enum layout)(i / 5 % LAYOUTS);
        form.numbers = (enum numbers)(i / 11 % NUMBERS);
        form.bias = i / 8 % 2;
        form.aux = i / 16 % 2;
        form.activation = i / 32 % 2 ? double_and_add_one : NULL;
        form_check(&form, 8000 + i);
    }
}

static void bias_aux_and_activation_have_the_defined_bits(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 32; i += EVERY(5)) {
        struct form form = {.m = 17 + i, .n = 300 - i, .k = i % 2 ? 9 : 600, .bias = i / 2 % 2, .aux = i / 4 % 2};
        form.dtype = dtypes[i / 8 % 2];
        form.c_dtype = dtypes[i / 16 % 2];
        form.activation = i % 3 == 0 ? NULL : double_and_add_one;
        form_check(&form, 6000 + i);
    }
}

#if defined(__x86_64__)
static void the_caller_keeps_its_floating_point_modes(void **state)
{
    struct form form = {.m = 20, .n = 40, .k = 10, .dtype = LLMRUN_BF16, .c_dtype = LLMRUN_F32, .numbers = TINY};
    struct test_problem test;
    (void)state;
    problem_create(&test, &form, 7000);
    unsigned found = __builtin_ia32_stmxcsr(), flushing = found | 0x8040u;
    for (const struct gemm_kernel *const *kernel = machine_kernels(form.dtype); *kernel != NULL; kernel++) {
        __builtin_ia32_ldmxcsr(flushing);
        problem_check(&test, *kernel, 1);
        unsigned kept = __builtin_ia32_stmxcsr();
        __builtin_ia32_ldmxcsr(found);
        assert_int_equal(kept & 0xffc0u, flushing & 0xffc0u);
    }
    problem_destroy(&test);
}

static void fp32_keeps_denormals_where_the_caller_flushes_them(void **state)
{
    struct form form = {.m = 20, .n = 40, .k = 10, .dtype = LLMRUN_F32, .c_dtype = LLMRUN_F32, .numbers = TINY};
    struct test_problem test;
    (void)state;
    problem_create(&test, &form, 7001);
    unsigned found = __builtin_ia32_stmxcsr();
    for (const struct gemm_kernel *const *kernel = machine_kernels(form.dtype); *kernel != NULL; kernel++) {
        __builtin_ia32_ldmxcsr(found | 0x8040u);
        problem_check(&test, *kernel, 1);
        __builtin_ia32_ldmxcsr(found);
    }
    problem_destroy(&test);
}

static void the_self_test_passes_kernels_of_this_machine(void **state)
{
    (void)state;
    for (const struct gemm_kernel *const *kernel = machine_kernels(LLMRUN_BF16); *kernel != NULL; kernel++)
        assert_true(gemm_kernel_check_bf16(*kernel));
}

/* The fp32 tile on widened numbers in the order of bf16, but without flushing: right but for small numbers. */
static void the_self_test_finds_a_kernel_that_keeps_denormals(void **state)
{
    (void)state;
    for (const struct gemm_kernel *const *kernel = machine_kernels(LLMRUN_BF16); *kernel != NULL; kernel++) {
        struct gemm_kernel keeping = **kernel;
        if (keeping.unit == GEMM_UNIT_WIDE) {
            keeping.flush = 0;
            assert_false(gemm_kernel_check_bf16(&keeping));
        }
    }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_small_shape_has_the_defined_bits),
        cmocka_unit_test(shapes_beyond_every_block_size_have_the_defined_bits),
        cmocka_unit_test(a_product_is_cut_where_packing_twice_is_cheap),
        cmocka_unit_test(accumulation_goes_on_where_the_output_stands),
        cmocka_unit_test(parts_have_the_defined_bits),
        cmocka_unit_test(parts_longer_and_shorter_than_a_kc_block_have_the_defined_bits),
        cmocka_unit_test(segments_have_the_defined_bits),
        cmocka_unit_test(numbers_at_the_edge_of_the_range_have_the_defined_bits),
        cmocka_unit_test(few_rows_have_the_defined_bits),
        cmocka_unit_test(bias_aux_and_activation_have_the_defined_bits),
#if defined(__x86_64__)
        cmocka_unit_test(the_caller_keeps_its_floating_point_modes),
        cmocka_unit_test(fp32_keeps_denormals_where_the_caller_flushes_them),
        cmocka_unit_test(the_self_test_passes_kernels_of_this_machine),
        cmocka_unit_test(the_self_test_finds_a_kernel_that_keeps_denormals),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
