#include "attention_case.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu_ref/table.h"
#include "kernels/table.h"
#include "matmul/gemm_kernel.h"

const struct kernel *case_reference(uint16_t op, int exact)
{
    return op_case_kernel(reference_candidates(op, 0, exact ? LLMRUN_OP_EXACT : 0));
}

static int32_t random_start(uint64_t *random, int64_t end)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (int32_t)((*random >> 33) % (uint64_t)end);
}

static void cut_segments(const struct attention_shape *shape, int32_t *starts, uint64_t seed)
{
    memset(starts, 0, (size_t)(shape->sequences * shape->sequence) * sizeof(*starts));
    for (int64_t b = 0; b < shape->sequences; b++)
        for (int cut = 1; cut < shape->segments; cut++) {
            int32_t start = random_start(&seed, shape->sequence);

            for (int64_t i = start; i < shape->sequence; i++)
                if (starts[b * shape->sequence + i] < start)
                    starts[b * shape->sequence + i] = start;
        }
}

static void copy_operand(struct op_case *to, int to_index, const struct op_case *from, int from_index)
{
    const struct llmrun_tensor *tensor = &from->tensors[from_index];
    int64_t extents[LLMRUN_MAX_RANK + 1] = {0};
    size_t bytes = tensor->dtype == LLMRUN_BF16 ? 2 : 4;

    if (from->data[from_index] == NULL)
        return;
    memcpy(extents, tensor->shape, tensor->rank * sizeof(extents[0]));
    memcpy(op_case_operand(to, to_index, tensor->dtype, extents, NUMBERS_USUAL), from->data[from_index],
           (size_t)op_case_elements(from, from_index) * bytes);
}

void attention_case_begin(struct attention_case *attention, const struct attention_shape *shape, uint32_t dtype,
                          uint64_t seed, int exact)
{
    const int64_t *queries = EXTENTS(shape->sequences * shape->sequence, shape->heads * shape->width);
    const int64_t *keys = EXTENTS(shape->sequences * shape->sequence, shape->kv_heads * shape->width);
    const int64_t *positions = EXTENTS(shape->sequences * shape->sequence);
    const int64_t *row_heads = EXTENTS(shape->sequences * shape->sequence, shape->heads);
    struct op_case *forward = &attention->forward, *grad = &attention->grad;

    attention->attributes = (struct llmrun_attention_attributes){.seq_len = shape->sequence,
                                                                 .keys = shape->sequence,
                                                                 .heads = shape->heads,
                                                                 .kv_heads = shape->kv_heads,
                                                                 .scale = 1.0f / sqrtf((float)shape->width),
                                                                 .dropout = shape->dropout};
    memcpy(&attention->grad_attributes, &attention->attributes, sizeof(attention->grad_attributes));
    op_case_begin(forward, LLMRUN_OP_ATTENTION, &attention->attributes, seed);
    op_case_operand(forward, LLMRUN_ATTENTION_Q, dtype, queries, NUMBERS_USUAL);
    op_case_operand(forward, LLMRUN_ATTENTION_K, dtype, keys, NUMBERS_USUAL);
    op_case_operand(forward, LLMRUN_ATTENTION_V, dtype, keys, NUMBERS_USUAL);
    cut_segments(shape, op_case_operand(forward, LLMRUN_ATTENTION_SEGMENT_STARTS, LLMRUN_I32, positions, NUMBERS_SMALL),
                 seed);
    if (shape->dropout > 0.0f)
        op_case_operand(forward, LLMRUN_ATTENTION_RNG_STATE, LLMRUN_U32, EXTENTS(5), NUMBERS_SMALL);
    op_case_operand(forward, LLMRUN_ATTENTION_O, dtype, queries, NUMBERS_USUAL);
    op_case_operand(forward, LLMRUN_ATTENTION_LSE, LLMRUN_F32, row_heads, NUMBERS_USUAL);
    assert_true(op_case_run(forward, case_reference(LLMRUN_OP_ATTENTION, exact), 1));

    op_case_begin(grad, LLMRUN_OP_ATTENTION_GRAD, &attention->grad_attributes, seed + 1);
    for (int i = LLMRUN_ATTENTION_Q; i <= LLMRUN_ATTENTION_LSE; i++)
        copy_operand(grad, i, forward, i);
    op_case_operand(grad, LLMRUN_ATTENTION_GRAD_DO, dtype, queries, NUMBERS_USUAL);
    op_case_operand(grad, LLMRUN_ATTENTION_GRAD_DQ, dtype, queries, NUMBERS_USUAL);
    op_case_operand(grad, LLMRUN_ATTENTION_GRAD_DK, dtype, keys, NUMBERS_USUAL);
    op_case_operand(grad, LLMRUN_ATTENTION_GRAD_DV, dtype, keys, NUMBERS_USUAL);
}

void attention_case_end(struct attention_case *attention)
{
    op_case_end(&attention->forward);
    op_case_end(&attention->grad);
}

