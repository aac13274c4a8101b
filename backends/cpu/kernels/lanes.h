/* What the row and elementwise kernels share: their elements, their parts and their definition. For kernel sources that
 * are compiled once for each instruction set. */
#ifndef LLMRUN_CPU_LANES_H
#define LLMRUN_CPU_LANES_H

#include "kernels/table.h"
#include "kernels/vec.h"
#include "runtime/operand.h"

/* Defines the kernel KERNEL_NAME(name). `accumulate`: see operand_fit. */
#define LANES_KERNEL(op_name, accumulate, run_function)                                                                \
    static int query_##op_name(const struct llmrun_op *op, int threads, int64_t *workspace_bytes, char *reason,        \
                               size_t reason_bytes)                                                                    \
    {                                                                                                                  \
        (void)threads;                                                                                                 \
        (void)workspace_bytes;                                                                                         \
        return operand_fit(op, accumulate, reason, reason_bytes);                                                      \
    }                                                                                                                  \
    extern const struct kernel KERNEL_NAME(op_name);                                                                   \
    const struct kernel KERNEL_NAME(op_name) = {                                                                       \
        .name = #op_name " " KERNEL_ISA_TEXT, .query = query_##op_name, .run = run_function};

/* For loops whose `bf16` argument is a constant: each type gets a loop of its own. */
#define LANES_INLINE static inline __attribute__((always_inline))

/* Elements index to index + count - 1 of fp32 or bf16 data; lanes beyond them are 0. */
LANES_INLINE struct f32x16 lanes_load(const void *data, int bf16, int64_t index, int count)
{
    return bf16 ? vec_load_bf16_part((const uint16_t *)data + index, count, 0.0f)
                : vec_load_part((const float *)data + index, count, 0.0f);
}

LANES_INLINE void lanes_store(void *data, int bf16, int64_t index, struct f32x16 v, int count)
{
    if (bf16)
        vec_store_bf16_part((uint16_t *)data + index, v, count);
    else
        vec_store_part((float *)data + index, v, count);
}

/* Elementwise work is cut into parts of this many elements, one task each. */
#define LANES_PART 16384

struct lanes_range {
    int64_t begin;
    int64_t end;
};

static inline int64_t lanes_parts(int64_t elements, int64_t part)
{
    return (elements + part - 1) / part;
}

static inline struct lanes_range lanes_part(int64_t elements, int64_t part, int64_t task)
{
    struct lanes_range range = {task * part, (task + 1) * part};

    if (range.end > elements)
        range.end = elements;
    return range;
}

/* Rows of `columns` elements in one part, so that a part is about LANES_PART elements. */
static inline int64_t lanes_part_rows(int64_t columns)
{
    return columns < LANES_PART ? LANES_PART / columns : 1;
}

/* How an operand's work is cut: `count` elements or rows, `part` of them one task. */
struct lanes_cut {
    int64_t count;
    int64_t part;
};

static inline struct lanes_cut lanes_elements(const struct llmrun_tensor *operand)
{
    return (struct lanes_cut){operand_elements(operand), LANES_PART};
}

static inline struct lanes_cut lanes_rows(const struct llmrun_tensor *operand)
{
    return (struct lanes_cut){operand->shape[0], lanes_part_rows(operand->shape[1])};
}

/* Defines name_run(call), which has function(call, range, bf16) compute each part of `operand`, as `cut`
 * (lanes_elements or lanes_rows) cuts it. bf16, a constant, is the operand's type. */
#define LANES_RUN(name, operand, cut, function)                                                                        \
    static void name##_task(void *context, int64_t task, int thread)                                                   \
    {                                                                                                                  \
        const struct kernel_call *call = context;                                                                      \
        const struct lanes_cut parts = cut(&call->op->operands[operand]);                                              \
        const struct lanes_range range = lanes_part(parts.count, parts.part, task);                                    \
                                                                                                                       \
        (void)thread;                                                                                                  \
        if (operand_is_bf16(call->op, operand))                                                                        \
            function(call, range, 1);                                                                                  \
        else                                                                                                           \
            function(call, range, 0);                                                                                  \
    }                                                                                                                  \
    static void name##_run(const struct kernel_call *call)                                                             \
    {                                                                                                                  \
        const struct lanes_cut parts = cut(&call->op->operands[operand]);                                              \
                                                                                                                       \
        pool_run(call->pool, lanes_parts(parts.count, parts.part), name##_task, (void *)call);                         \
    }

/* Channels in one part of a sum over tokens: two parts a thread, in multiples of four vectors. */
static inline int64_t lanes_part_channels(int64_t channels, int threads)
{
    int64_t vectors = (channels + 2 * threads * VEC_LANES - 1) / (2 * threads * VEC_LANES);

    return (vectors + 3) / 4 * 4 * VEC_LANES;
}

#endif
