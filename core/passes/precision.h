/* Chooses the element type of the computation.
 *
 * f32: the program stays as it is. bf16: operands of class `compute` become bf16; a parameter that stands there gets a
 * bf16 copy "<parameter>.bf16", made from the fp32 master by AdamW and, after init or loading, by the section
 * cast_weights. Masters, moments, gradients of parameters, norms' weights, biases and row statistics stay fp32. */
#ifndef LLMRUN_PASSES_PRECISION_H
#define LLMRUN_PASSES_PRECISION_H

#include "program/program.h"

int pass_precision(struct program *program, uint32_t compute_dtype, struct error *error);

/* Values of the class `wide`, which are f64 in a program as built, become f32: for a device that has no f64. */
void pass_narrow(struct program *program);

#endif
