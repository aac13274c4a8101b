#include "matmul/gemm_kernel.h"

#include <math.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>

#include "runtime/clock.h"

#define CHECK_M      15
#define CHECK_N      33
#define CHECK_K      46
#define CHECK_ROUNDS 2
#define TIMED_UNITS  256
#define TIMED_RUNS   7

/* xorshift32 (Marsaglia 2003) */
static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* Random sign and fraction; the biased exponent is `low` to low + span - 1. */
static uint16_t random_bf16(uint32_t *state, uint32_t low, uint32_t span)
{
    uint32_t bits = next_random(state);
    return (uint16_t)((bits & 0x807fu) | (low + (bits >> 16) % span) << 7);
}

/* Where the exponents of a, of b and of the starting sums lie: usual numbers; everything finite; products and sums at
 * the lower end of the normal range; sums at that end that products too small to be numbers decide on. */
struct check_range {
    uint32_t a_low, a_span, b_low, b_span;
    float start;
};

static const struct check_range check_ranges[] = {
    {120, 12, 120, 12, 1.0f},    {0, 255, 0, 255, 0x1p-120f}, {0, 4, 110, 30, 0x1p-125f},
    {56, 16, 56, 16, 0x1p-126f}, {46, 8, 50, 8, 0x1p-126f},   {40, 20, 50, 10, 0x1.000002p-126f},
};

static int same_bits(const float *a, const float *b, int count)
{
    for (int i = 0; i < count; i++) {
        if (isnan(a[i]) ? !isnan(b[i]) : memcmp(&a[i], &b[i], sizeof(float)) != 0)
            return 0;
    }
    return 1;
}

static int check_range(const struct gemm_kernel *kernel, const struct check_range *range, uint32_t *state)
{
    _Alignas(64) static _Thread_local char workspace[32768];
    uint16_t a[CHECK_M * CHECK_K], b[CHECK_K * CHECK_N];
    float c[CHECK_M * CHECK_N], expected[CHECK_M * CHECK_N];
    struct gemm_problem problem = {.m = CHECK_M, .n = CHECK_N, .dtype = LLMRUN_BF16, .c_dtype = LLMRUN_F32};
    problem.segments = 1;
    problem.accumulate = 1;
    problem.c_row = CHECK_N;
    for (int i = 0; i < CHECK_M * CHECK_K; i++)
        a[i] = random_bf16(state, range->a_low, range->a_span);
    for (int i = 0; i < CHECK_K * CHECK_N; i++)
        b[i] = random_bf16(state, range->b_low, range->b_span);
    for (int i = 0; i < CHECK_M * CHECK_N; i++)
        c[i] = expected[i] = next_random(state) & 1 ? range->start : -range->start;

    /* k = 1, 2, 3 as well as all: an early difference may vanish in a long sum. */
    int64_t ks[] = {1, 2, 3, CHECK_K};
    for (int i = 0; i < 4; i++) {
        problem.segment[0] = (struct gemm_segment){ks[i], a, CHECK_K, 1, b, CHECK_N, 1};
        if (gemm_blocked_workspace(&problem, kernel, 1) > (int64_t)sizeof(workspace))
            return 0;
        problem.c = c;
        gemm_blocked(&problem, kernel, NULL, workspace);
        problem.c = expected;
        gemm_plain(&problem, NULL);
        if (!same_bits(c, expected, CHECK_M * CHECK_N))
            return 0;
    }
    return 1;
}

int gemm_kernel_check_bf16(const struct gemm_kernel *kernel)
{
    uint32_t state = 2463534242u;
    for (int round = 0; round < CHECK_ROUNDS; round++) {
        for (size_t i = 0; i < sizeof(check_ranges) / sizeof(check_ranges[0]); i++) {
            if (!check_range(kernel, &check_ranges[i], &state))
                return 0;
        }
    }
    return 1;
}

#if defined(__x86_64__)
/* Shortest of several runs of the full tile over TIMED_UNITS pairs. */
static int64_t tile_ns(const struct gemm_kernel *kernel)
{
    static const uint32_t zeros[2 * TIMED_UNITS * GEMM_MOST_COLUMNS];
    float sum[GEMM_MOST_ROWS * GEMM_MOST_COLUMNS];
    int64_t steps = kernel->unit == GEMM_UNIT_WIDE ? 2 * TIMED_UNITS : TIMED_UNITS;
    int64_t best = INT64_MAX;
    for (int run = 0; run < TIMED_RUNS; run++) {
        struct gemm_tile_job job = {.steps = steps, .parts = 1, .a = zeros, .b = zeros, .end = sum, .next = sum};
        job.stride = kernel->columns;
        int64_t start = clock_now_ns();
        kernel->tile[kernel->rows - 1](&job);
        int64_t ns = clock_now_ns() - start;
        best = ns < best ? ns : best;
    }
    return best;
}

static const struct gemm_kernel *bf16_on_avx512;

/* The instruction does two steps, but not everywhere faster than two fused multiply-adds: on Zen 4 at twice their rate,
 * on Sapphire Rapids at half. Either way has the same bits, so a clock may decide. At equal speed the instruction is
 * taken: its panels are half as large. */
static void choose_bf16_on_avx512(void)
{
    bf16_on_avx512 = gemm_wide_avx512;
    if (cpu_isa_has_bf16() && gemm_kernel_check_bf16(gemm_pair_avx512bf16) &&
        tile_ns(gemm_pair_avx512bf16) <= tile_ns(gemm_wide_avx512))
        bf16_on_avx512 = gemm_pair_avx512bf16;
}

const struct gemm_kernel *gemm_kernel_choose(uint32_t dtype, enum cpu_isa isa)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (isa == CPU_ISA_AVX2)
        return dtype == LLMRUN_F32 ? gemm_f32_avx2 : gemm_wide_avx2;
    if (isa != CPU_ISA_AVX512)
        return NULL;
    if (dtype == LLMRUN_F32)
        return gemm_f32_avx512;
    pthread_once(&once, choose_bf16_on_avx512);
    return bf16_on_avx512;
}
#else
const struct gemm_kernel *gemm_kernel_choose(uint32_t dtype, enum cpu_isa isa)
{
    (void)dtype, (void)isa;
    return NULL;
}
#endif
