/* The lanes and functions of one instruction set, for the test to call. math_probe.c is compiled once for each. */
#ifndef LLMRUN_TEST_MATH_PROBE_H
#define LLMRUN_TEST_MATH_PROBE_H

#include <stdint.h>

/* y[i] = f(x[i]); count is a multiple of 16. */
typedef void math_probe_function(const float *x, float *y, int64_t count);

struct math_probe {
    const char *isa;
    math_probe_function *exp;
    math_probe_function *log;
    math_probe_function *gelu;
    math_probe_function *gelu_slope;
    math_probe_function *normal; /* of the bits of x */
    math_probe_function *round_bf16;
    math_probe_function *store_bf16; /* and load again */
    float (*sum)(const float x[16]);
    float (*maximum)(const float x[16]);
    void (*philox)(const uint32_t random[4], uint32_t key, uint64_t first, uint32_t words[64]);
};

extern const struct math_probe math_probe_plain;
#if defined(__x86_64__)
extern const struct math_probe math_probe_avx2, math_probe_avx512;
#endif

#endif
