/* One op with operands, to be run by any kernel and compared. */
#ifndef LLMRUN_TEST_OP_CASE_H
#define LLMRUN_TEST_OP_CASE_H

#include <stddef.h>
#include <stdint.h>

#include <llmrun/ops.h>

#include "runtime/isa.h"
#include "runtime/kernel.h"

enum numbers {
    NUMBERS_USUAL,   /* about normal, deviation 1 */
    NUMBERS_SPECIAL, /* one in eight is a NaN, an infinity, a zero, a number near either end of the range */
    NUMBERS_SMALL    /* whole numbers from 0 to 16: operands of type i32 and u32 are always such */
};

struct op_case {
    struct llmrun_op op;
    struct llmrun_tensor tensors[LLMRUN_MAX_OPERANDS];
    void *data[LLMRUN_MAX_OPERANDS]; /* exactly as long as the tensor, so that a sanitizer sees what lies beyond */
    uint64_t random;
};

/* `attributes` lives as long as the case. `seed` makes all random numbers of the case. */
void op_case_begin(struct op_case *op_case, uint16_t op, const void *attributes, uint64_t seed);
/* Adds operand `index` filled with random numbers. extents ends with 0. Returns its data. */
void *op_case_operand(struct op_case *op_case, int index, uint32_t dtype, const int64_t *extents, enum numbers numbers);
#define EXTENTS(...) ((const int64_t[]){__VA_ARGS__, 0})
void op_case_copy(struct op_case *to, const struct op_case *from);
void op_case_end(struct op_case *op_case);

/* With 1 to 3 threads. 0 when the kernel does not take the op. */
int op_case_run(struct op_case *op_case, const struct kernel *kernel, int threads);
/* The first of a list of candidates; fails the test when there is none. */
const struct kernel *op_case_kernel(const struct kernel *const *candidates);

/* Fails unless all operands hold the same bits, any NaN being equal to any other. */
void op_case_assert_same(const struct op_case *expected, const struct op_case *found, const char *what);

/* Runs the exact reference, then the kernels of each instruction set that this machine has with 1, 2 and 3 threads, on
 * copies of the case, and compares. Ends the case. */
void op_case_check(struct op_case *op_case, const char *what);

/* Element of an fp32, bf16 or fp64 operand. */
double op_case_value(const struct op_case *op_case, int operand, int64_t index);
int64_t op_case_elements(const struct op_case *op_case, int operand);

#endif
