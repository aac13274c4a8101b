/* What to set where a training step does not fit into a device's memory. */
#ifndef LLMRUN_ENGINE_MEMORY_ADVICE_H
#define LLMRUN_ENGINE_MEMORY_ADVICE_H

#include "compile/compile.h"
#include "hal/device.h"

/* Puts behind *error, the want of memory for `request`, the model's extents and the first that fits of: smaller
 * microbatches, then the same with more recomputation, with the bytes that it needs; or what the least needs. Compiles
 * each of them for the device and allocates nothing there. Returns STATUS_MEMORY. */
int memory_advice_add(struct device *device, const struct compile_request *request, struct error *error);

#endif
