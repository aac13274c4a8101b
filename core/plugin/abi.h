/* Whether a plugin and this host fit together: versions of the contract, instruction sets. Pure, but for the processor.
 */
#ifndef LLMRUN_PLUGIN_ABI_H
#define LLMRUN_PLUGIN_ABI_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct abi_version {
    uint32_t major;
    uint32_t minor;
};

/* The contract of this build, and the oldest minor version of its major that it still drives. */
struct abi_version abi_host(void);
uint32_t abi_host_oldest_minor(void);

/* Does a plugin of version `plugin` work with a host of version `host` that drives minor versions from `oldest_minor`
 * on? A plugin may need all that its version has, so one of a newer minor version does not. STATUS_BACKEND with a
 * sentence that says what to update. */
int abi_check(struct abi_version host, uint32_t oldest_minor, struct abi_version plugin, struct error *error);

/* LLMRUN_ISA_* of this processor and operating system. */
uint32_t abi_processor_isa(void);
/* Does code of level `isa` run where `processor` is the level? Levels of another family do not. */
int abi_check_isa(uint32_t processor, uint32_t isa, struct error *error);
const char *abi_isa_name(uint32_t isa); /* "x86-64-v3"; "unknown" for a level that this host does not know */

#endif
