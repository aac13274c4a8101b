/* The sum of products of docs/numerics.md, "Matmul": one chain of fused multiply-adds, and the tree over parts. */
#ifndef LLMRUN_CPU_REF_CHAIN_H
#define LLMRUN_CPU_REF_CHAIN_H

#include <math.h>
#include <stdint.h>

struct chain_term {
    float a;
    float b;
};

/* The k-th product of a sum; {0, 0} where the sum has none at that place. */
typedef struct chain_term chain_terms(const void *context, int64_t k);

/* One bf16 step: fma(a, b, sum), where operands below the normal range count as zeros of their sign, and a result that
 * rounds, with an exponent without lower end, to less than 2^-126 is a zero of its sign. */
float chain_step_bf16(float a, float b, float sum);

/* Products begin to end - 1 onto `sum`: fp32 in ascending order; bf16 in pairs from `begin` on, the second one first.
 */
static inline float chain_sum(int bf16, chain_terms *terms, const void *context, int64_t begin, int64_t end, float sum)
{
    if (!bf16) {
        for (int64_t k = begin; k < end; k++) {
            struct chain_term term = terms(context, k);

            sum = fmaf(term.a, term.b, sum);
        }
        return sum;
    }
    for (int64_t k = begin; k < end; k += 2) {
        struct chain_term first = terms(context, k), second = {0.0f, 0.0f};

        if (k + 1 < end)
            second = terms(context, k + 1);
        sum = chain_step_bf16(second.a, second.b, sum);
        sum = chain_step_bf16(first.a, first.b, sum);
    }
    return sum;
}

/* Value `index` of a sum in parts. */
typedef float chain_part(const void *context, int64_t index);

/* Parts first to first + count - 1 as a tree, nearest first: the first h and the rest, h the largest power of two below
 * `count`, each by the same rule. */
float chain_tree(chain_part *part, const void *context, int64_t first, int64_t count);

#endif
