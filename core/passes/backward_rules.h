/* The rules by which the backward pass differentiates ops. */
#ifndef LLMRUN_PASSES_BACKWARD_RULES_H
#define LLMRUN_PASSES_BACKWARD_RULES_H

#include "passes/gradients.h"

/* The rule of an op: reads the gradients of its outputs, adds ops, contributes to its inputs. */
typedef void backward_rule(struct backward *backward, int64_t op);

/* NULL when the op is not differentiable. */
backward_rule *backward_rule_of(uint16_t op);

#endif
