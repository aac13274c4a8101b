/* The mesh of ranks that a config asks for. */
#ifndef LLMRUN_ENGINE_LAYOUT_H
#define LLMRUN_ENGINE_LAYOUT_H

#include "base/status.h"
#include "config/config.h"
#include "program/mesh.h"

/* tp and pp are those of the config, dp is what is left of `world` ranks; the place is that of `rank`. STATUS_USAGE
 * where the world is no multiple of tp x pp, which names both and the nearest world that is. */
int layout_mesh(const struct config *config, int32_t world, int32_t rank, struct mesh *mesh, struct error *error);

/* The layout that a stored config was trained in is not that of who reads the model: what no flag or variable sets
 * becomes one rank's. */
void layout_forget_stored(struct config *config);

/* The smallest world of the config: tp x pp. */
int64_t layout_smallest_world(const struct config *config);

/* What of parallel.sp holds for the mesh: with auto where tp > 1. STATUS_USAGE for true without tp. */
int layout_sequence_parallel(const struct config *config, const struct mesh *mesh, bool *sequence_parallel,
                             struct error *error);

#endif
