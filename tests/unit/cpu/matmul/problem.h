/* Random matrix products for the tests, and the kernels that this machine can run. */
#ifndef LLMRUN_TEST_PROBLEM_H
#define LLMRUN_TEST_PROBLEM_H

#include "matmul/gemm_kernel.h"

/* How an operand lies in memory. */
enum layout {
    ALONG_K,     /* neighbours along k are side by side */
    ALONG_LANES, /* neighbours along i or j are side by side */
    APART,       /* neither */
    LAYOUTS
};

/* What the numbers are like. */
enum numbers {
    USUAL,   /* [-2, 2) */
    TINY,    /* products and sums at the lower end of the normal range, operands below it among them */
    SPECIAL, /* infinities, NaNs and zeros of both signs among usual numbers */
    NUMBERS
};

struct form {
    int64_t m, n, k;
    uint32_t dtype, c_dtype;
    int segments; /* 0: one; k is that of the first, the others have k / 2 + 1 (a multiple of the parts) */
    int parts;
    int accumulate;
    enum layout a, b;
    enum numbers numbers;
    int bias, aux;
    gemm_activation *activation;
};

/* A problem with its memory. Rows of c and aux are longer than n, so that a write beside the result is found. */
struct test_problem {
    struct gemm_problem problem;
    void *a[GEMM_SEGMENTS], *b[GEMM_SEGMENTS];
    float *bias;
    int64_t c_bytes;
    void *before;                  /* c and aux as the kernel finds them */
    void *c, *aux;                 /* what the kernel under test writes */
    void *expected, *expected_aux; /* what the definition says */
};

/* `seed` makes the numbers. Fills expected by the plain definition. */
void problem_create(struct test_problem *test, const struct form *form, uint32_t seed);
void problem_destroy(struct test_problem *test);
/* Runs the kernel with that many threads and compares bits (NaNs as NaNs) with the definition; fails the cmocka test
 * where one differs. */
void problem_check(struct test_problem *test, const struct gemm_kernel *kernel, int threads);
/* Form and check in one, with one and two threads, for every kernel of this machine that does form->dtype. */
void form_check(const struct form *form, uint32_t seed);

/* Kernels of this machine for a dtype; NULL at the end. */
const struct gemm_kernel *const *machine_kernels(uint32_t dtype);

#endif
