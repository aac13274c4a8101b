#include "plugin/abi.h"

#include <llmrun/types.h>

#define OLDEST_MINOR 2 /* include/llmrun/CHANGELOG.md: sums of 0.1 are other ones */

struct abi_version abi_host(void)
{
    return (struct abi_version){LLMRUN_ABI_MAJOR, LLMRUN_ABI_MINOR};
}

uint32_t abi_host_oldest_minor(void)
{
    return OLDEST_MINOR;
}

int abi_check(struct abi_version host, uint32_t oldest_minor, struct abi_version plugin, struct error *error)
{
    if (plugin.major != host.major)
        return error_set(error, STATUS_BACKEND,
                         "is made for plugin contract %u.%u, this llmrun speaks %u.%u: another major version; %s",
                         plugin.major, plugin.minor, host.major, host.minor,
                         plugin.major > host.major ? "update llmrun" : "update the plugin");
    if (plugin.minor < oldest_minor)
        return error_set(error, STATUS_BACKEND,
                         "is made for plugin contract %u.%u, this llmrun speaks %u.%u and drives %u.%u and newer: "
                         "update the plugin",
                         plugin.major, plugin.minor, host.major, host.minor, host.major, oldest_minor);
    if (plugin.minor > host.minor)
        return error_set(error, STATUS_BACKEND,
                         "is made for plugin contract %u.%u, this llmrun speaks %u.%u: update llmrun", plugin.major,
                         plugin.minor, host.major, host.minor);
    return STATUS_OK;
}

uint32_t abi_processor_isa(void)
{
#if defined(__x86_64__)
    /* The compiler's own check looks at CPUID and, for AVX and up, at what the operating system saves (XGETBV). */
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("sse4.2") || !__builtin_cpu_supports("ssse3") || !__builtin_cpu_supports("popcnt"))
        return LLMRUN_ISA_X86_64;
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("bmi") ||
        !__builtin_cpu_supports("bmi2"))
        return LLMRUN_ISA_X86_64_V2;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512cd") || !__builtin_cpu_supports("avx512dq") ||
        !__builtin_cpu_supports("avx512vl"))
        return LLMRUN_ISA_X86_64_V3;
    return LLMRUN_ISA_X86_64_V4;
#else
    return LLMRUN_ISA_BASELINE;
#endif
}

int abi_check_isa(uint32_t processor, uint32_t isa, struct error *error)
{
    const bool processor_is_x86 = processor >= LLMRUN_ISA_X86_64 && processor <= LLMRUN_ISA_X86_64_V4;
    const bool fits = processor_is_x86 ? isa >= LLMRUN_ISA_X86_64 && isa <= processor : isa == processor;

    if (fits)
        return STATUS_OK;
    return error_set(error, STATUS_BACKEND, "needs the instruction set %s (level %u), this processor has %s",
                     abi_isa_name(isa), isa, abi_isa_name(processor));
}

const char *abi_isa_name(uint32_t isa)
{
    switch (isa) {
    case LLMRUN_ISA_X86_64:
        return "x86-64";
    case LLMRUN_ISA_X86_64_V2:
        return "x86-64-v2";
    case LLMRUN_ISA_X86_64_V3:
        return "x86-64-v3";
    case LLMRUN_ISA_X86_64_V4:
        return "x86-64-v4";
    case LLMRUN_ISA_AARCH64:
        return "aarch64";
    default:
        return "unknown";
    }
}
