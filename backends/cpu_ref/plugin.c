#include "cpu_ref/table.h"

LLMRUN_PLUGIN_NOTE(LLMRUN_PLUGIN_BACKEND, "cpu-ref", "0.1.0");

const struct llmrun_backend *llmrun_backend_entry(const struct llmrun_host *host, struct llmrun_error *error)
{
    return cpu_runtime_backend(&cpu_ref_kernel_set, host, error);
}
