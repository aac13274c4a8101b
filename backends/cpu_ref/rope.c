/* Rotary positions (Su et al. 2021), with the pairs of Hugging Face's rotate_half: (i, i + d/2). */
#include <math.h>

#include "cpu_ref/reference.h"

/* Turns the pair whose first element is x[at], of width 2 half, by column i of the tables. */
static void pair_exact(const struct kernel_call *call, int64_t at, int64_t half, int64_t entry, float sign)
{
    float a = reference_read(call, LLMRUN_ROPE_X, at), b = reference_read(call, LLMRUN_ROPE_X, at + half);
    float cosine = reference_read(call, LLMRUN_ROPE_COSINES, entry);
    float sine = sign * reference_read(call, LLMRUN_ROPE_SINES, entry);
    float first = b * sine, second = a * sine;

    reference_write(call, LLMRUN_ROPE_Y, at, fmaf(a, cosine, -first));
    reference_write(call, LLMRUN_ROPE_Y, at + half, fmaf(b, cosine, second));
}

static void pair_double(const struct kernel_call *call, int64_t at, int64_t half, int64_t entry, float sign)
{
    double a = reference_read_double(call, LLMRUN_ROPE_X, at);
    double b = reference_read_double(call, LLMRUN_ROPE_X, at + half);
    double cosine = reference_read_double(call, LLMRUN_ROPE_COSINES, entry);
    double sine = sign * reference_read_double(call, LLMRUN_ROPE_SINES, entry);

    reference_write(call, LLMRUN_ROPE_Y, at, a * cosine - b * sine);
    reference_write(call, LLMRUN_ROPE_Y, at + half, b * cosine + a * sine);
}

typedef void turn_pair(const struct kernel_call *call, int64_t at, int64_t half, int64_t entry, float sign);

static void turn(const struct kernel_call *call, turn_pair *pair)
{
    const struct llmrun_rope_attributes *attributes = call->op->attributes;
    const int32_t *positions = call->operands[LLMRUN_ROPE_POSITIONS];
    int64_t channels = reference_extent(call, LLMRUN_ROPE_X, 1), half = reference_extent(call, LLMRUN_ROPE_COSINES, 1);
    float sign = attributes->inverse ? -1.0f : 1.0f;

    for (int64_t token = 0; token < reference_extent(call, LLMRUN_ROPE_X, 0); token++) {
        int inside = positions[token] >= 0 && positions[token] < reference_extent(call, LLMRUN_ROPE_COSINES, 0);

        for (int64_t c = 0; c < channels; c++) {
            if (!inside)
                reference_write(call, LLMRUN_ROPE_Y, token * channels + c, NAN);
            else if (c % (2 * half) < half)
                pair(call, token * channels + c, half, positions[token] * half + c % (2 * half), sign);
        }
    }
}

static void rope_exact(const struct kernel_call *call)
{
    turn(call, pair_exact);
}

static void rope_double(const struct kernel_call *call)
{
    turn(call, pair_double);
}

REFERENCE_KERNELS(rope, 0, rope_exact, rope_double)
