/* The gradients that the backward pass has so far: parts of them are collected while the walk goes from the loss to the
 * first op. */
#ifndef LLMRUN_PASSES_GRADIENTS_H
#define LLMRUN_PASSES_GRADIENTS_H

#include "base/text.h"
#include "program/builder.h"

#define MAX_PAIRS 3

/* What is known of the gradient of one forward value. A matmul's part waits as a (dy, w) pair until the gradient is
 * asked for, so that up to three of them become one op. */
struct gradient {
    int32_t value; /* NO_VALUE when there is none yet */
    int32_t pairs[MAX_PAIRS][2];
    int32_t pair_count;
    bool needed; /* the value depends on a trainable parameter */
};

struct backward {
    struct builder builder;
    struct program *program;
    struct gradient *gradients; /* one a value of the forward program */
    struct text name;           /* of backward_gradient_name */
};

/* The gradient of an activation, made complete; NO_VALUE when nothing reaches it. */
int32_t backward_gradient(struct backward *backward, int32_t value);
/* Adds a part of the gradient of an activation; does nothing where it is not needed or `part` is NO_VALUE. */
void backward_contribute(struct backward *backward, int32_t value, int32_t part);
/* Adds the part dy w, to be computed when the gradient is asked for. */
void backward_contribute_pair(struct backward *backward, int32_t value, int32_t dy, int32_t weight);
/* The accumulator of a parameter's gradient, made on first use; NO_VALUE when it is not trainable or `parameter` is
 * absent. */
int32_t backward_parameter_gradient(struct backward *backward, int32_t parameter);
/* The rows of sums of a parameter of channels [n], "<parameter>.grad.rows" [1, n]; NO_VALUE as above.
 * pass_combine reduces them into the gradient. */
int32_t backward_channel_gradient(struct backward *backward, int32_t parameter);
/* "d.<name of the value>", until the next call. Without memory the builder fails. */
const char *backward_gradient_name(struct backward *backward, int32_t value);
/* True when the gradient of this activation is wanted. */
bool backward_needed(const struct backward *backward, int32_t value);

#endif
