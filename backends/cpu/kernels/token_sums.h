/* Sums over tokens, one chain a channel in ascending order of the tokens. */
#ifndef LLMRUN_CPU_TOKEN_SUMS_H
#define LLMRUN_CPU_TOKEN_SUMS_H

#include <string.h>

#include "kernels/lanes.h"

/* Tokens that are added to a vector of channels before it is stored again. */
#define TOKEN_SUMS_BLOCK 8

/* What is summed: dy, and dy times the normalized value (value - mean) rstd. */
struct token_sums {
    const void *dy;    /* [tokens, channels] */
    const void *value; /* [tokens, channels]; needed for dgain, as is rstd */
    const float *mean; /* [tokens]; NULL: 0 */
    const float *rstd;
    float *dgain; /* [channels]; NULL: not wanted. Holds what the chains start from. */
    float *dbias; /* [channels]; NULL: not wanted */
    int64_t tokens;
    int64_t channels;
};

/* Up to sixteen channels from c on, over the tokens of `range`. */
LANES_INLINE void token_sums_add(const struct token_sums *sums, int64_t c, int count, struct lanes_range range,
                                 int bf16, int with_gain)
{
    struct f32x16 dbias = vec_zero(), dgain = vec_zero();

    if (sums->dbias != NULL)
        dbias = vec_load_part(sums->dbias + c, count, 0.0f);
    if (with_gain)
        dgain = vec_load_part(sums->dgain + c, count, 0.0f);
    for (int64_t token = range.begin; token < range.end; token++) {
        struct f32x16 dy = lanes_load(sums->dy, bf16, token * sums->channels + c, count);

        dbias = vec_add(dbias, dy);
        if (with_gain) {
            struct f32x16 v = lanes_load(sums->value, bf16, token * sums->channels + c, count);

            if (sums->mean != NULL)
                v = vec_sub(v, vec_set(sums->mean[token]));
            v = vec_mul(v, vec_set(sums->rstd[token]));
            dgain = vec_fma(dy, v, dgain);
        }
    }
    if (sums->dbias != NULL)
        vec_store_part(sums->dbias + c, dbias, count);
    if (with_gain)
        vec_store_part(sums->dgain + c, dgain, count);
}

/* All tokens for the channels of `channels`; no other call may have the same channels. */
LANES_INLINE void token_sums_range(const struct token_sums *sums, struct lanes_range channels, int bf16, int with_gain)
{
    for (int64_t token = 0; token < sums->tokens; token += TOKEN_SUMS_BLOCK) {
        struct lanes_range block = {token, token + TOKEN_SUMS_BLOCK};

        if (block.end > sums->tokens)
            block.end = sums->tokens;
        for (int64_t c = channels.begin; c < channels.end; c += VEC_LANES)
            token_sums_add(sums, c, vec_lanes_left(channels.end, c), block, bf16, with_gain);
    }
}

/* The chains of operand `output` start from 0 unless it is added to. */
static inline void token_sums_clear(const struct kernel_call *call, int output)
{
    if (call->operands[output] != NULL && !operand_accumulates(call->op, output))
        memset(call->operands[output], 0, (size_t)call->op->operands[output].shape[0] * sizeof(float));
}

#endif
