/* Sums over tokens, one chain a channel, batch part, position part and head part, in ascending order of the tokens,
 * within a token of the heads. */
#ifndef LLMRUN_CPU_TOKEN_SUMS_H
#define LLMRUN_CPU_TOKEN_SUMS_H

#include <stdio.h>
#include <string.h>

#include "kernels/lanes.h"

/* Heads of tokens that are added to a vector of channels before it is stored again. */
#define TOKEN_SUMS_BLOCK 8

/* What is summed: dy, and dy times the normalized value (value - mean) rstd. */
struct token_sums {
    const void *dy;    /* [tokens, heads, channels] */
    const void *value; /* [tokens, heads, channels]; needed for dweight, as is rstd */
    const float *mean; /* [tokens, heads]; NULL: 0 */
    const float *rstd;
    float *dweight; /* [head parts * position parts * batch parts, channels]; NULL: not wanted. Holds what the chains
                       start from. */
    float *dbias;   /* [head parts * position parts * batch parts, channels]; NULL: not wanted */
    int64_t tokens;
    int64_t channels;
    int64_t sequence;       /* positions of one */
    int64_t batch_parts;    /* equal parts of the sequences */
    int64_t position_parts; /* equal parts of the positions */
    int64_t heads;
    int64_t head_parts; /* equal parts of the heads */
};

/* Up to sixteen channels of a row of sums, over neighbouring heads of all tokens' heads; c is the channel, `at` its
 * element there. */
LANES_INLINE void token_sums_add(const struct token_sums *sums, int64_t c, int64_t at, int count,
                                 struct lanes_range range, int bf16, int with_weight)
{
    struct f32x16 dbias = vec_zero(), dweight = vec_zero();

    if (sums->dbias != NULL)
        dbias = vec_load_part(sums->dbias + at, count, 0.0f);
    if (with_weight)
        dweight = vec_load_part(sums->dweight + at, count, 0.0f);
    for (int64_t i = range.begin; i < range.end; i++) {
        struct f32x16 dy = lanes_load(sums->dy, bf16, i * sums->channels + c, count);

        dbias = vec_add(dbias, dy);
        if (with_weight) {
            struct f32x16 v = lanes_load(sums->value, bf16, i * sums->channels + c, count);

            if (sums->mean != NULL)
                v = vec_sub(v, vec_set(sums->mean[i]));
            v = vec_mul(v, vec_set(sums->rstd[i]));
            dweight = vec_fma(dy, v, dweight);
        }
    }
    if (sums->dbias != NULL)
        vec_store_part(sums->dbias + at, dbias, count);
    if (with_weight)
        vec_store_part(sums->dweight + at, dweight, count);
}

/* Neighbouring heads of all tokens' heads onto one row of sums. */
LANES_INLINE void token_sums_piece(const struct token_sums *sums, struct lanes_range channels, int64_t row,
                                   struct lanes_range range, int bf16, int with_weight)
{
    for (int64_t i = range.begin; i < range.end; i += TOKEN_SUMS_BLOCK) {
        struct lanes_range block = {i, i + TOKEN_SUMS_BLOCK};

        if (block.end > range.end)
            block.end = range.end;
        for (int64_t c = channels.begin; c < channels.end; c += VEC_LANES)
            token_sums_add(sums, c, row * sums->channels + c, vec_lanes_left(channels.end, c), block, bf16,
                           with_weight);
    }
}

/* All tokens for the channels of `channels`; no other call may have the same channels. */
LANES_INLINE void token_sums_range(const struct token_sums *sums, struct lanes_range channels, int bf16,
                                   int with_weight)
{
    int64_t sequences = sums->tokens / sums->sequence, piece = sums->sequence / sums->position_parts;
    int64_t heads = sums->heads / sums->head_parts, run = sums->head_parts > 1 ? 1 : piece;

    for (int64_t sequence = 0; sequence < sequences; sequence++) {
        int64_t batch_part = sequence / (sequences / sums->batch_parts);

        for (int64_t part = 0; part < sums->position_parts; part++) {
            int64_t first = sequence * sums->sequence + part * piece;

            for (int64_t h = 0; h < sums->head_parts; h++) {
                int64_t row = (h * sums->position_parts + part) * sums->batch_parts + batch_part;

                /* All heads of neighbouring tokens are neighbours; parts of them are so within a token. */
                for (int64_t token = first; token < first + piece; token += run) {
                    int64_t begin = token * sums->heads + h * heads;

                    token_sums_piece(sums, channels, row,
                                     (struct lanes_range){begin, begin + (run - 1) * sums->heads + heads}, bf16,
                                     with_weight);
                }
            }
        }
    }
}