void loss_case_begin(struct loss_case *loss, const struct loss_shape *shape, uint32_t dtype, unsigned gradients,
                     uint64_t seed)
{
    int64_t tokens = shape->sequences * shape->sequence;
    struct op_case *op = &loss->op;
    int32_t *targets;
    float *weights;

    loss->attributes = (struct llmrun_linear_cross_entropy_attributes){
        shape->sequence, shape->vocabulary, shape->feature_parts, shape->vocabulary_parts, shape->batch_parts, 0};
    op_case_begin(op, LLMRUN_OP_LINEAR_CROSS_ENTROPY, &loss->attributes, seed);
    op_case_operand(op, LLMRUN_LINEAR_CROSS_ENTROPY_X, dtype, EXTENTS(tokens, shape->width), NUMBERS_USUAL);
    op_case_operand(op, LLMRUN_LINEAR_CROSS_ENTROPY_W, dtype, EXTENTS(shape->rows, shape->width), NUMBERS_USUAL);
    targets = op_case_operand(op, LLMRUN_LINEAR_CROSS_ENTROPY_TARGETS, LLMRUN_I32, EXTENTS(tokens), NUMBERS_SMALL);
    weights = op_case_operand(op, LLMRUN_LINEAR_CROSS_ENTROPY_LOSS_WEIGHTS, LLMRUN_F32, EXTENTS(tokens), NUMBERS_USUAL);
    for (int64_t t = 0; t < tokens; t++) {
        weights[t] = t % 4 == 2 ? 0.0f : fabsf(weights[t]);
        targets[t] = t % 4 == 2 ? -1 : (int32_t)(targets[t] * 7919 % shape->vocabulary);
    }
    op_case_operand(op, LLMRUN_LINEAR_CROSS_ENTROPY_SCALE, LLMRUN_F32, EXTENTS(1), NUMBERS_USUAL);
    op_case_operand(op, LLMRUN_LINEAR_CROSS_ENTROPY_LOSSES, LLMRUN_F64, EXTENTS(shape->sequences), NUMBERS_USUAL);
    if (gradients & LOSS_DX)
        op_case_operand(op, LLMRUN_LINEAR_CROSS_ENTROPY_DX, dtype, EXTENTS(tokens, shape->width), NUMBERS_USUAL);
    if (gradients & LOSS_DW)
        op_case_operand(op, LLMRUN_LINEAR_CROSS_ENTROPY_DW, LLMRUN_F32, EXTENTS(shape->rows, shape->width),
                        NUMBERS_USUAL);
    op->op.accumulate = gradients & LOSS_ADD_TO_DW ? 1u << LLMRUN_LINEAR_CROSS_ENTROPY_DW : 0;
}

static void check_kernel(const struct op_case *op_case, const struct op_case *expected, const struct kernel *kernel,
                         const char *what)
{
    for (int threads = 1; threads <= 2; threads++) {
        struct op_case found;
        char where[200];

        op_case_copy(&found, op_case);
        snprintf(where, sizeof(where), "%s, %s, %d threads", kernel->name, what, threads);
        if (op_case_run(&found, kernel, threads))
            op_case_assert_same(expected, &found, where);
        op_case_end(&found);
    }
}

/* Kernels with vdpbf16ps refuse processors where it is slow; their bits are checked there too. What they work in is no
 * larger than with AVX-512 alone. */
static void check_pairs(const struct op_case *op_case, const struct op_case *expected, const char *what)
{
#if defined(__x86_64__)
    extern const struct kernel attention_avx512, attention_avx512bf16, attention_grad_avx512, attention_grad_avx512bf16;
    int grad = op_case->op.op == LLMRUN_OP_ATTENTION_GRAD;
    struct kernel kernel = grad ? attention_grad_avx512bf16 : attention_avx512bf16;

    if (op_case->op.operands[LLMRUN_ATTENTION_Q].dtype != LLMRUN_BF16 || !cpu_isa_has_bf16())
        return;
    kernel.query = grad ? attention_grad_avx512.query : attention_avx512.query;
    check_kernel(op_case, expected, &kernel, what);
#else
    (void)op_case, (void)expected, (void)what;
#endif
}

void case_check(const struct op_case *op_case, const char *what)
{
    struct op_case expected;

    op_case_copy(&expected, op_case);
    assert_true(op_case_run(&expected, case_reference(op_case->op.op, 1), 1));
    for (int isa = 0; isa <= (int)cpu_isa_best(); isa++) {
        const struct kernel *const *kernels = kernel_table_candidates(op_case->op.op, isa, LLMRUN_OP_EXACT);

        for (; *kernels != NULL; kernels++)
            check_kernel(op_case, &expected, *kernels, what);
    }
    if (op_case->op.op == LLMRUN_OP_ATTENTION || op_case->op.op == LLMRUN_OP_ATTENTION_GRAD)
        check_pairs(op_case, &expected, what);
    op_case_end(&expected);
}
