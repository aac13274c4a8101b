/* Each kernel on each instruction set and number of threads against the exact reference, bit for bit. Seeds are the
 * case's extents. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu_ref/table.h"
#include "every.h"
#include "kernels/table.h"
#include "op_case.h"

static const uint32_t compute_types[] = {LLMRUN_F32, LLMRUN_BF16};
static const enum numbers kinds[] = {NUMBERS_USUAL, NUMBERS_SPECIAL};

struct size {
    int64_t tokens;
    int64_t channels;
};

/* Around the vector of 16, the part of 16384 elements, and the block of 8 tokens. */
static const struct size sizes[] = {{1, 1},   {2, 15},   {3, 16},   {7, 17},   {8, 64},
                                    {9, 100}, {23, 768}, {65, 301}, {2, 16399}};

#define COUNT(array)                (sizeof(array) / sizeof((array)[0]))
#define FOR_EACH(type, item, array) for (const type *item = (array); item < (array) + COUNT(array); item++)
#define FOR_EVERY_THIRD(type, item, array)                                                                             \
    for (const type *item = (array); item < (array) + COUNT(array); item += EVERY(3))

/* Calls `one` with every size, compute type, kind of numbers, and variant: optional operands, accumulation. The large
 * sizes, which are there for the parts that threads take, have the last variant only. */
typedef void check_one(const struct size *size, uint32_t dtype, enum numbers numbers, unsigned variant);

static void check_all(check_one *one, unsigned variants)
{
    FOR_EVERY_THIRD(struct size, size, sizes)
    FOR_EACH(uint32_t, dtype, compute_types)
    FOR_EACH(enum numbers, numbers, kinds)
    for (unsigned variant = size->tokens * size->channels > 10000 ? variants - 1 : 0; variant < variants; variant++)
        one(size, *dtype, *numbers, variant);
}

static const char *describe(const struct size *size, uint32_t dtype, enum numbers numbers, unsigned variant)
{
    static char text[128];

    snprintf(text, sizeof(text), "%lld x %lld %s%s, variant %u", (long long)size->tokens, (long long)size->channels,
             dtype == LLMRUN_F32 ? "f32" : "bf16", numbers == NUMBERS_SPECIAL ? " with special numbers" : "", variant);
    return text;
}

static uint64_t seed(const struct size *size, unsigned variant)
{
    return (uint64_t)(size->tokens * 100000 + size->channels * 10) + variant;
}

static void check_gelu(const struct size *size, uint32_t dtype, enum numbers numbers, unsigned variant)
{
    const int64_t *extents = EXTENTS(size->tokens, size->channels);
    struct op_case op;

    op_case_begin(&op, LLMRUN_OP_GELU, NULL, seed(size, variant));
    op_case_operand(&op, LLMRUN_GELU_X, dtype, extents, numbers);
    op_case_operand(&op, LLMRUN_GELU_Y, dtype, extents, numbers);
    op_case_check(&op, describe(size, dtype, numbers, variant));
}

static void check_gelu_grad(const struct size *size, uint32_t dtype, enum numbers numbers, unsigned variant)
{
    const int64_t *extents = EXTENTS(size->tokens, size->channels);
    struct op_case op;

    op_case_begin(&op, LLMRUN_OP_GELU_GRAD, NULL, seed(size, variant));
    op_case_operand(&op, LLMRUN_GELU_GRAD_DY, dtype, extents, numbers);
    op_case_operand(&op, LLMRUN_GELU_GRAD_X, dtype, extents, numbers);
    op_case_operand(&op, LLMRUN_GELU_GRAD_DX, dtype, extents, numbers);
    op_case_check(&op, describe(size, dtype, numbers, variant));
}

static void check_add(const struct size *size, uint32_t dtype, enum numbers numbers, unsigned variant)
{
    const int64_t *extents = EXTENTS(size->tokens, size->channels);
    struct op_case op;

    op_case_begin(&op, LLMRUN_OP_ADD, NULL, seed(size, variant));
    op_case_operand(&op, LLMRUN_ADD_A, dtype, extents, numbers);
    op_case_operand(&op, LLMRUN_ADD_B, dtype, extents, numbers);
    op_case_operand(&op, LLMRUN_ADD_Y, dtype, extents, numbers);
    op_case_check(&op, describe(size, dtype, numbers, variant));
}

