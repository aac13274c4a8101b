/* What a plugin says of its devices, made safe to print and to compute with: each number is in its range, each text
 * ends within its array and has no control characters. */
#ifndef LLMRUN_PLUGIN_FACTS_H
#define LLMRUN_PLUGIN_FACTS_H

#include "plugin/backend.h"

#define FACTS_DEVICES_MAX 65536

/* Number of devices, 0 to FACTS_DEVICES_MAX. */
int facts_count(const struct backend *backend, int32_t *count, struct error *error);

/* Describes device `index`, which is there. STATUS_BACKEND names the value that cannot be. */
int facts_describe(const struct backend *backend, int32_t index, struct llmrun_device_info *info, struct error *error);

/* A call of device `index` that succeeded must have given an object: STATUS_BACKEND where it is NULL. */
int facts_given(const struct backend *backend, int32_t index, const char *call, const void *object,
                struct error *error);

#endif
