#include "problem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "matmul/bf16.h"
#include "matmul/gemm_regions.h"
#include "matmul/gemm_rows.h"

#define GAP 3 /* elements behind each row of c */

/* splitmix64 (Steele, Lea, Flood 2014) */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static float random_number(uint64_t *state, enum numbers numbers)
{
    static const float special[] = {INFINITY, -INFINITY, NAN, 0.0f, -0.0f, 0x1p-140f, 3e38f, -3e38f};
    uint64_t random = next_random(state);
    float usual = (float)(int32_t)(random >> 32) * 0x1p-30f;
    if (numbers == SPECIAL && random % 16 == 0)
        return special[random / 16 % 8];
    if (numbers == TINY)
        return ldexpf(usual, random % 8 == 0 ? -125 : -60 - (int)(random / 8 % 8));
    return usual;
}

static void *random_array(uint64_t *state, int64_t count, uint32_t dtype, enum numbers numbers)
{
    void *array = malloc((size_t)count * (dtype == LLMRUN_F32 ? 4 : 2));
    assert_non_null(array);
    for (int64_t i = 0; i < count; i++) {
        float number = random_number(state, numbers);
        if (dtype == LLMRUN_F32)
            ((float *)array)[i] = number;
        else
            ((uint16_t *)array)[i] = bf16_round(number);
    }
    return array;
}

/* The strides of `lanes` by `k` elements; returns how many elements that takes, to the last one and no further. */
static int64_t lay_out(enum layout layout, int64_t lanes, int64_t k, int64_t *lane_stride, int64_t *k_stride)
{
    *lane_stride = layout == ALONG_K ? k + 5 : layout == ALONG_LANES ? 1 : 2 * k + 1;
    *k_stride = layout == ALONG_K ? 1 : layout == ALONG_LANES ? lanes + 7 : 2;
    return (lanes - 1) * *lane_stride + (k - 1) * *k_stride + 1;
}

static void *copy_of(const void *from, int64_t bytes)
{
    void *copy = malloc((size_t)bytes);
    assert_non_null(copy);
    return memcpy(copy, from, (size_t)bytes);
}

void problem_create(struct test_problem *test, const struct form *form, uint32_t seed)
{
    uint64_t state = seed;
    int64_t c_row = form->n + GAP, element = form->c_dtype == LLMRUN_F32 ? 4 : 2;
    struct gemm_problem *problem = &test->problem;
    *test = (struct test_problem){.c_bytes = form->m * c_row * element};
    *problem = (struct gemm_problem){.m = form->m, .n = form->n, .dtype = form->dtype, .c_dtype = form->c_dtype};
    problem->segments = form->segments > 0 ? form->segments : 1;
    problem->parts = form->parts;
    problem->accumulate = form->accumulate;
    problem->activation = form->activation;
    for (int s = 0; s < problem->segments; s++) {
        struct gemm_segment *segment = &problem->segment[s];
        int64_t parts = form->parts > 1 ? form->parts : 1;
        segment->k = s == 0 ? form->k : (form->k / parts / 2 + s) * parts;
        int64_t a_count = lay_out(form->a, form->m, segment->k, &segment->a_row, &segment->a_k);
        int64_t b_count = lay_out(form->b, form->n, segment->k, &segment->b_column, &segment->b_k);
        segment->a = test->a[s] = random_array(&state, a_count, form->dtype, form->numbers);
        segment->b = test->b[s] = random_array(&state, b_count, form->dtype, form->numbers);
    }
    if (form->bias)
        problem->bias = test->bias = random_array(&state, form->n, LLMRUN_F32, USUAL);
    test->before = random_array(&state, form->m * c_row, form->c_dtype, form->numbers);
    test->c = copy_of(test->before, test->c_bytes);
    test->expected = copy_of(test->before, test->c_bytes);
    test->aux = copy_of(test->before, test->c_bytes);
    test->expected_aux = copy_of(test->before, test->c_bytes);
    problem->c_row = problem->aux_row = c_row;
    problem->c = test->expected;
    problem->aux = form->aux ? test->expected_aux : NULL;
    gemm_plain(problem, NULL);
    problem->c = test->c;
    problem->aux = form->aux ? test->aux : NULL;
}