static void check_cast(const struct size *size, uint32_t dtype, enum numbers numbers, unsigned variant)
{
    struct op_case op;

    op_case_begin(&op, LLMRUN_OP_CAST, NULL, seed(size, variant));
    op_case_operand(&op, LLMRUN_CAST_X, dtype, EXTENTS(size->channels, size->tokens), numbers);
    op_case_operand(&op, LLMRUN_CAST_Y, compute_types[variant], EXTENTS(size->channels, size->tokens), numbers);
    op_case_check(&op, describe(size, dtype, numbers, variant));
}

static void check_dropout(const struct size *size, uint32_t dtype, enum numbers numbers, unsigned variant)
{
    static const float probabilities[] = {0.0f, 0.1f, 0.9f};
    struct llmrun_dropout_attributes attributes = {.seq_len = size->tokens, .probability = probabilities[variant]};
    const int64_t *extents = EXTENTS(size->tokens, size->channels);
    struct op_case op;
    uint32_t *random;

    op_case_begin(&op, LLMRUN_OP_DROPOUT, &attributes, seed(size, variant));
    op_case_operand(&op, LLMRUN_DROPOUT_X, dtype, extents, numbers);
    random = op_case_operand(&op, LLMRUN_DROPOUT_RNG_STATE, LLMRUN_U32, EXTENTS(5), NUMBERS_SMALL);
    random[3] = variant == 2 ? 4000000000u : variant; /* the second: blocks beyond 2^32 for the larger sizes */
    op_case_operand(&op, LLMRUN_DROPOUT_Y, dtype, extents, numbers);
    op_case_check(&op, describe(size, dtype, numbers, variant));
}

/* Sums over tokens: one chain; or, for the sizes that allow it, two batch parts of two sequences in two position
 * parts. */
static struct llmrun_bias_grad_attributes token_parts(const struct size *size, unsigned cut)
{
    if (cut && size->tokens % 8 == 0)
        return (struct llmrun_bias_grad_attributes){size->tokens / 4, 2, 2};
    return (struct llmrun_bias_grad_attributes){size->tokens, 1, 1};
}

static void check_bias_grad(const struct size *size, uint32_t dtype, enum numbers numbers, unsigned variant)
{
    struct op_case op;

    const struct llmrun_bias_grad_attributes parts = token_parts(size, variant & 2);

    op_case_begin(&op, LLMRUN_OP_BIAS_GRAD, &parts, seed(size, variant));
    op.op.accumulate = (variant & 1) << LLMRUN_BIAS_GRAD_DBIAS;
    op_case_operand(&op, LLMRUN_BIAS_GRAD_DY, dtype, EXTENTS(size->tokens, size->channels), numbers);
    op_case_operand(&op, LLMRUN_BIAS_GRAD_DBIAS, LLMRUN_F32,
                    EXTENTS(parts.batch_parts * parts.position_parts, size->channels), numbers);
    op_case_check(&op, describe(size, dtype, numbers, variant));
}

/* Ids of the op_case lie in 0 to 16; one in four is made to lie outside of the table of 14 rows. */
static void check_embedding(const struct size *size, uint32_t dtype, enum numbers numbers, unsigned variant)
{
    struct op_case op;
    int32_t *ids;

    op_case_begin(&op, LLMRUN_OP_EMBEDDING, NULL, seed(size, variant));
    ids = op_case_operand(&op, LLMRUN_EMBEDDING_IDS, LLMRUN_I32, EXTENTS(size->tokens), NUMBERS_SMALL);
    ids[0] -= 2;
    op_case_operand(&op, LLMRUN_EMBEDDING_TABLE, dtype, EXTENTS(14, size->channels), numbers);
    if (variant == 1)
        op_case_operand(&op, LLMRUN_EMBEDDING_ADDEND, dtype, EXTENTS(size->tokens, size->channels), numbers);
    op_case_operand(&op, LLMRUN_EMBEDDING_Y, dtype, EXTENTS(size->tokens, size->channels), numbers);
    op_case_check(&op, describe(size, dtype, numbers, variant));
}

