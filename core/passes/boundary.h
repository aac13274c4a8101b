/* What crosses the boundaries between the stages of a pipeline (passes/pipeline_parallel.h). */
#ifndef LLMRUN_PASSES_BOUNDARY_H
#define LLMRUN_PASSES_BOUNDARY_H

#include "program/program.h"
#include "schedule/pipeline.h"

/* Uses of the stages: of a step, down and up, and of the other jobs, which go down only. */
enum way { WAY_FORWARD, WAY_BACKWARD, WAY_EVALUATE, WAY_PREFILL, WAY_DECODE, WAYS };

/* WAYS for a kind whose sections are of no stage. */
enum way way_of(enum section_kind kind);

/* Between two stages on two ranks. */
struct crossing {
    int32_t value; /* that travels; NO_VALUE: nothing does */
    int32_t
        terms[2]; /* that the sender adds, as the operands x and residual of `norm`; NO_VALUE: it is there already */
    int64_t norm; /* the op behind the boundary that took both; -1 */
};

struct boundaries {
    struct crossing *crossings; /* [WAYS][stages - 1]: that between stage s and s + 1; owned */
    int32_t count;              /* stages - 1 */
};

/* Of a program that pass_cut has cut; errors as pass_pipeline_parallel says. */
int boundaries_find(const struct program *program, const struct pipeline *pipeline, struct boundaries *boundaries,
                    struct error *error);
void boundaries_finish(struct boundaries *boundaries);

/* What a stage takes in and gives on; NULL for nothing. */
const struct crossing *boundary_input(const struct boundaries *boundaries, enum way way, int32_t stage);
const struct crossing *boundary_output(const struct boundaries *boundaries, enum way way, int32_t stage);

#endif
