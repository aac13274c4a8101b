#include <stdarg.h>
#include <stdio.h>

#include "runtime/runtime.h"

/* The contract's tables have no context argument, so what the plugin was set up with stands here; written once, by the
 * entry. */
static const struct kernel_set *kernel_set;
static struct llmrun_backend backend;

const struct kernel_set *runtime_kernel_set(void)
{
    return kernel_set;
}

int32_t runtime_fail(struct llmrun_error *error, int32_t code, const char *format, ...)
{
    va_list arguments;

    if (error == NULL)
        return code;
    error->code = code;
    error->vendor_code = 0;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof(error->message), format, arguments);
    va_end(arguments);
    return code;
}

const struct llmrun_backend *cpu_runtime_backend(const struct kernel_set *set, const struct llmrun_host *host,
                                                 struct llmrun_error *error)
{
    if (host->abi_major != LLMRUN_ABI_MAJOR || (LLMRUN_ABI_MAJOR == 0 && host->abi_minor != LLMRUN_ABI_MINOR)) {
        runtime_fail(error, LLMRUN_ERROR_VERSION,
                     "%s %s speaks contract %d.%d, this host %u.%u: install a %s of the host's release", set->name,
                     set->version, LLMRUN_ABI_MAJOR, LLMRUN_ABI_MINOR, host->abi_major, host->abi_minor, set->name);
        return NULL;
    }
    kernel_set = set;
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
