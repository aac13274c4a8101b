/* Which instruction sets this processor and operating system offer: CPUID says what the processor has, XGETBV what the
 * system saves. */
#ifndef LLMRUN_CPU_ISA_H
#define LLMRUN_CPU_ISA_H

enum cpu_isa {
    CPU_ISA_PLAIN,  /* C only */
    CPU_ISA_AVX2,   /* AVX2 and FMA */
    CPU_ISA_AVX512, /* AVX-512 F, BW, DQ, VL */
    CPU_ISAS
};

/* The best one there is. */
enum cpu_isa cpu_isa_best(void);
/* AVX-512 BF16 (vdpbf16ps) is there as well. */
int cpu_isa_has_bf16(void);
const char *cpu_isa_name(enum cpu_isa isa); /* "plain", "avx2", "avx512" */

#endif
