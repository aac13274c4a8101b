/* Conversion between fp32 and every other floating-point type, on the host, one rounding: to nearest, ties to even.
 *
 * Over the range, after rounding:
 * - CONVERT_SATURATE: the largest finite number of the sign; infinity too. NaN stays NaN.
 * - CONVERT_OVERFLOW: infinity where the format has one, NaN where it has none (the "non-saturating" mode of the OCP
 *   8-bit specification).
 * A NaN keeps its sign and its leading payload bits where the format has room, and becomes quiet. Numbers below the
 * normal range become subnormal numbers of the target, never flushed. FNUZ formats turn -0 into +0. Any thread. */
#ifndef LLMRUN_TENSOR_CONVERT_H
#define LLMRUN_TENSOR_CONVERT_H

#include <stdbool.h>
#include <stdint.h>

enum convert_range { CONVERT_OVERFLOW, CONVERT_SATURATE };

/* One element; `dtype` is a floating-point type of at most 16 bits. The code stands in the low bits. */
uint32_t convert_encode(uint32_t dtype, float value, enum convert_range range);
float convert_decode(uint32_t dtype, uint32_t code); /* exact */

/* `count` elements. `dtype` is any floating-point type; false, and nothing written, for every other type. Source and
 * target do not overlap and may be unaligned. */
bool convert_from_f32(uint32_t dtype, const float *source, void *target, int64_t count, enum convert_range range);
bool convert_to_f32(uint32_t dtype, const void *source, float *target,
                    int64_t count); /* f64 is rounded, others exact */

#endif
