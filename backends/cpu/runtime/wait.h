/* Waiting on a 32-bit word without a lock: a futex (Linux, futex(2)), and the pause of a short spin before it. */
#ifndef LLMRUN_CPU_WAIT_H
#define LLMRUN_CPU_WAIT_H

#include <linux/futex.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Rounds of wait_pause before a thread sleeps: some 10 microseconds, about what falling asleep and waking up costs. */
#define WAIT_SPINS 300

static inline void wait_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

/* Sleeps while *word is `value`. May return early: look again. */
static inline void wait_sleep(_Atomic uint32_t *word, uint32_t value)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

/* Wakes every thread that sleeps on *word. */
static inline void wait_wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

#endif