static void check_embedding_grad(const struct size *size, uint32_t dtype, enum numbers numbers, unsigned variant)
{
    struct op_case op;
    int32_t *ids;

    const struct llmrun_embedding_grad_attributes attributes = {.batch_parts =
                                                                    variant == 2 && size->tokens % 4 == 0 ? 4 : 1};

    op_case_begin(&op, LLMRUN_OP_EMBEDDING_GRAD, &attributes, seed(size, variant));
    op.op.accumulate = (variant & 1) << LLMRUN_EMBEDDING_GRAD_DTABLE;
    ids = op_case_operand(&op, LLMRUN_EMBEDDING_GRAD_IDS, LLMRUN_I32, EXTENTS(size->tokens), NUMBERS_SMALL);
    ids[0] -= 2;
    op_case_operand(&op, LLMRUN_EMBEDDING_GRAD_DY, dtype, EXTENTS(size->tokens, size->channels), numbers);
    op_case_operand(&op, LLMRUN_EMBEDDING_GRAD_DTABLE, LLMRUN_F32, EXTENTS(14, size->channels), numbers);
    op_case_check(&op, describe(size, dtype, numbers, variant));
}

/* Variant: bit 0 residual, bit 1 bias, bit 2 sum. */
static void check_layernorm(const struct size *size, uint32_t dtype, enum numbers numbers, unsigned variant)
{
    struct llmrun_layernorm_attributes attributes = {1e-5f};
    const int64_t *extents = EXTENTS(size->tokens, size->channels);
    struct op_case op;

    op_case_begin(&op, LLMRUN_OP_LAYERNORM, &attributes, seed(size, variant));
    op_case_operand(&op, LLMRUN_LAYERNORM_X, dtype, extents, numbers);
    if (variant & 1)
        op_case_operand(&op, LLMRUN_LAYERNORM_RESIDUAL, dtype, extents, NUMBERS_USUAL);
    op_case_operand(&op, LLMRUN_LAYERNORM_WEIGHT, LLMRUN_F32, EXTENTS(size->channels), numbers);
    if (variant & 2)
        op_case_operand(&op, LLMRUN_LAYERNORM_BIAS, LLMRUN_F32, EXTENTS(size->channels), numbers);
    op_case_operand(&op, LLMRUN_LAYERNORM_Y, dtype, extents, numbers);
    if (variant & 4)
        op_case_operand(&op, LLMRUN_LAYERNORM_RESIDUAL_OUT, dtype, extents, numbers);
    op_case_operand(&op, LLMRUN_LAYERNORM_MEAN, LLMRUN_F32, EXTENTS(size->tokens), numbers);
    op_case_operand(&op, LLMRUN_LAYERNORM_RSTD, LLMRUN_F32, EXTENTS(size->tokens), numbers);
    op_case_check(&op, describe(size, dtype, numbers, variant));
}

