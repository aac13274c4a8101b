/* Rotary positions (Su et al. 2021), with the pairs of Hugging Face's rotate_half: (i, i + d/2). */
#include <math.h>

#include "kernels/lanes.h"

struct rope {
    const void *x;
    void *y;
    const float *cosines; /* the token's row, [half] */
    const float *sines;
    int64_t half;
    float sign; /* of the sines */
};

/* The head whose first element is x[at]. */
LANES_INLINE void rope_head(const struct rope *rope, int64_t at, int bf16)
{
    for (int64_t i = 0; i < rope->half; i += VEC_LANES) {
        int count = vec_lanes_left(rope->half, i);
        struct f32x16 a = lanes_load(rope->x, bf16, at + i, count);
        struct f32x16 b = lanes_load(rope->x, bf16, at + rope->half + i, count);
        struct f32x16 cosine = vec_load_part(rope->cosines + i, count, 0.0f);
        struct f32x16 sine = vec_mul(vec_set(rope->sign), vec_load_part(rope->sines + i, count, 0.0f));

        lanes_store(rope->y, bf16, at + i, vec_fma(a, cosine, vec_neg(vec_mul(b, sine))), count);
        lanes_store(rope->y, bf16, at + rope->half + i, vec_fma(b, cosine, vec_mul(a, sine)), count);
    }
}

LANES_INLINE void rope_rows(const struct kernel_call *call, struct lanes_range tokens, int bf16)
{
    const struct llmrun_rope_attributes *attributes = call->op->attributes;
    const struct llmrun_tensor *table = &call->op->operands[LLMRUN_ROPE_COSINES];
    const int32_t *positions = call->operands[LLMRUN_ROPE_POSITIONS];
    const int64_t channels = call->op->operands[LLMRUN_ROPE_X].shape[1];
    struct rope rope = {.x = call->operands[LLMRUN_ROPE_X],
                        .y = call->operands[LLMRUN_ROPE_Y],
                        .half = table->shape[1],
                        .sign = attributes->inverse ? -1.0f : 1.0f};

    for (int64_t token = tokens.begin; token < tokens.end; token++) {
        int64_t row = token * channels, position = positions[token];

        if (position < 0 || position >= table->shape[0]) {
            for (int64_t c = 0; c < channels; c += VEC_LANES)
                lanes_store(rope.y, bf16, row + c, vec_set(NAN), vec_lanes_left(channels, c));
            continue;
        }
        rope.cosines = (const float *)call->operands[LLMRUN_ROPE_COSINES] + position * rope.half;
        rope.sines = (const float *)call->operands[LLMRUN_ROPE_SINES] + position * rope.half;
        for (uint32_t head = 0; head < attributes->heads; head++)
            rope_head(&rope, row + head * 2 * rope.half, bf16);
    }
}

LANES_RUN(rope, LLMRUN_ROPE_X, lanes_rows, rope_rows)
LANES_KERNEL(rope, 0, rope_run)
