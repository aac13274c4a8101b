/* Cuts forward and backward into the sections that a schedule launches: one a stage of the pipeline, as the chunk of
 * its key, and layer. Evaluation and generation are cut by layers too, so that equal layers are equal sections, and
 * with `pipeline` by stages.
 *
 * What comes before the first layer belongs to the first stage, what comes after the last one, with the loss, to the
 * last stage. With `split`, backward becomes backward_input (the ops with the role B, and what is recomputed) and
 * backward_weight (W), else it stays one section a layer with its ops in order. Sections of one kind and stage follow
 * each other in the order in which a microbatch runs them; each stage has at least one of each kind. */
#ifndef LLMRUN_PASSES_CUT_H
#define LLMRUN_PASSES_CUT_H

#include "passes/stages.h"
#include "program/program.h"

struct cut_form {
    const struct stages *stages; /* of the model */
    bool split;                  /* W apart from B */
    bool pipeline;               /* several ranks have the stages */
};

int pass_cut(struct program *program, const struct cut_form *form, struct error *error);

#endif
