/* What the test plugins that wrap the CPU backend share: each holds one, `inner`, and changes what it is there for. */
#ifndef LLMRUN_WRAPPED_H
#define LLMRUN_WRAPPED_H

#include <llmrun/plugin.h>

/* The CPU backend that does the work. Set by wrapped_open. */
extern const struct llmrun_backend *inner;

/* The plugin's note and its table, `backend`; what follows the name are its tables: .device = &device_table, ... */
#define WRAPPED_PLUGIN(plugin_name, ...)                                                                               \
    LLMRUN_PLUGIN_NOTE(LLMRUN_PLUGIN_BACKEND, plugin_name, "0.1.0");                                                   \
    static const struct llmrun_backend backend = {.size = sizeof backend,                                              \
                                                  .abi_major = LLMRUN_ABI_MAJOR,                                       \
                                                  .abi_minor = LLMRUN_ABI_MINOR,                                       \
                                                  .priority = 0,                                                       \
                                                  .name = plugin_name,                                                 \
                                                  .version = "0.1.0",                                                  \
                                                  .vendor = "llmrun tests",                                            \
                                                  __VA_ARGS__};

/* Makes `inner`, whose reasons speak of `name`, and returns it; NULL with *error filled where the CPU backend refuses.
 */
const struct llmrun_backend *wrapped_open(const char *name, const struct llmrun_host *host, struct llmrun_error *error);

/* Fills *error and returns `code`. Failures of the device have a vendor code, 999. */
int32_t wrapped_fail(struct llmrun_error *error, int32_t code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Bytes from the first to the last element. */
int64_t wrapped_tensor_bytes(const struct llmrun_tensor *tensor);

#endif