/* Variant: bit 0 dsum, bits 1 and 2 dweight and dbias, bit 3 accumulate into both. */
static void check_layernorm_grad(const struct size *size, uint32_t dtype, enum numbers numbers, unsigned variant)
{
    const int64_t *extents = EXTENTS(size->tokens, size->channels);
    struct op_case op;

    const struct llmrun_bias_grad_attributes parts = token_parts(size, variant & 1);
    const struct llmrun_layernorm_grad_attributes attributes = {parts.seq_len, parts.batch_parts, parts.position_parts};
    const int64_t *sums = EXTENTS(parts.batch_parts * parts.position_parts, size->channels);

    op_case_begin(&op, LLMRUN_OP_LAYERNORM_GRAD, &attributes, seed(size, variant));
    op_case_operand(&op, LLMRUN_LAYERNORM_GRAD_DY, dtype, extents, numbers);
    op_case_operand(&op, LLMRUN_LAYERNORM_GRAD_RESIDUAL_OUT, dtype, extents, numbers);
    op_case_operand(&op, LLMRUN_LAYERNORM_GRAD_WEIGHT, LLMRUN_F32, EXTENTS(size->channels), numbers);
    op_case_operand(&op, LLMRUN_LAYERNORM_GRAD_MEAN, LLMRUN_F32, EXTENTS(size->tokens), numbers);
    op_case_operand(&op, LLMRUN_LAYERNORM_GRAD_RSTD, LLMRUN_F32, EXTENTS(size->tokens), numbers);
    if (variant & 1)
        op_case_operand(&op, LLMRUN_LAYERNORM_GRAD_DRESIDUAL_OUT, dtype, extents, numbers);
    op_case_operand(&op, LLMRUN_LAYERNORM_GRAD_DX, dtype, extents, numbers);
    if (variant & 2)
        op_case_operand(&op, LLMRUN_LAYERNORM_GRAD_DWEIGHT, LLMRUN_F32, sums, numbers);
    if (variant & 4)
        op_case_operand(&op, LLMRUN_LAYERNORM_GRAD_DBIAS, LLMRUN_F32, sums, numbers);
    if (variant & 8)
        op.op.accumulate = (variant & 6) << (LLMRUN_LAYERNORM_GRAD_DWEIGHT - 1);
    op_case_check(&op, describe(size, dtype, numbers, variant));
}

/* Variant: bit 0 residual, bit 1 sum, bit 2 six heads. */
static void check_rmsnorm(const struct size *size, uint32_t dtype, enum numbers numbers, unsigned variant)
{
    struct llmrun_rmsnorm_attributes attributes = {1e-5f, 0};
    const int64_t heads = variant & 4 ? 6 : 1, *extents = EXTENTS(size->tokens, heads * size->channels);
    struct op_case op;

    op_case_begin(&op, LLMRUN_OP_RMSNORM, &attributes, seed(size, variant));
    op_case_operand(&op, LLMRUN_RMSNORM_X, dtype, extents, numbers);
    if (variant & 1)
        op_case_operand(&op, LLMRUN_RMSNORM_RESIDUAL, dtype, extents, NUMBERS_USUAL);
    op_case_operand(&op, LLMRUN_RMSNORM_WEIGHT, LLMRUN_F32, EXTENTS(size->channels), numbers);
    op_case_operand(&op, LLMRUN_RMSNORM_Y, dtype, extents, numbers);
    if (variant & 2)
        op_case_operand(&op, LLMRUN_RMSNORM_RESIDUAL_OUT, dtype, extents, numbers);
    op_case_operand(&op, LLMRUN_RMSNORM_RSTD, LLMRUN_F32, EXTENTS(size->tokens, heads), numbers);
    op_case_check(&op, describe(size, dtype, numbers, variant));
}

/* Variant: bit 0 dsum, bit 1 dweight, bit 2 accumulate into it, bit 3 six heads in two parts. */
static void check_rmsnorm_grad(const struct size *size, uint32_t dtype, enum numbers numbers, unsigned variant)
{
    const int64_t heads = variant & 8 ? 6 : 1, *extents = EXTENTS(size->tokens, heads * size->channels);
    struct op_case op;

    const struct llmrun_bias_grad_attributes parts = token_parts(size, variant & 1);
    const struct llmrun_rmsnorm_grad_attributes attributes = {parts.seq_len, parts.batch_parts, parts.position_parts,
                                                              heads > 1 ? 2 : 1, 0};

    op_case_begin(&op, LLMRUN_OP_RMSNORM_GRAD, &attributes, seed(size, variant));
    op_case_operand(&op, LLMRUN_RMSNORM_GRAD_DY, dtype, extents, numbers);
    op_case_operand(&op, LLMRUN_RMSNORM_GRAD_RESIDUAL_OUT, dtype, extents, numbers);
    op_case_operand(&op, LLMRUN_RMSNORM_GRAD_WEIGHT, LLMRUN_F32, EXTENTS(size->channels), numbers);
    op_case_operand(&op, LLMRUN_RMSNORM_GRAD_RSTD, LLMRUN_F32, EXTENTS(size->tokens, heads), numbers);
    if (variant & 1)
        op_case_operand(&op, LLMRUN_RMSNORM_GRAD_DRESIDUAL_OUT, dtype, extents, numbers);
    op_case_operand(&op, LLMRUN_RMSNORM_GRAD_DX, dtype, extents, numbers);
    if (variant & 2)
        op_case_operand(&op, LLMRUN_RMSNORM_GRAD_DWEIGHT, LLMRUN_F32,
                        EXTENTS(attributes.head_parts * parts.batch_parts * parts.position_parts, size->channels),
                        numbers);
    if ((variant & 6) == 6)
        op.op.accumulate = 1u << LLMRUN_RMSNORM_GRAD_DWEIGHT;
    op_case_check(&op, describe(size, dtype, numbers, variant));
}

