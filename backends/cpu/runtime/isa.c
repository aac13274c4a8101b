#include "runtime/isa.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <stdatomic.h>
#include <stdint.h>

#define XCR0_SSE_AVX  0x06u
#define XCR0_AVX512   0xe6u /* SSE, AVX, and the three parts of the AVX-512 state */
#define LEAF1_FMA     (1u << 12)
#define LEAF1_OSXSAVE (1u << 27)
#define LEAF7_AVX2    (1u << 5)
#define LEAF7_AVX512  (1u << 16 | 1u << 17 | 1u << 30 | 1u << 31) /* F, DQ, BW, VL */
#define LEAF7_1_BF16  (1u << 5)

static uint32_t saved_state(void)
{
    uint32_t low, high;

    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

enum cpu_isa cpu_isa_best(void)
{
    uint32_t a, b, c, d, state;

    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & LEAF1_OSXSAVE) == 0 || (c & LEAF1_FMA) == 0)
        return CPU_ISA_PLAIN;
    state = saved_state();
    if ((state & XCR0_SSE_AVX) != XCR0_SSE_AVX || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || (b & LEAF7_AVX2) == 0)
        return CPU_ISA_PLAIN;
    if ((state & XCR0_AVX512) != XCR0_AVX512 || (b & LEAF7_AVX512) != LEAF7_AVX512)
        return CPU_ISA_AVX2;
    return CPU_ISA_AVX512;
}

static int ask_bf16(void)
{
    uint32_t a, b, c, d;

    return cpu_isa_best() == CPU_ISA_AVX512 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & LEAF7_1_BF16) != 0;
}

/* Asked for every op that is queried or prepared, and CPUID takes a tenth of a millisecond in a virtual machine: the
 * answer is kept. */
int cpu_isa_has_bf16(void)
{
    static _Atomic int answer; /* 0: not asked yet, 1: no, 2: yes */
    int known = atomic_load_explicit(&answer, memory_order_relaxed);

    if (known == 0) {
        known = 1 + ask_bf16();
        atomic_store_explicit(&answer, known, memory_order_relaxed);
    }
    return known == 2;
}
#else
enum cpu_isa cpu_isa_best(void)
{
    return CPU_ISA_PLAIN;
}

int cpu_isa_has_bf16(void)
{
    return 0;
}
#endif

const char *cpu_isa_name(enum cpu_isa isa)
{
    static const char *const names[CPU_ISAS] = {"plain", "avx2", "avx512"};

    return isa < CPU_ISAS ? names[isa] : "unknown";
}
