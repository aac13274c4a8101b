/* Arithmetic on numbers that come from outside. Each returns true when the result fits, and false on overflow; *out is
 * only valid on true. */
#ifndef LLMRUN_BASE_CHECKED_H
#define LLMRUN_BASE_CHECKED_H

#include <stdbool.h>
#include <stdint.h>

static inline bool checked_add(int64_t a, int64_t b, int64_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

static inline bool checked_mul(int64_t a, int64_t b, int64_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

/* The smallest multiple of `unit` (> 0) that is at least `value`. */
static inline int64_t round_up(int64_t value, int64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

#endif
