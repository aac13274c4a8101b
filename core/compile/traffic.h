/* What a rank sends in a step, by axis of the mesh and kind of transfer: the payload as the published algorithms count
 * it, which a collective plugin counts too. */
#ifndef LLMRUN_COMPILE_TRAFFIC_H
#define LLMRUN_COMPILE_TRAFFIC_H

#include "compile/compiled.h"

struct traffic {
    int64_t calls[MESH_AXES][EXCHANGE_COPY]; /* by enum exchange_kind */
    int64_t bytes[MESH_AXES][EXCHANGE_COPY]; /* sent by this rank */
};

/* Of one run of a job. */
void traffic_count(const struct compiled *compiled, enum job job, struct traffic *traffic);

/* Adds what one COMMAND_COLLECTIVE sends. */
void traffic_add(const struct compiled *compiled, const struct command *command, struct traffic *traffic);

#endif
