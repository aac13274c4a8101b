#include <llmrun/random.h>
#include <math.h>

#include "cpu_ref/exact.h"
#include "cpu_ref/reference.h"

static uint32_t element_word(uint64_t key, int64_t element)
{
    uint32_t random[4] = {(uint32_t)key, (uint32_t)(key >> 32), 0, 0};

    return llmrun_random_word(random, 0, (uint64_t)element);
}

/* 24 bits, so that the quotient is exact and below 1. */
static float uniform(uint32_t word)
{
    return (float)(word >> 8) * 0x1p-24f;
}

static float init_element(const struct llmrun_init_attributes *attributes, int64_t i)
{
    float y;

    switch (attributes->distribution) {
    case LLMRUN_INIT_NORMAL:
        return fmaf(attributes->b, exact_normal(element_word(attributes->stream_id, i)), attributes->a);
    case LLMRUN_INIT_UNIFORM:
        y = fmaf(uniform(element_word(attributes->stream_id, i)), attributes->b - attributes->a, attributes->a);
        return y < attributes->b ? y : attributes->a;
    default:
        return attributes->a;
    }
}

/* The logical number of element `i`, which an origin for each dimension tells apart from its place here. */
static int64_t number_of(const struct kernel_call *call, int64_t i)
{
    const struct llmrun_init_attributes *a = call->op->attributes;
    const struct llmrun_tensor *y = &call->op->operands[LLMRUN_INIT_Y];
    const int64_t first[LLMRUN_MAX_RANK] = {a->first0, a->first1, a->first2};
    const int64_t full[LLMRUN_MAX_RANK] = {a->full0, a->full1, a->full2};
    int64_t number = 0, elements = 1;

    for (uint32_t d = y->rank; d-- > 0; i /= y->shape[d]) {
        number += (first[d] + i % y->shape[d]) * elements;
        elements *= full[d] > 0 ? full[d] : y->shape[d];
    }
    return number;
}

static void init_exact(const struct kernel_call *call)
{
    for (int64_t i = 0; i < reference_elements(call, LLMRUN_INIT_Y); i++)
        reference_write(call, LLMRUN_INIT_Y, i, init_element(call->op->attributes, number_of(call, i)));
}

/* The z with 1 - P(z) = tail for the normal distribution P and tail <= 1/2, by Newton's method. */
static double upper_quantile(double tail)
{
    double z = 0;

    for (int i = 0; i < 60; i++) {
        double density = exp(-z * z / 2) * 0.39894228040143267794; /* 1 / sqrt(2 pi) */

        z += (erfc(z * 0.70710678118654752440) / 2 - tail) / density;
    }
    return z;
}

static double normal(uint32_t word)
{
    double p = ((double)word + 0.5) * 0x1p-32;

    return p < 0.5 ? -upper_quantile(p) : upper_quantile(1 - p);
}

static void init_double(const struct kernel_call *call)
{
    const struct llmrun_init_attributes *attributes = call->op->attributes;

    for (int64_t i = 0; i < reference_elements(call, LLMRUN_INIT_Y); i++) {
        if (attributes->distribution == LLMRUN_INIT_NORMAL)
            reference_write(call, LLMRUN_INIT_Y, i,
                            attributes->a +
                                attributes->b * normal(element_word(attributes->stream_id, number_of(call, i))));
        else
            reference_write(call, LLMRUN_INIT_Y, i, init_element(attributes, number_of(call, i)));
    }
}

REFERENCE_KERNELS(init, 0, init_exact, init_double)
