/* Reverse-mode differentiation of the forward section and of the loss, which stands at the head of the backward
 * section: the last two sections of the program as it comes.
 *
 * Adds to `program` the rest of the backward section, and a gradient value "<parameter>.grad" for each trainable
 * parameter that the losses depend on. Ops on the way to no trainable parameter get no gradient. Gradients of
 * activations are roled B, of parameters W; the loss op, which makes its own gradients, gets its dx and dw operands.
 *
 * A value that feeds several matmuls gets one matmul_input_grad over all of them, so that its gradient is one sum,
 * rounded once. STATUS_BUG names an op that lies on the way and has no rule. */
#ifndef LLMRUN_PASSES_BACKWARD_H
#define LLMRUN_PASSES_BACKWARD_H

#include "program/program.h"

int pass_backward(struct program *program, struct error *error);

#endif