void problem_destroy(struct test_problem *test)
{
    for (int s = 0; s < GEMM_SEGMENTS; s++) {
        free(test->a[s]);
        free(test->b[s]);
    }
    free(test->bias);
    free(test->before);
    free(test->c);
    free(test->aux);
    free(test->expected);
    free(test->expected_aux);
}

static float element(const void *array, uint32_t dtype, int64_t at)
{
    return dtype == LLMRUN_F32 ? ((const float *)array)[at] : bf16_widen(((const uint16_t *)array)[at]);
}

static void compare(const struct test_problem *test, const char *kernel, const char *what, const void *got,
                    const void *wanted)
{
    const struct gemm_problem *problem = &test->problem;
    for (int64_t i = 0; i < problem->m * problem->c_row; i++) {
        float a = element(got, problem->c_dtype, i), b = element(wanted, problem->c_dtype, i);
        if (isnan(a) ? !isnan(b) : memcmp(&a, &b, sizeof(a)) != 0)
            fail_msg("%s: %s[%d][%d] is %a, the definition says %a (m %d n %d k %d parts %d)", kernel, what,
                     (int)(i / problem->c_row), (int)(i % problem->c_row), a, b, (int)problem->m, (int)problem->n,
                     (int)problem->segment[0].k, problem->parts);
    }
}

enum way { WHOLE, REGIONS, ROWS, WAYS };

static int64_t workspace_of(const struct gemm_problem *problem, const struct gemm_kernel *kernel, int threads,
                            enum way way)
{
    return way == ROWS      ? gemm_rows_workspace(problem, kernel)
           : way == REGIONS ? gemm_regions_workspace(problem, kernel, threads)
                            : gemm_blocked_workspace(problem, kernel, threads);
}

static void run_way(const struct gemm_problem *problem, const struct gemm_kernel *kernel, struct pool *pool,
                    void *workspace, enum way way)
{
    if (way == ROWS)
        gemm_rows(problem, kernel, pool, workspace);
    else if (way == REGIONS)
        gemm_regions(problem, kernel, pool, workspace);
    else
        gemm_blocked(problem, kernel, pool, workspace);
}

/* With all threads on the whole of c, and each way that gemm_run may choose. */
void problem_check(struct test_problem *test, const struct gemm_kernel *kernel, int threads)
{
    struct pool *pool = threads > 1 ? pool_create(threads) : NULL;
    for (enum way way = WHOLE; way < WAYS; way++) {
        if (way == ROWS && !gemm_rows_fit(&test->problem))
            continue;
        int64_t bytes = workspace_of(&test->problem, kernel, threads, way);
        void *workspace = aligned_alloc(64, (size_t)(bytes + 63) / 64 * 64);
        assert_non_null(workspace);
        memset(workspace, 0xff, (size_t)bytes); /* NaNs: what is read before it is written shows */
        memcpy(test->c, test->before, (size_t)test->c_bytes);
        memcpy(test->aux, test->before, (size_t)test->c_bytes);
        run_way(&test->problem, kernel, pool, workspace, way);
        compare(test, kernel->name, "c", test->c, test->expected);
        compare(test, kernel->name, "aux", test->aux, test->expected_aux);
        free(workspace);
    }
    pool_destroy(pool);
}

void form_check(const struct form *form, uint32_t seed)
{
    struct test_problem test;
    problem_create(&test, form, seed);
    for (const struct gemm_kernel *const *kernel = machine_kernels(form->dtype); *kernel != NULL; kernel++) {
        problem_check(&test, *kernel, 1);
        problem_check(&test, *kernel, 2);
    }
    problem_destroy(&test);
}

const struct gemm_kernel *const *machine_kernels(uint32_t dtype)
{
    static const struct gemm_kernel *kernels[4];
    int count = 0;
#if defined(__x86_64__)
    enum cpu_isa best = cpu_isa_best();
    if (best >= CPU_ISA_AVX2)
        kernels[count++] = dtype == LLMRUN_F32 ? gemm_f32_avx2 : gemm_wide_avx2;
    if (best >= CPU_ISA_AVX512)
        kernels[count++] = dtype == LLMRUN_F32 ? gemm_f32_avx512 : gemm_wide_avx512;
    if (dtype == LLMRUN_BF16 && cpu_isa_has_bf16())
        kernels[count++] = gemm_pair_avx512bf16;
#else
    (void)dtype;
#endif
    kernels[count] = NULL;
    return kernels;
}
