#include "cpu_ref/chain.h"

#include <float.h>

static float without_denormal(float x)
{
    return fabsf(x) < FLT_MIN ? copysignf(0.0f, x) : x;
}

/* fp64 holds the product of two bf16 numbers exactly and has an exponent to spare, but a sum in it would round twice,
 * so fmaf makes the result. Only where that is 2^-126 can it have been rounded up from a number that 24 bits and a free
 * exponent keep below; such a sum has its operands in a narrow range, and there fp64 holds it exactly. */
float chain_step_bf16(float a, float b, float sum)
{
    float result;

    a = without_denormal(a);
    b = without_denormal(b);
    sum = without_denormal(sum);
    result = fmaf(a, b, sum);
    if (fabsf(result) == FLT_MIN && fabs((double)a * (double)b + (double)sum) < 0x1p-126 - 0x1p-151)
        return copysignf(0.0f, result);
    return without_denormal(result);
}

float chain_tree(chain_part *part, const void *context, int64_t first, int64_t count)
{
    int64_t half = 1;

    if (count == 1)
        return part(context, first);
    while (2 * half < count)
        half *= 2;
    return chain_tree(part, context, first, half) + chain_tree(part, context, first + half, count - half);
}