/* Groups as large as they can be: all rows in one, rank 1 or 2, or the largest power of two of groups. */
static void check_reduce_rows(const struct size *size, uint32_t dtype, enum numbers numbers, unsigned variant)
{
    const int64_t groups = variant == 2 ? size->tokens & -size->tokens : 1;
    struct op_case op;

    (void)dtype;
    op_case_begin(&op, LLMRUN_OP_REDUCE_ROWS, NULL, seed(size, variant));
    op_case_operand(&op, LLMRUN_REDUCE_ROWS_X, LLMRUN_F32, EXTENTS(size->tokens, size->channels), numbers);
    if (variant == 0)
        op_case_operand(&op, LLMRUN_REDUCE_ROWS_Y, LLMRUN_F32, EXTENTS(size->channels), numbers);
    else
        op_case_operand(&op, LLMRUN_REDUCE_ROWS_Y, LLMRUN_F32, EXTENTS(groups, size->channels), numbers);
    op_case_check(&op, describe(size, dtype, numbers, variant));
}

static void check_reduce(const struct size *size, uint32_t dtype, enum numbers numbers, unsigned variant)
{
    const int64_t *extents = EXTENTS(size->tokens, size->channels);
    struct op_case op;

    (void)dtype;
    op_case_begin(&op, LLMRUN_OP_REDUCE, NULL, seed(size, variant));
    op_case_operand(&op, LLMRUN_REDUCE_A, LLMRUN_F32, extents, numbers);
    if (variant == 1)
        op_case_operand(&op, LLMRUN_REDUCE_B, LLMRUN_F32, extents, numbers);
    op_case_operand(&op, LLMRUN_REDUCE_Y, LLMRUN_F32, extents, numbers);
    op_case_check(&op, describe(size, dtype, numbers, variant));
}

static void check_swiglu(const struct size *size, uint32_t dtype, enum numbers numbers, unsigned variant)
{
    struct op_case op;

    op_case_begin(&op, LLMRUN_OP_SWIGLU, NULL, seed(size, variant));
    for (int operand = 0; operand < LLMRUN_SWIGLU_OPERANDS; operand++)
        op_case_operand(&op, operand, dtype, EXTENTS(size->tokens, size->channels), numbers);
    op_case_check(&op, describe(size, dtype, numbers, variant));
}

static void check_swiglu_grad(const struct size *size, uint32_t dtype, enum numbers numbers, unsigned variant)
{
    struct op_case op;

    op_case_begin(&op, LLMRUN_OP_SWIGLU_GRAD, NULL, seed(size, variant));
    for (int operand = 0; operand < LLMRUN_SWIGLU_GRAD_OPERANDS; operand++)
        op_case_operand(&op, operand, dtype, EXTENTS(size->tokens, size->channels), numbers);
    op_case_check(&op, describe(size, dtype, numbers, variant));
}

/* Variant: bit 0 inverse, bit 1 three heads instead of one. Positions of the op_case lie in 0 to 16, some of them
 * outside of the table. */
