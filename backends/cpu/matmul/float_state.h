/* The floating-point modes that exact kernels rely on, whatever the caller's thread was set to: rounding to
 * nearest-even, no traps, numbers below the normal range kept, or taken and left as zero where `flush` is set. */
#ifndef LLMRUN_CPU_FLOAT_STATE_H
#define LLMRUN_CPU_FLOAT_STATE_H

#if defined(__x86_64__)
#include <immintrin.h>

#define FLOAT_STATE_DEFAULT 0x1f80u
#define FLOAT_STATE_FLUSH   0x9fc0u /* + flush to zero, denormals are zero */

/* Returns what float_state_restore gives back. */
static inline unsigned float_state_set(int flush)
{
    unsigned found = _mm_getcsr();
    _mm_setcsr(flush ? FLOAT_STATE_FLUSH : FLOAT_STATE_DEFAULT);
    return found;
}

static inline void float_state_restore(unsigned state)
{
    _mm_setcsr(state);
}
#else
static inline unsigned float_state_set(int flush)
{
    (void)flush;
    return 0;
}

static inline void float_state_restore(unsigned state)
{
    (void)state;
}
#endif

#endif
