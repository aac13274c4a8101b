/* A program of its own on a device: no model, no schedule, just sections launched one after the other. */
#ifndef LLMRUN_TEST_OPS_RUNNER_H
#define LLMRUN_TEST_OPS_RUNNER_H

#include "plugin/registry.h"
#include "runtime/section.h"

struct runner {
    struct device *device; /* borrowed */
    struct compiled compiled;
    struct arena arena;
    struct host_buffer staging; /* holds the largest value */
    struct stream stream;
    struct event done;
    struct prepared_section sections[SECTION_KINDS];
    struct error error;
};

/* Device 0 of a backend of this build. Fails the test when it cannot be opened. */
struct device *runner_device(const char *backend);

/* Verifies, plans and prepares `program`, which the runner takes over; one microbatch. False when the device has no
 * kernel for an op: runner->error says which; everything else that goes wrong fails the test. */
bool runner_open(struct runner *runner, struct device *device, struct program *program, bool exact);
void runner_close(struct runner *runner);

/* Whole values, blocking. */
void runner_write(struct runner *runner, int32_t value, const void *data);
void runner_read(struct runner *runner, int32_t value, void *data);

/* Zeroes all gradients. */
void runner_zero(struct runner *runner);
void runner_launch(struct runner *runner, enum section_kind kind);

#endif