static void check_rope(const struct size *size, uint32_t dtype, enum numbers numbers, unsigned variant)
{
    struct llmrun_rope_attributes attributes = {variant & 2 ? 3 : 1, variant & 1};
    const int64_t *extents = EXTENTS(size->tokens, 2 * size->channels * attributes.heads);
    struct op_case op;
    int32_t *positions;

    op_case_begin(&op, LLMRUN_OP_ROPE, &attributes, seed(size, variant));
    op_case_operand(&op, LLMRUN_ROPE_X, dtype, extents, numbers);
    positions = op_case_operand(&op, LLMRUN_ROPE_POSITIONS, LLMRUN_I32, EXTENTS(size->tokens), NUMBERS_SMALL);
    if (size->tokens > 2)
        positions[1] = -1;
    op_case_operand(&op, LLMRUN_ROPE_COSINES, LLMRUN_F32, EXTENTS(14, size->channels), numbers);
    op_case_operand(&op, LLMRUN_ROPE_SINES, LLMRUN_F32, EXTENTS(14, size->channels), numbers);
    op_case_operand(&op, LLMRUN_ROPE_Y, dtype, extents, numbers);
    op_case_check(&op, describe(size, dtype, numbers, variant));
}

/* Variant: 0 the step is not finite, 1 no copy, 2 a copy in `dtype`. */
static void check_adamw(const struct size *size, uint32_t dtype, enum numbers numbers, unsigned variant)
{
    struct llmrun_adamw_attributes attributes = {0.9f, 0.95f, 1e-8f, 0.1f};
    const int64_t *extents = EXTENTS(size->channels, size->tokens);
    struct op_case op;

    op_case_begin(&op, LLMRUN_OP_ADAMW, &attributes, seed(size, variant));
    op_case_operand(&op, LLMRUN_ADAMW_GRADIENT, LLMRUN_F32, extents, numbers);
    *(float *)op_case_operand(&op, LLMRUN_ADAMW_LEARNING_RATE, LLMRUN_F32, EXTENTS(1), NUMBERS_USUAL) = 6e-4f;
    memcpy(op_case_operand(&op, LLMRUN_ADAMW_BIAS_CORRECTION, LLMRUN_F32, EXTENTS(2), NUMBERS_USUAL),
           (const float[]){0.271f, 0.3776571f}, 2 * sizeof(float));
    *(float *)op_case_operand(&op, LLMRUN_ADAMW_CLIP_SCALE, LLMRUN_F32, EXTENTS(1), NUMBERS_USUAL) = 0.37f;
    *(uint32_t *)op_case_operand(&op, LLMRUN_ADAMW_FOUND_INF, LLMRUN_U32, EXTENTS(1), NUMBERS_SMALL) = variant == 0;
    op_case_operand(&op, LLMRUN_ADAMW_PARAMETER, LLMRUN_F32, extents, numbers);
    op_case_operand(&op, LLMRUN_ADAMW_FIRST_MOMENT, LLMRUN_F32, extents, numbers);
    op_case_operand(&op, LLMRUN_ADAMW_SECOND_MOMENT, LLMRUN_F32, extents,
                    numbers == NUMBERS_USUAL ? NUMBERS_SMALL : numbers);
    if (variant != 1)
        op_case_operand(&op, LLMRUN_ADAMW_COPY, dtype, extents, numbers);
    op_case_check(&op, describe(size, dtype, numbers, variant));
}

static void check_sum_squares(const struct size *size, uint32_t dtype, enum numbers numbers, unsigned variant)
{
    /* Variants: one part, a row each, a column or 31 each. */
    uint32_t columns = variant < 2 ? 1 : (uint32_t)(size->channels % 31 == 0 ? size->channels / 31 : size->channels);
    struct llmrun_sum_squares_attributes attributes = {
        .slot = 2, .row_parts = variant % 2 == 0 ? 1 : (uint32_t)size->tokens, .column_parts = columns};
    struct op_case op;

    (void)dtype;
    op_case_begin(&op, LLMRUN_OP_SUM_SQUARES, &attributes, seed(size, variant));
    op_case_operand(&op, LLMRUN_SUM_SQUARES_X, LLMRUN_F32, EXTENTS(size->tokens, size->channels), numbers);
    op_case_operand(&op, LLMRUN_SUM_SQUARES_SUMS, LLMRUN_F64, EXTENTS(size->tokens * columns + 5), numbers);
    op_case_check(&op, describe(size, LLMRUN_F32, numbers, variant));
}

