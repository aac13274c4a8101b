/* What a device can do, asked once an op description and remembered: the answer depends on the description alone. */
#ifndef LLMRUN_HAL_CAPABILITY_H
#define LLMRUN_HAL_CAPABILITY_H

#include <llmrun/backend.h>

#include "base/status.h"

/* No op needs more workspace: 256 TiB. A larger number is not one of bytes. */
#define CAPABILITY_WORKSPACE_MAX (INT64_C(1) << 48)

struct device;
struct capability_cache;

/* NULL when there is no memory. */
struct capability_cache *capability_cache_create(void);
void capability_cache_destroy(struct capability_cache *cache);

/* Asks the device's kernel table, or its program table where it has no kernels. An op that the device cannot do is
 * STATUS_OK with answer->support LLMRUN_SUPPORT_NO and a reason that is never empty; so is an answer that is none of
 * the contract's. Any thread. */
int capability_query(struct device *device, const struct llmrun_op *op, struct llmrun_op_support *answer,
                     struct error *error);

/* Queries that reached the plugin so far, and those asked in all. */
void capability_count(const struct device *device, int64_t *asked, int64_t *total);

#endif
