/* Matrix products by a library, for ops without LLMRUN_OP_EXACT: the terms of a sum are added in any order, and leaves
 * mean nothing. c is cut into slices, one a thread of the pool; the library works on each in that one thread. */
#ifndef LLMRUN_CPU_FREE_ORDER_H
#define LLMRUN_CPU_FREE_ORDER_H

#include "matmul/gemm.h"
#include "runtime/kernel.h"

struct free_order {
    /* 1 when the library can do it, and here no slower than the exact kernels; else 0 with a reason. */
    int (*fit)(const struct gemm_problem *problem, char *reason, size_t reason_bytes);
    /* How many threads of its own the library uses in this thread's calls of multiply from now on. */
    void (*set_threads)(int threads);
    /* c = the sum over all segments (+ c where `accumulate` is set), rounded to c_dtype. Bias, activation and aux are
     * absent, c is fp32 where there are several segments. */
    void (*multiply)(const struct gemm_problem *problem);
};

/* CPU_FREE_ORDER=always in the environment: the libraries are used wherever they can do a product, also where they are
 * slower; for measuring them. */
int free_order_always(void);

int64_t free_order_workspace(const struct gemm_problem *problem);
void free_order_run(const struct gemm_problem *problem, const struct free_order *library, struct pool *pool,
                    void *workspace);

/* What the libraries' kernels share: query and run of struct kernel. */
int free_order_query(const struct llmrun_op *op, const struct free_order *library, int64_t *workspace_bytes,
                     char *reason, size_t reason_bytes);
void free_order_call(const struct kernel_call *call, const struct free_order *library);

#define FREE_ORDER_KERNEL(op_name, suffix, library)                                                                    \
    static int query_##op_name(const struct llmrun_op *op, int threads, int64_t *workspace_bytes, char *reason,        \
                               size_t reason_bytes)                                                                    \
    {                                                                                                                  \
        (void)threads;                                                                                                 \
        return free_order_query(op, &library, workspace_bytes, reason, reason_bytes);                                  \
    }                                                                                                                  \
    static void run_##op_name(const struct kernel_call *call)                                                          \
    {                                                                                                                  \
        free_order_call(call, &library);                                                                               \
    }                                                                                                                  \
    extern const struct kernel op_name##_##suffix;                                                                     \
    const struct kernel op_name##_##suffix = {                                                                         \
        .name = #op_name " " #suffix, .query = query_##op_name, .run = run_##op_name};

/* Present where the build has the library. */
extern const struct free_order free_order_openblas;
extern const struct free_order free_order_onednn;

#endif