/* Gradients of many and of few parts; the last line of the second variant names slots that are not there. */
static void check_slot_tree(const struct size *size, uint32_t dtype, enum numbers numbers, unsigned variant)
{
    const int32_t rows = (int32_t)size->tokens, columns = (int32_t)(size->channels < 300 ? size->channels : 300);
    const int32_t lines[3][3] = {{1, rows, columns}, {0, 1, columns + 1}, {variant == 0 ? 3 : 4, rows * columns, 1}};
    struct op_case op;

    (void)dtype;
    op_case_begin(&op, LLMRUN_OP_SLOT_TREE, NULL, seed(size, variant));
    op_case_operand(&op, LLMRUN_SLOT_TREE_SUMS, LLMRUN_F64, EXTENTS(rows * columns + 3), numbers);
    memcpy(op_case_operand(&op, LLMRUN_SLOT_TREE_TABLE, LLMRUN_I32, EXTENTS(3, 3), NUMBERS_SMALL), lines, sizeof lines);
    op_case_operand(&op, LLMRUN_SLOT_TREE_ROOTS, LLMRUN_F64, EXTENTS(3), numbers);
    op_case_check(&op, describe(size, LLMRUN_F32, numbers, variant));
}

static void check_clip(const struct size *size, uint32_t dtype, enum numbers numbers, unsigned variant)
{
    struct llmrun_clip_attributes attributes = {variant == 0 ? 0.0f : 1.0f, 0};
    struct op_case op;

    (void)dtype;
    op_case_begin(&op, LLMRUN_OP_CLIP, &attributes, seed(size, variant));
    op_case_operand(&op, LLMRUN_CLIP_ROOTS, LLMRUN_F64, EXTENTS(size->channels), NUMBERS_SMALL);
    op_case_operand(&op, LLMRUN_CLIP_LOSSES, LLMRUN_F64, EXTENTS(size->tokens), numbers);
    op_case_operand(&op, LLMRUN_CLIP_SCALE, LLMRUN_F32, EXTENTS(1), numbers);
    op_case_operand(&op, LLMRUN_CLIP_NORM, LLMRUN_F32, EXTENTS(1), numbers);
    op_case_operand(&op, LLMRUN_CLIP_FOUND_INF, LLMRUN_U32, EXTENTS(1), numbers);
    op_case_check(&op, describe(size, LLMRUN_F32, numbers, variant));
}

static void check_init(const struct size *size, uint32_t dtype, enum numbers numbers, unsigned variant)
{
    struct llmrun_init_attributes attributes = {
        .stream_id = 0x123456789abcdefu + variant, .distribution = variant, .a = -0.25f, .b = 0.75f};
    struct op_case op;

    (void)dtype;
    op_case_begin(&op, LLMRUN_OP_INIT, &attributes, seed(size, variant));
    op_case_operand(&op, LLMRUN_INIT_Y, LLMRUN_F32, EXTENTS(size->tokens, size->channels), numbers);
    op_case_check(&op, describe(size, LLMRUN_F32, numbers, variant));
}

