/* Cuts sections at their communication ops, the last of the passes: each such op then stands alone in a section, and
 * what is between two of them is launched as one. Segments of a section keep its kind, chunk, layer and level, and
 * follow each other in their order; the first one is 0. */
#ifndef LLMRUN_PASSES_SEGMENTS_H
#define LLMRUN_PASSES_SEGMENTS_H

#include "program/program.h"

/* Leaves a program without communication alone. */
int pass_segments(struct program *program, struct error *error);

/* The communication op that is all of a section; NULL for a section that is launched. */
const struct op *segment_communication(const struct program *program, const struct section *section);

#endif
