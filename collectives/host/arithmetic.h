/* What reductions compute, element by element. */
#ifndef LLMRUN_HOST_ARITHMETIC_H
#define LLMRUN_HOST_ARITHMETIC_H

#include <stdbool.h>

#include <llmrun/collective.h>

/* Bytes of an element; 0 for a type that is not reduced. */
int64_t arithmetic_width(uint32_t dtype);

/* to[i] = a[i] op b[i] for `bytes` bytes of elements; `operation` is LLMRUN_REDUCE_SUM or LLMRUN_REDUCE_MAX. Sums of
 * bf16 and f16 are of f32, rounded to nearest even; u32 wraps; a NaN stays one. `to` may be `a` or `b`. */
void arithmetic_join(uint32_t dtype, uint32_t operation, void *to, const void *a, const void *b, int64_t bytes);

#endif
