/* The device that a config asks for: plugins searched, backend loaded, device opened with the config's options. */
#ifndef LLMRUN_ENGINE_CHOSEN_DEVICE_H
#define LLMRUN_ENGINE_CHOSEN_DEVICE_H

#include "config/config.h"
#include "hal/device.h"
#include "plugin/registry.h"

struct chosen_device {
    struct registry registry;
    const struct backend *backend;
    struct device *device;
    bool exact; /* numerics.exact, with `auto` decided */
};

/* STATUS_BACKEND when there is none, or numerics.exact is true and the device has no exact kernels. */
int chosen_device_open(struct chosen_device *chosen, const struct config *config, struct error *error);
void chosen_device_close(struct chosen_device *chosen); /* accepts a zeroed struct */

#endif
