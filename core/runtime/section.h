/* One section made ready for a device: prepared kernels with their addresses, or one compiled program. */
#ifndef LLMRUN_RUNTIME_SECTION_H
#define LLMRUN_RUNTIME_SECTION_H

#include "compile/compiled.h"
#include "hal/device.h"
#include "hal/stream.h"
#include "runtime/binding.h"
#include "runtime/timeline.h"

struct launch {
    struct device_kernel kernel;
    int32_t first_address; /* into addresses and bindings of the section */
    uint32_t count;
    bool slots; /* some operand is in a slot */
    int32_t op; /* index in the program */
};

struct prepared_section {
    struct launch *launches; /* devices with kernels */
    int64_t launch_count;
    struct device_program program; /* devices that compile sections */
    bool compiled;
    uint64_t *addresses; /* in slot 0 */
    struct binding *bindings;
    uint64_t *scratch; /* addresses in the slots at hand */
    int64_t address_count;
    uint64_t workspace;
    const struct arena *arena;
    const char *name;          /* of the section */
    struct timeline *timeline; /* where launches leave their marks; NULL: nowhere. Set by whoever wants them. */
};

/* `arena` outlives the section. With a device that compiles, values that only this section uses are
 * its own. */
int prepared_section_create(struct device *device, const struct compiled *compiled, const struct section *section,
                            const struct arena *arena, struct prepared_section *prepared, struct error *error);
void prepared_section_destroy(struct prepared_section *prepared);

/* Enqueues the section; `slots` has one entry a pool (passes/flow.h), NULL where no value of the section is in one.
 * Allocates nothing. */
int prepared_section_launch(const struct prepared_section *prepared, const struct stream *stream, const int32_t *slots,
                            struct error *error);

#endif
