/* Opening a device and all that a run makes of it first, where a crash does no harm: in a child process. */
#ifndef LLMRUN_HAL_TRIAL_H
#define LLMRUN_HAL_TRIAL_H

#include "plugin/backend.h"

/* Opens device 0, makes a little memory, a stream and an event of it, and destroys everything. Enqueues no work. */
int device_trial(const struct backend *backend, struct error *error);

#endif
