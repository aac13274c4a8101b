/* Adds the update section: gradient norm, clipping, AdamW for every parameter that has a gradient, and the optimizer's
 * state.
 *
 * Values it makes: "<parameter>.m", "<parameter>.v" (state, zero before the first step), the slots of squares, their
 * sums a gradient in the order of parameters, and the constant that says which slots each has, the
 * inputs "learning_rate" and "bias_correction", the results "grad_norm" and "found_inf". The losses of the whole global
 * batch come from the value "losses" (f64, [sequences]). `found_inf` is state: once 1, every later update leaves all
 * weights as they are. */
#ifndef LLMRUN_PASSES_OPTIMIZER_H
#define LLMRUN_PASSES_OPTIMIZER_H

#include "program/program.h"

struct update_policy {
    float beta1, beta2, epsilon;
    float weight_decay; /* for parameters flagged VALUE_DECAY */
    float clip;         /* largest gradient norm; 0: no clipping */
    bool exact;         /* the squares of a gradient are added in parts, with a slot each, as docs/numerics.md says */
};

int pass_optimizer(struct program *program, const struct update_policy *policy, struct error *error);

#endif
