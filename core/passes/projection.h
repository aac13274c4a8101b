/* The program of one rank of a pipeline, while passes/pipeline_parallel.c makes it of the whole model's. */
#ifndef LLMRUN_PASSES_PROJECTION_H
#define LLMRUN_PASSES_PROJECTION_H

#include "passes/boundary.h"
#include "passes/holders.h"
#include "program/builder.h"

/* Values keep their numbers, and new ones come behind. */
struct projection {
    struct builder builder; /* of `out` */
    const struct program *program;
    struct program *out;
    const struct pipeline *pipeline;
    int32_t rank, stages;
    struct boundaries boundaries;
    struct holders holders;
    int32_t *slots; /* of each value that a stage makes for all ranks: what it writes in its place; NO_VALUE */
    uint32_t *ways; /* of each of these: bits of those in whose last section it is spread; WAYS: in the update */
    uint32_t next_link;
};

/* The rank that has a stage. */
int32_t projection_holder(const struct projection *projection, int32_t stage);

/* Begins a section of `out`, for one of the program. */
void projection_begin(struct projection *projection, const struct section *section);

/* Copies an op into it; NULL after a failure. What it writes for all ranks goes to its slots. */
struct op *projection_copy(struct projection *projection, const struct op *op);

void projection_send(struct projection *projection, int32_t value, bool buffered, int32_t peer, uint32_t link);
void projection_receive(struct projection *projection, int32_t value, bool buffered, int32_t peer, uint32_t link);

#endif
