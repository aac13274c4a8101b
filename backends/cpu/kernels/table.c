#include "kernels/table.h"

#include <stddef.h>

#define KERNEL(op, name) KERNELS(op, EACH(name))
#if defined(__x86_64__)
#define ON_X86(...) __VA_ARGS__
#else
#define ON_X86(...)
#endif
#if defined(LLMRUN_CPU_OPENBLAS)
#define WITH_OPENBLAS(...) __VA_ARGS__
#else
#define WITH_OPENBLAS(...)
#endif
#if defined(LLMRUN_CPU_ONEDNN)
#define WITH_ONEDNN(...) __VA_ARGS__
#else
#define WITH_ONEDNN(...)
#endif

/* First reading of the list: which objects there are. */
#define KERNELS(op, kernels) kernels
#define EACH(name)           extern const struct kernel name##_plain ON_X86(, name##_avx2, name##_avx512);
#define BF16(name)           ON_X86(extern const struct kernel name##_avx512bf16;)
#define OPENBLAS(name)       WITH_OPENBLAS(extern const struct kernel name;)
#define ONEDNN(name)         WITH_ONEDNN(extern const struct kernel name;)
#include "kernels/kernels.def"
#undef KERNELS
#undef EACH
#undef BF16
#undef OPENBLAS
#undef ONEDNN

/* Then it is read once for each column of the table: the lists of one instruction set, exact or unordered. The
 * libraries keep no order of their own sums, so they stand in the free columns alone. */
#define KERNELS(op, kernels) [op] = (const struct kernel *const[]){kernels NULL},
#define COLUMN(name)         static const struct kernel *const *const name[LLMRUN_OPS]

#define OPENBLAS(name)
#define ONEDNN(name)
#define BF16(name)
#define EACH(name) &name##_plain,
COLUMN(plain_exact) = {
#include "kernels/kernels.def"
};
#if defined(__x86_64__)
#undef EACH
#define EACH(name) &name##_avx2,
COLUMN(avx2_exact) = {
#include "kernels/kernels.def"
};
#undef EACH
#define EACH(name) &name##_avx512,
COLUMN(avx512_exact) = {
#include "kernels/kernels.def"
};
#undef BF16
#define BF16(name) &name##_avx512bf16,
COLUMN(avx512_bf16_exact) = {
#include "kernels/kernels.def"
};
#endif

#undef OPENBLAS
#undef ONEDNN
#define OPENBLAS(name) WITH_OPENBLAS(&name, )
#define ONEDNN(name)   WITH_ONEDNN(&name, )
#if defined(__x86_64__)
COLUMN(avx512_bf16_free) = {
#include "kernels/kernels.def"
};
#undef BF16
#define BF16(name)
COLUMN(avx512_free) = {
#include "kernels/kernels.def"
};
#undef EACH
#define EACH(name) &name##_avx2,
COLUMN(avx2_free) = {
#include "kernels/kernels.def"
};
#endif
#undef EACH
#define EACH(name) &name##_plain,
COLUMN(plain_free) = {
#include "kernels/kernels.def"
};

const struct kernel *const *kernel_table_candidates(uint16_t op, int isa, uint32_t flags)
{
    int exact = (flags & LLMRUN_OP_EXACT) != 0;

    if (op >= LLMRUN_OPS)
        return NULL;
#if defined(__x86_64__)
    if (isa == CPU_ISA_AVX512 && cpu_isa_has_bf16())
        return (exact ? avx512_bf16_exact : avx512_bf16_free)[op];
    if (isa == CPU_ISA_AVX512)
        return (exact ? avx512_exact : avx512_free)[op];
    if (isa == CPU_ISA_AVX2)
        return (exact ? avx2_exact : avx2_free)[op];
#endif
    (void)isa;
    return (exact ? plain_exact : plain_free)[op];
}

const struct kernel_set cpu_kernel_set = {
    .name = "cpu",
    .version = "0.1.0",
    .priority = 10,
    .exact = 1,
    .candidates = kernel_table_candidates,
};
