/* matmul, matmul_input_grad, matmul_weight_grad: the exact kernels. */
#include "kernels/lanes.h"
#include "kernels/math.h"
#include "matmul/gemm_kernel.h"
#include "matmul/problems.h"

void KERNEL_NAME(gemm_gelu)(float *values, int64_t count)
{
    for (int64_t i = 0; i < count; i += VEC_LANES) {
        int part = vec_lanes_left(count, i);

        vec_store_part(values + i, math_gelu(vec_load_part(values + i, part, 0.0f)), part);
    }
}

/* The form does not depend on addresses, so neither does the workspace. */
static int query(const struct llmrun_op *op, int threads, int64_t *workspace_bytes, char *reason, size_t reason_bytes)
{
    struct gemm_problem problem;

    if (!problem_fit(op, &problem, reason, reason_bytes))
        return 0;
    *workspace_bytes = gemm_workspace_bytes(&problem, VEC_ISA, threads);
    return 1;
}

static void run(const struct kernel_call *call)
{
    struct gemm_problem problem = problem_of(call->op, call->operands);

    problem.activation = problem_wants_gelu(call->op) ? KERNEL_NAME(gemm_gelu) : NULL;
    gemm_run(&problem, VEC_ISA, call->pool, call->workspace);
}

#define MATMUL_KERNEL(op_name)                                                                                         \
    extern const struct kernel KERNEL_NAME(op_name);                                                                   \
    const struct kernel KERNEL_NAME(op_name) = {.name = #op_name " " KERNEL_ISA_TEXT, .query = query, .run = run};

MATMUL_KERNEL(matmul)
MATMUL_KERNEL(matmul_input_grad)
MATMUL_KERNEL(matmul_weight_grad)
