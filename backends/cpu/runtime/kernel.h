/* What the CPU runtime (devices, streams, events) asks of a set of kernels. cpu, cpu-ref and the test plugins are the
 * same runtime over different sets. */
#ifndef LLMRUN_CPU_KERNEL_H
#define LLMRUN_CPU_KERNEL_H

#include <llmrun/backend.h>
#include <llmrun/ops.h>

#include "runtime/pool.h"

/* One launch, seen from the kernel. */
struct kernel_call {
    const struct llmrun_op *op; /* as prepared: attributes, dtypes, shapes, accumulate mask */
    void *const *operands;      /* host pointers, NULL where absent */
    void *workspace;            /* 64-byte aligned, as many bytes as query said */
    struct pool *pool;
    /* Zeroed. A run that cannot do its work (a token id outside the table) fills it, from one thread: code and
     * sentence. The device then skips all later work of the stream, and the failure shows in the stream's events. */
    struct llmrun_error *error;
};

/* One implementation of one op. */
struct kernel {
    const char *name;
    /* 1 when it can do `op`; else 0 with a reason. Checked before: all that llmrun/op_check.h checks,
     * contiguity, alignment to the element. To be checked here: which types of its class an operand may have, and
     * attributes without a role. *workspace_bytes is 0 on entry. */
    int (*query)(const struct llmrun_op *op, int threads, int64_t *workspace_bytes, char *reason, size_t reason_bytes);
    void (*run)(const struct kernel_call *call);
};

/* A set of kernels: what a plugin of this runtime consists of. */
struct kernel_set {
    const char *name; /* of the plugin: "cpu" */
    const char *version;
    uint32_t priority; /* of `backend: auto` */
    uint32_t exact;    /* 1: every kernel computes the defined bits */
    /* Kernels for an opened device in order of preference: the first one whose query says 1 is taken. NULL ends the
     * list. `isa` is what was asked for and found: see runtime/isa.h. */
    const struct kernel *const *(*candidates)(uint16_t op, int isa, uint32_t flags);
};

/* Builds the table that llmrun_backend_entry returns. `set` lives as long as the process. */
const struct llmrun_backend *cpu_runtime_backend(const struct kernel_set *set, const struct llmrun_host *host,
                                                 struct llmrun_error *error);

#endif
