/* What the files of the reference share. An op joins by a file here (or a place in one) that ends in
 *
 *     REFERENCE_KERNELS(gelu, 0, gelu_exact, gelu_double)
 *
 * with the mask of outputs that it can add to (as in runtime/operand.h) and two functions: the defined order of
 * docs/numerics.md, and the same formula in fp64, rounded once at the end. reference.def and CMakeLists.txt have a line
 * each. Both functions run in the calling thread, need no workspace, and read as the formula does: speed is no aim. */
#ifndef LLMRUN_CPU_REF_REFERENCE_H
#define LLMRUN_CPU_REF_REFERENCE_H

#include <string.h>

#include "runtime/kernel.h"
#include "runtime/operand.h"

#define REFERENCE_KERNELS(name, accumulate, exact, precise)                                                            \
    static int query_##name(const struct llmrun_op *op, int threads, int64_t *workspace_bytes, char *reason,           \
                            size_t reason_bytes)                                                                       \
    {                                                                                                                  \
        (void)threads;                                                                                                 \
        (void)workspace_bytes;                                                                                         \
        return operand_fit(op, accumulate, reason, reason_bytes);                                                      \
    }                                                                                                                  \
    extern const struct kernel reference_##name##_exact, reference_##name##_double;                                    \
    const struct kernel reference_##name##_exact = {#name " reference exact", query_##name, exact};                    \
    const struct kernel reference_##name##_double = {#name " reference f64", query_##name, precise};

static inline float reference_widen(uint16_t bf16)
{
    uint32_t bits = (uint32_t)bf16 << 16;
    float wide;

    memcpy(&wide, &bits, sizeof(wide));
    return wide;
}

/* To nearest even; a NaN stays one. */
static inline uint16_t reference_narrow(float wide)
{
    uint32_t bits;

    memcpy(&bits, &wide, sizeof(bits));
    if (wide != wide)
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

/* Element `index` of an operand that is there: exact for every class. */
static inline double reference_read_double(const struct kernel_call *call, int operand, int64_t index)
{
    const void *data = call->operands[operand];

    switch (call->op->operands[operand].dtype) {
    case LLMRUN_F64:
        return ((const double *)data)[index];
    case LLMRUN_BF16:
        return reference_widen(((const uint16_t *)data)[index]);
    default:
        return ((const float *)data)[index];
    }
}

/* The same for fp32 and bf16. */
static inline float reference_read(const struct kernel_call *call, int operand, int64_t index)
{
    return (float)reference_read_double(call, operand, index);
}

/* Rounds `value` to the type of the operand: an fp32 value once. */
static inline void reference_write(const struct kernel_call *call, int operand, int64_t index, double value)
{
    void *data = call->operands[operand];

    switch (call->op->operands[operand].dtype) {
    case LLMRUN_F64:
        ((double *)data)[index] = value;
        break;
    case LLMRUN_BF16:
        ((uint16_t *)data)[index] = reference_narrow((float)value);
        break;
    default:
        ((float *)data)[index] = (float)value;
        break;
    }
}

static inline int reference_has(const struct kernel_call *call, int operand)
{
    return call->operands[operand] != NULL;
}

/* What a sum starts from: the value found where the operand is added to, else 0. */
static inline float reference_start(const struct kernel_call *call, int operand, int64_t index)
{
    return operand_accumulates(call->op, operand) ? reference_read(call, operand, index) : 0.0f;
}

static inline int64_t reference_extent(const struct kernel_call *call, int operand, int dimension)
{
    return call->op->operands[operand].shape[dimension];
}

static inline int64_t reference_elements(const struct kernel_call *call, int operand)
{
    return operand_elements(&call->op->operands[operand]);
}

#endif
