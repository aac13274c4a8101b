/* Compiling for a device that is there: its plugin answers what each op needs, so the plan is exact. */
#ifndef LLMRUN_RUNTIME_DEVICE_COMPILE_H
#define LLMRUN_RUNTIME_DEVICE_COMPILE_H

#include "compile/compile.h"
#include "hal/device.h"

/* compile_step with the device's answers; the request's query, device_compiles and alignment are not looked at.
 * Allocates nothing on the device, but a device that compiles sections is made to compile them. */
int device_compile(struct device *device, const struct compile_request *request, struct compiled *compiled,
                   struct error *error);

/* compile_plan likewise. */
int device_compile_plan(struct device *device, const struct compile_request *request, struct compiled *compiled,
                        struct error *error);

#endif