/* Operands of an op that sums over tokens. */
#define TOKEN_SUMS_NONE (-1) /* for those that the op does not have */

struct token_sums_operands {
    int dy;
    int value;
    int mean;
    int rstd;
    int dweight;
    int dbias;
};

/* Its attributes. */
struct token_sums_cut {
    int64_t sequence;
    int64_t batch_parts;
    int64_t position_parts;
    int64_t head_parts;
};

/* Of the sums that the op makes; of its dy where it makes none. */
static inline int64_t token_sums_channels(const struct llmrun_op *op, const struct token_sums_operands *operands)
{
    const int outputs[] = {operands->dweight, operands->dbias};

    for (int i = 0; i < 2; i++)
        if (outputs[i] != TOKEN_SUMS_NONE && op->operands[outputs[i]].dtype != LLMRUN_NONE)
            return op->operands[outputs[i]].shape[1];
    return op->operands[operands->dy].shape[1];
}

LANES_INLINE void *token_sums_operand(const struct kernel_call *call, int operand)
{
    return operand != TOKEN_SUMS_NONE ? call->operands[operand] : NULL;
}

/* All sums of an op for the channels of a task. */
LANES_INLINE void token_sums_task(const struct kernel_call *call, const struct token_sums_operands *operands,
                                  struct token_sums_cut cut, int64_t task)
{
    const struct llmrun_tensor *dy = &call->op->operands[operands->dy];
    const int64_t width = token_sums_channels(call->op, operands);
    const struct token_sums sums = {.dy = call->operands[operands->dy],
                                    .value = token_sums_operand(call, operands->value),
                                    .mean = token_sums_operand(call, operands->mean),
                                    .rstd = token_sums_operand(call, operands->rstd),
                                    .dweight = token_sums_operand(call, operands->dweight),
                                    .dbias = token_sums_operand(call, operands->dbias),
                                    .tokens = dy->shape[0],
                                    .channels = width,
                                    .sequence = cut.sequence,
                                    .batch_parts = cut.batch_parts,
                                    .position_parts = cut.position_parts,
                                    .heads = dy->shape[1] / width,
                                    .head_parts = cut.head_parts};
    int64_t part = lanes_part_channels(sums.channels, pool_threads(call->pool));
    struct lanes_range channels = lanes_part(sums.channels, part, task);
    int bf16 = operand_is_bf16(call->op, operands->dy);

    if (sums.dweight == NULL && bf16)
        token_sums_range(&sums, channels, 1, 0);
    else if (sums.dweight == NULL)
        token_sums_range(&sums, channels, 0, 0);
    else if (bf16)
        token_sums_range(&sums, channels, 1, 1);
    else
        token_sums_range(&sums, channels, 0, 1);
}

/* Whether the sums of an op can be cut as its attributes say. */
static inline int token_sums_fit(int64_t tokens, int64_t all_heads, struct token_sums_cut cut, int64_t rows,
                                 char *reason, size_t reason_bytes)
{
    const int64_t sequence = cut.sequence, batch = cut.batch_parts, positions = cut.position_parts,
                  heads = cut.head_parts;

    if (sequence > 0 && batch > 0 && positions > 0 && tokens % sequence == 0 && sequence % positions == 0 &&
        tokens / sequence % batch == 0 && heads > 0 && all_heads % heads == 0 && rows == heads * positions * batch)
        return 1;
    snprintf(reason, reason_bytes,
             "%lld tokens in sequences of %lld, with %lld heads, cannot be summed in %lld head parts of %lld position "
             "parts of %lld batch parts, as %lld rows",
             (long long)tokens, (long long)sequence, (long long)all_heads, (long long)heads, (long long)positions,
             (long long)batch, (long long)rows);
    return 0;
}

