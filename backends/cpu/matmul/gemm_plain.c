#include "matmul/gemm.h"

#include <float.h>
#include <math.h>

#include "matmul/bf16.h"
#include "matmul/float_state.h"

#define ROUNDS 9 /* log2(GEMM_PARTS) + 1: levels of the tree of parts */

_Static_assert(GEMM_PARTS == 1 << (ROUNDS - 1), "the tree has as many levels as the most parts need");

static float without_denormals(float number)
{
    return fabsf(number) < FLT_MIN ? copysignf(0.0f, number) : number;
}

/* The product of two bf16 numbers has 16 bits, so it is exact in fp32 but for its range. Where fma answers 2^-126 it
 * may have rounded up from below with the coarser steps of the denormal range; the same sum scaled by 2^126, where the
 * steps are those of an exponent without end, tells. There |sum| < 1: else the sum is a multiple of 2^-24 or larger,
 * and nowhere near 2^-126. */
float gemm_step_bf16(float a, float b, float sum)
{
    a = without_denormals(a);
    b = without_denormals(b);
    sum = without_denormals(sum);
    float result = fmaf(a, b, sum);
    if (fabsf(result) == FLT_MIN) {
        float product = (float)((double)a * (double)b * 0x1p126);
        if (fabsf(product + sum * 0x1p126f) < 1.0f)
            return copysignf(0.0f, result);
    }
    return without_denormals(result);
}

static float chain_f32(const struct gemm_segment *segment, int64_t i, int64_t j, int64_t begin, int64_t end, float sum)
{
    const float *a = (const float *)segment->a + i * segment->a_row;
    const float *b = (const float *)segment->b + j * segment->b_column;
    for (int64_t k = begin; k < end; k++)
        sum = fmaf(a[k * segment->a_k], b[k * segment->b_k], sum);
    return sum;
}

static float chain_bf16(const struct gemm_segment *segment, int64_t i, int64_t j, int64_t begin, int64_t end, float sum)
{
    const uint16_t *a = (const uint16_t *)segment->a + i * segment->a_row;
    const uint16_t *b = (const uint16_t *)segment->b + j * segment->b_column;
    for (int64_t k = begin; k < end; k += 2) {
        int odd = k + 1 < end;
        float odd_a = odd ? bf16_widen(a[(k + 1) * segment->a_k]) : 0.0f;
        float odd_b = odd ? bf16_widen(b[(k + 1) * segment->b_k]) : 0.0f;
        sum = gemm_step_bf16(odd_a, odd_b, sum);
        sum = gemm_step_bf16(bf16_widen(a[k * segment->a_k]), bf16_widen(b[k * segment->b_k]), sum);
    }
    return sum;
}

static float part_sum(const struct gemm_problem *problem, int64_t i, int64_t j, int part, int parts, float sum)
{
    for (int s = 0; s < problem->segments; s++) {
        const struct gemm_segment *segment = &problem->segment[s];
        int64_t size = segment->k / parts;
        if (problem->dtype == LLMRUN_F32)
            sum = chain_f32(segment, i, j, part * size, (part + 1) * size, sum);
        else
            sum = chain_bf16(segment, i, j, part * size, (part + 1) * size, sum);
    }
    return sum;
}

float gemm_plain_sum(const struct gemm_problem *problem, int64_t i, int64_t j)
{
    float found = problem->accumulate ? ((const float *)problem->c)[i * problem->c_row + j] : 0.0f;
    int parts = problem->parts > 1 ? problem->parts : 1;
    if (parts == 1)
        return part_sum(problem, i, j, 0, 1, found);

    float pending[ROUNDS];
    for (int part = 0; part < parts; part++) {
        float sum = part_sum(problem, i, j, part, parts, 0.0f);
        int level = 0;
        for (; part >> level & 1; level++)
            sum = pending[level] + sum;
        pending[level] = sum;
    }
    float sum = pending[__builtin_ctz((unsigned)parts)];
    return problem->accumulate ? found + sum : sum;
}

/* Rounds to the type of c, stores, and returns what was stored. */
static float store(void *to, int64_t at, uint32_t dtype, float number)
{
    if (dtype == LLMRUN_F32)
        return ((float *)to)[at] = number;
    return bf16_widen(((uint16_t *)to)[at] = bf16_round(number));
}

static void plain_row(void *context, int64_t i, int thread)
{
    const struct gemm_problem *problem = context;
    unsigned state = float_state_set(0);
    (void)thread;
    for (int64_t j = 0; j < problem->n; j++) {
        float value = gemm_plain_sum(problem, i, j);
        if (problem->bias != NULL)
            value = value + problem->bias[j];
        if (problem->aux != NULL)
            store(problem->aux, i * problem->aux_row + j, problem->c_dtype, value);
        if (problem->activation != NULL) {
            value = problem->c_dtype == LLMRUN_F32 ? value : bf16_widen(bf16_round(value));
            problem->activation(&value, 1);
        }
        store(problem->c, i * problem->c_row + j, problem->c_dtype, value);
    }
    float_state_restore(state);
}

void gemm_plain(const struct gemm_problem *problem, struct pool *pool)
{
    struct gemm_problem copy = *problem;
    if (pool != NULL) {
        pool_run(pool, problem->m, plain_row, &copy);
        return;
    }
    for (int64_t i = 0; i < problem->m; i++)
        plain_row(&copy, i, 0);
}
