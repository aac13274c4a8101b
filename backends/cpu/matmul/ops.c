/* matmul, matmul_input_grad, matmul_weight_grad: the three ops as problems of gemm.h. */
#include "matmul/gemm.h"

#include "kernels/lanes.h"
#include "kernels/math.h"

#define ISA_plain  CPU_ISA_PLAIN
#define ISA_avx2   CPU_ISA_AVX2
#define ISA_avx512 CPU_ISA_AVX512
#define OWN_ISA    KERNEL_JOIN(ISA, KERNEL_ISA)

static const struct llmrun_tensor *tensor(const struct llmrun_op *op, int index)
{
    return &op->operands[index];
}

static void gelu(float *values, int64_t count)
{
    for (int64_t i = 0; i < count; i += VEC_LANES) {
        int part = vec_lanes_left(count, i);

        vec_store_part(values + i, math_gelu(vec_load_part(values + i, part, 0.0f)), part);
    }
}

/* c = x w^T with x [m, k], w [n, k] */
static struct gemm_problem forward(const struct llmrun_op *op, void *const *at)
{
    const struct llmrun_matmul_attributes *attributes = op->attributes;
    const int64_t k = tensor(op, LLMRUN_MATMUL_X)->shape[1], n = tensor(op, LLMRUN_MATMUL_W)->shape[0];

    return (struct gemm_problem){
        .m = tensor(op, LLMRUN_MATMUL_X)->shape[0],
        .n = n,
        .dtype = tensor(op, LLMRUN_MATMUL_X)->dtype,
        .c_dtype = tensor(op, LLMRUN_MATMUL_Y)->dtype,
        .segments = 1,
        .leaves = (int32_t)attributes->leaves,
        .segment = {{k, at[LLMRUN_MATMUL_X], k, 1, at[LLMRUN_MATMUL_W], 1, k}},
        .bias = at[LLMRUN_MATMUL_BIAS],
        .activation = attributes->activation == LLMRUN_ACTIVATION_GELU ? gelu : NULL,
        .c = at[LLMRUN_MATMUL_Y],
        .c_row = n,
        .aux = at[LLMRUN_MATMUL_AUX],
        .aux_row = n,
    };
}

/* c = dy0 w0 + dy1 w1 + dy2 w2 with dy [m, n], w [n, k] */
static struct gemm_problem input_grad(const struct llmrun_op *op, void *const *at)
{
    const struct llmrun_matmul_input_grad_attributes *attributes = op->attributes;
    const int64_t columns = tensor(op, LLMRUN_MATMUL_INPUT_GRAD_DX)->shape[1];
    struct gemm_problem problem = {
        .m = tensor(op, LLMRUN_MATMUL_INPUT_GRAD_DX)->shape[0],
        .n = columns,
        .dtype = tensor(op, LLMRUN_MATMUL_INPUT_GRAD_DY0)->dtype,
        .c_dtype = tensor(op, LLMRUN_MATMUL_INPUT_GRAD_DX)->dtype,
        .leaves = (int32_t)attributes->leaves,
        .accumulate = op->accumulate >> LLMRUN_MATMUL_INPUT_GRAD_DX & 1,
        .c = at[LLMRUN_MATMUL_INPUT_GRAD_DX],
        .c_row = columns,
    };

    for (int pair = 0; pair < 3; pair++) {
        const int64_t k = tensor(op, 2 * pair)->shape[1];

        if (tensor(op, 2 * pair)->dtype != LLMRUN_NONE)
            problem.segment[problem.segments++] =
                (struct gemm_segment){k, at[2 * pair], k, 1, at[2 * pair + 1], columns, 1};
    }
    return problem;
}

/* c = dy^T x with dy [tokens, n], x [tokens, k] */
static struct gemm_problem weight_grad(const struct llmrun_op *op, void *const *at)
{
    const struct llmrun_tensor *dy = tensor(op, LLMRUN_MATMUL_WEIGHT_GRAD_DY);
    const struct llmrun_tensor *x = tensor(op, LLMRUN_MATMUL_WEIGHT_GRAD_X);

    return (struct gemm_problem){
        .m = dy->shape[1],
        .n = x->shape[1],
        .dtype = dy->dtype,
        .c_dtype = LLMRUN_F32,
        .segments = 1,
        .leaves = 1,
        .accumulate = op->accumulate >> LLMRUN_MATMUL_WEIGHT_GRAD_DW & 1,
        .segment = {{dy->shape[0], at[LLMRUN_MATMUL_WEIGHT_GRAD_DY], 1, dy->shape[1], at[LLMRUN_MATMUL_WEIGHT_GRAD_X],
                     x->shape[1], 1}},
        .c = at[LLMRUN_MATMUL_WEIGHT_GRAD_DW],
        .c_row = x->shape[1],
    };
}

/* operand_fit has checked dtypes and leaves; shapes agree. Pointers do not matter for the workspace. */
#define MATMUL_KERNEL(op_name, classes, added, problem_of)                                                             \
    static int query_##op_name(const struct llmrun_op *op, int threads, int64_t *workspace_bytes, char *reason,        \
                               size_t reason_bytes)                                                                    \
    {                                                                                                                  \
        void *const nothing[LLMRUN_MAX_OPERANDS] = {NULL};                                                             \
        struct gemm_problem problem;                                                                                   \
                                                                                                                       \
        if (!operand_fit(op, classes, added, reason, reason_bytes))                                                    \
            return 0;                                                                                                  \
        problem = problem_of(op, nothing);                                                                             \
        *workspace_bytes = gemm_workspace_bytes(&problem, OWN_ISA, threads);                                           \
        return 1;                                                                                                      \
    }                                                                                                                  \
    static void run_##op_name(const struct kernel_call *call)                                                          \
    {                                                                                                                  \
        const struct gemm_problem problem = problem_of(call->op, call->operands);                                      \
                                                                                                                       \
        gemm_run(&problem, OWN_ISA, call->pool, call->workspace);                                                      \
    }                                                                                                                  \
    extern const struct kernel KERNEL_NAME(op_name);                                                                   \
    const struct kernel KERNEL_NAME(op_name) = {                                                                       \
        .name = #op_name " " KERNEL_ISA_TEXT, .query = query_##op_name, .run = run_##op_name};

MATMUL_KERNEL(matmul, "ccfcc", 0, forward)
MATMUL_KERNEL(matmul_input_grad, "ccccccc", 1u << LLMRUN_MATMUL_INPUT_GRAD_DX, input_grad)
MATMUL_KERNEL(matmul_weight_grad, "ccf", 1u << LLMRUN_MATMUL_WEIGHT_GRAD_DW, weight_grad)