/* The chains of operand `output` start from 0 unless it is added to. */
static inline void token_sums_clear(const struct kernel_call *call, int output)
{
    void *sums = token_sums_operand(call, output);

    if (sums != NULL && !operand_accumulates(call->op, output))
        memset(sums, 0, (size_t)operand_elements(&call->op->operands[output]) * sizeof(float));
}

static inline void token_sums_run(const struct kernel_call *call, const struct token_sums_operands *operands,
                                  pool_task *task)
{
    int64_t channels = token_sums_channels(call->op, operands);
    int64_t part = lanes_part_channels(channels, pool_threads(call->pool));

    token_sums_clear(call, operands->dweight);
    token_sums_clear(call, operands->dbias);
    if (token_sums_operand(call, operands->dweight) != NULL || token_sums_operand(call, operands->dbias) != NULL)
        pool_run(call->pool, lanes_parts(channels, part), task, (void *)call);
}

static inline int token_sums_query(const struct llmrun_op *op, const struct token_sums_operands *operands,
                                   struct token_sums_cut cut, char *reason, size_t reason_bytes)
{
    const int outputs[] = {operands->dweight, operands->dbias};
    int64_t rows = -1; /* no sums are wanted */
    uint32_t added = 0;

    for (int i = 0; i < 2; i++)
        if (outputs[i] != TOKEN_SUMS_NONE) {
            added |= 1u << outputs[i];
            if (rows < 0 && op->operands[outputs[i]].dtype != LLMRUN_NONE)
                rows = op->operands[outputs[i]].shape[0];
        }
    return operand_fit(op, added, reason, reason_bytes) &&
           (rows < 0 || token_sums_fit(op->operands[operands->dy].shape[0],
                                       op->operands[operands->dy].shape[1] / token_sums_channels(op, operands), cut,
                                       rows, reason, reason_bytes));
}

/* Defines name_run(call), which computes the sums of op_name; `where` is its struct token_sums_operands, `heads_of` its
 * head parts. */
#define TOKEN_SUMS_RUN(name, op_name, where, heads_of)                                                                 \
    static struct token_sums_cut op_name##_cut(const struct llmrun_op *op)                                             \
    {                                                                                                                  \
        const struct llmrun_##op_name##_attributes *attributes = op->attributes;                                       \
                                                                                                                       \
        return (struct token_sums_cut){attributes->seq_len, attributes->batch_parts, attributes->position_parts,       \
                                       heads_of};                                                                      \
    }                                                                                                                  \
    static void name##_task(void *context, int64_t task, int thread)                                                   \
    {                                                                                                                  \
        const struct kernel_call *call = context;                                                                      \
                                                                                                                       \
        (void)thread;                                                                                                  \
        token_sums_task(call, &where, op_name##_cut(call->op), task);                                                  \
    }                                                                                                                  \
    static void name##_run(const struct kernel_call *call)                                                             \
    {                                                                                                                  \
        token_sums_run(call, &where, name##_task);                                                                     \
    }

/* Defines the kernel KERNEL_NAME(op_name), behind its TOKEN_SUMS_RUN. */
#define TOKEN_SUMS_KERNEL(op_name, where, run_function)                                                                \
    static int query_##op_name(const struct llmrun_op *op, int threads, int64_t *workspace_bytes, char *reason,        \
                               size_t reason_bytes)                                                                    \
    {                                                                                                                  \
        (void)threads;                                                                                                 \
        (void)workspace_bytes;                                                                                         \
        return token_sums_query(op, &where, op_name##_cut(op), reason, reason_bytes);                                  \
    }                                                                                                                  \
    extern const struct kernel KERNEL_NAME(op_name);                                                                   \
    const struct kernel KERNEL_NAME(op_name) = {                                                                       \
        .name = #op_name " " KERNEL_ISA_TEXT, .query = query_##op_name, .run = run_function};

#endif
