#include "runtime/runtime.h"

/* The contract lets it live as long as the process; written once, by the entry. */
static struct llmrun_backend backend;

const struct llmrun_backend *cpu_runtime_backend(const struct kernel_set *set, const struct llmrun_host *host,
                                                 struct llmrun_error *error)
{
    if (host->abi_major != LLMRUN_ABI_MAJOR || (LLMRUN_ABI_MAJOR == 0 && host->abi_minor != LLMRUN_ABI_MINOR)) {
        runtime_fail(error, LLMRUN_ERROR_VERSION,
                     "%s %s speaks contract %d.%d, this host %u.%u: install a %s of the host's release", set->name,
                     set->version, LLMRUN_ABI_MAJOR, LLMRUN_ABI_MINOR, host->abi_major, host->abi_minor, set->name);
        return NULL;
    }
    runtime_use_kernels(set);
    backend = (struct llmrun_backend){
        .size = sizeof(backend),
        .abi_major = LLMRUN_ABI_MAJOR,
        .abi_minor = LLMRUN_ABI_MINOR,
        .priority = set->priority,
        .name = set->name,
        .version = set->version,
        .vendor = "llmrun",
        .device = &runtime_device_table,
        .kernel = &runtime_kernel_table,
    };
    return &backend;
}
