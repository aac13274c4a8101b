/* Cuts forward and backward into the sections that a schedule launches: one a pipeline chunk and layer. Evaluation and
 * generation are cut by layers too, so that equal layers are equal sections.
 *
 * Chunks are whole layers, as many in each as can be; what comes before the first layer belongs to the first chunk,
 * what comes after the last one, with the loss, to the last chunk. With `split`, backward becomes backward_input (the
 * ops with the role B, and what is recomputed) and backward_weight (W), else it stays one section a layer with its ops
 * in order. Sections of one kind and chunk follow each other in the order in which a microbatch runs them; each chunk
 * has at least one of each kind. */
#ifndef LLMRUN_PASSES_CUT_H
#define LLMRUN_PASSES_CUT_H

#include "program/program.h"

struct cut_form {
    int32_t layers, chunks; /* of the model; 1 <= chunks <= layers */
    bool split;             /* W apart from B */
};

int pass_cut(struct program *program, const struct cut_form *form, struct error *error);

/* The chunk of a layer as struct op counts them. */
int32_t cut_chunk(const struct cut_form *form, int32_t layer);

#endif
