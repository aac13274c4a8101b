/* Matrix products by a library, for ops without LLMRUN_OP_EXACT: the terms of a sum are added in any order, and parts
 * mean nothing. c is cut into slices, one a thread of the pool; the library works on each in that one thread. */
#ifndef LLMRUN_CPU_UNORDERED_H
#define LLMRUN_CPU_UNORDERED_H

#include "matmul/gemm.h"
#include "runtime/kernel.h"

struct unordered {
    /* 1 when the library can do it, and here no slower than the exact kernels; else 0 with a reason. */
    int (*fit)(const struct gemm_problem *problem, char *reason, size_t reason_bytes);
    /* How many threads of its own the library uses in this thread's calls of multiply from now on. */
    void (*set_threads)(int threads);
    /* c = the sum over all segments (+ c where `accumulate` is set), rounded to c_dtype. Bias, activation and aux are
     * absent, c is fp32 where there are several segments. */
    void (*multiply)(const struct gemm_problem *problem);
};

/* CPU_UNORDERED=always in the environment: the libraries are used wherever they can do a product, also where they are
 * slower; for measuring them. */
int unordered_always(void);

int64_t unordered_workspace(const struct gemm_problem *problem);
void unordered_run(const struct gemm_problem *problem, const struct unordered *library, struct pool *pool,
                   void *workspace);

/* What the libraries' kernels share: query and run of struct kernel. */
int unordered_query(const struct llmrun_op *op, const struct unordered *library, int64_t *workspace_bytes, char *reason,
                    size_t reason_bytes);
void unordered_call(const struct kernel_call *call, const struct unordered *library);

#define UNORDERED_KERNEL(op_name, suffix, library)                                                                     \
    static int query_##op_name(const struct llmrun_op *op, int threads, int64_t *workspace_bytes, char *reason,        \
                               size_t reason_bytes)                                                                    \
    {                                                                                                                  \
        (void)threads;                                                                                                 \
        return unordered_query(op, &library, workspace_bytes, reason, reason_bytes);                                   \
    }                                                                                                                  \
    static void run_##op_name(const struct kernel_call *call)                                                          \
    {                                                                                                                  \
        unordered_call(call, &library);                                                                                \
    }                                                                                                                  \
    extern const struct kernel op_name##_##suffix;                                                                     \
    const struct kernel op_name##_##suffix = {                                                                         \
        .name = #op_name " " #suffix, .query = query_##op_name, .run = run_##op_name};

/* Present where the build has the library. */
extern const struct unordered unordered_openblas;
extern const struct unordered unordered_onednn;

#endif