/* y may be the first rows of x: a row of y is stored when all rows of x above it are done with. */
static void a_fold_into_its_own_rows_has_the_same_bits(void **state)
{
    const struct kernel *kernels[] = {
        op_case_kernel(reference_candidates(LLMRUN_OP_REDUCE_ROWS, 0, LLMRUN_OP_EXACT)),
        op_case_kernel(kernel_table_candidates(LLMRUN_OP_REDUCE_ROWS, CPU_ISA_PLAIN, LLMRUN_OP_EXACT)),
        op_case_kernel(kernel_table_candidates(LLMRUN_OP_REDUCE_ROWS, (int)cpu_isa_best(), LLMRUN_OP_EXACT)),
    };

    (void)state;
    for (size_t i = 0; i < sizeof kernels / sizeof kernels[0]; i++)
        for (int64_t groups = 1; groups <= 24; groups *= 2) {
            struct op_case apart, within;
            struct op_case *const both[] = {&apart, &within};

            if (groups == 16)
                groups = 24;
            for (int k = 0; k < 2; k++) {
                op_case_begin(both[k], LLMRUN_OP_REDUCE_ROWS, NULL, 5);
                op_case_operand(both[k], LLMRUN_REDUCE_ROWS_X, LLMRUN_F32, EXTENTS(24, 301), NUMBERS_USUAL);
                op_case_operand(both[k], LLMRUN_REDUCE_ROWS_Y, LLMRUN_F32, EXTENTS(groups, 301), NUMBERS_USUAL);
            }
            free(within.data[LLMRUN_REDUCE_ROWS_Y]);
            within.data[LLMRUN_REDUCE_ROWS_Y] = within.data[LLMRUN_REDUCE_ROWS_X];
            assert_true(op_case_run(&apart, kernels[i], 2));
            assert_true(op_case_run(&within, kernels[i], 2));
            assert_memory_equal(within.data[LLMRUN_REDUCE_ROWS_Y], apart.data[LLMRUN_REDUCE_ROWS_Y],
                                (size_t)groups * 301 * sizeof(float));
            within.data[LLMRUN_REDUCE_ROWS_Y] = NULL;
            op_case_end(&apart);
            op_case_end(&within);
        }
}

#define EXACT_TEST(name, variants)                                                                                     \
    static void name##_has_the_bits_of_the_reference(void **state)                                                     \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        check_all(check_##name, variants);                                                                             \
    }
EXACT_TEST(gelu, 1)
EXACT_TEST(gelu_grad, 1)
EXACT_TEST(add, 1)
EXACT_TEST(cast, 2)
EXACT_TEST(dropout, 3)
EXACT_TEST(bias_grad, 4)
EXACT_TEST(reduce_rows, 3)
EXACT_TEST(reduce, 2)
EXACT_TEST(embedding, 2)
EXACT_TEST(embedding_grad, 3)
EXACT_TEST(layernorm, 8)
EXACT_TEST(layernorm_grad, 16)
EXACT_TEST(rmsnorm, 8)
EXACT_TEST(rmsnorm_grad, 16)
EXACT_TEST(swiglu, 1)
EXACT_TEST(swiglu_grad, 1)
EXACT_TEST(rope, 4)
EXACT_TEST(adamw, 3)
EXACT_TEST(sum_squares, 4)
EXACT_TEST(slot_tree, 2)
EXACT_TEST(clip, 2)
EXACT_TEST(init, 3)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gelu_has_the_bits_of_the_reference),
        cmocka_unit_test(gelu_grad_has_the_bits_of_the_reference),
        cmocka_unit_test(add_has_the_bits_of_the_reference),
        cmocka_unit_test(cast_has_the_bits_of_the_reference),
        cmocka_unit_test(dropout_has_the_bits_of_the_reference),
        cmocka_unit_test(bias_grad_has_the_bits_of_the_reference),
        cmocka_unit_test(embedding_has_the_bits_of_the_reference),
        cmocka_unit_test(embedding_grad_has_the_bits_of_the_reference),
        cmocka_unit_test(layernorm_has_the_bits_of_the_reference),
        cmocka_unit_test(layernorm_grad_has_the_bits_of_the_reference),
        cmocka_unit_test(reduce_rows_has_the_bits_of_the_reference),
        cmocka_unit_test(a_fold_into_its_own_rows_has_the_same_bits),
        cmocka_unit_test(reduce_has_the_bits_of_the_reference),
        cmocka_unit_test(rmsnorm_has_the_bits_of_the_reference),
        cmocka_unit_test(rmsnorm_grad_has_the_bits_of_the_reference),
        cmocka_unit_test(swiglu_has_the_bits_of_the_reference),
        cmocka_unit_test(swiglu_grad_has_the_bits_of_the_reference),
        cmocka_unit_test(rope_has_the_bits_of_the_reference),
        cmocka_unit_test(adamw_has_the_bits_of_the_reference),
        cmocka_unit_test(sum_squares_has_the_bits_of_the_reference),
        cmocka_unit_test(slot_tree_has_the_bits_of_the_reference),
        cmocka_unit_test(clip_has_the_bits_of_the_reference),
        cmocka_unit_test(init_has_the_bits_of_the_reference),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
