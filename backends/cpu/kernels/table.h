/* The kernels of the cpu backend: every source of `kernel_sources` (sources.cmake) is compiled once for each
 * instruction set, with KERNEL_ISA set to plain, avx2 or avx512, and defines its kernels under names that carry it:
 *
 *     const struct kernel KERNEL_NAME(gelu) = {.name = "gelu " KERNEL_ISA_TEXT, .query = query, .run = run};
 *
 * kernels.def then lists `gelu`. Whatever such a source shares with another goes through KERNEL_NAME as well, or is
 * static. */
#ifndef LLMRUN_CPU_TABLE_H
#define LLMRUN_CPU_TABLE_H

#include "runtime/isa.h"
#include "runtime/kernel.h"

#define KERNEL_JOIN_(name, isa) name##_##isa
#define KERNEL_JOIN(name, isa)  KERNEL_JOIN_(name, isa)
#define KERNEL_TEXT_(isa)       #isa
#define KERNEL_TEXT(isa)        KERNEL_TEXT_(isa)

/* In a kernel source only: gelu -> gelu_avx512, and "avx512". */
#define KERNEL_NAME(name) KERNEL_JOIN(name, KERNEL_ISA)
#define KERNEL_ISA_TEXT   KERNEL_TEXT(KERNEL_ISA)

extern const struct kernel_set cpu_kernel_set;

/* Kernels for an op in order of preference, NULL at the end; see struct kernel_set. */
const struct kernel *const *kernel_table_candidates(uint16_t op, int isa, uint32_t flags);

#endif
