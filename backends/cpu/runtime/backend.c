#include "runtime/runtime.h"

/* The contract lets it live as long as the process; written once, by the entry. */
static struct llmrun_backend backend;

const struct llmrun_backend *cpu_runtime_backend(const struct kernel_set *set, const struct llmrun_host *host,
                                                 struct llmrun_error *error)
{
    if (llmrun_check_host(host, set->name, error) != LLMRUN_OK)
        return NULL;
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
