/* What a checkpoint knows besides tensors: keys with a text or a whole number, such as the steps and tokens seen. Files
 * may hold real numbers too, which nothing asks for. */
#ifndef LLMRUN_CHECKPOINT_STATE_H
#define LLMRUN_CHECKPOINT_STATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

/* An ordered map. Zero-initialised it is empty; freed with checkpoint_state_finish. */
struct checkpoint_state {
    json_t *object; /* NULL while empty; values are strings, integers and reals */
};

void checkpoint_state_finish(struct checkpoint_state *state);

/* A key set again changes its value. STATUS_BUG for a key or text that is no UTF-8, STATUS_MEMORY without memory. Texts
 * are copied. */
int checkpoint_state_set_text(struct checkpoint_state *state, const char *key, const char *text, struct error *error);
int checkpoint_state_set_integer(struct checkpoint_state *state, const char *key, int64_t value, struct error *error);

/* False (NULL) when the key is missing or of another type. Texts are borrowed. */
const char *checkpoint_state_text(const struct checkpoint_state *state, const char *key);
bool checkpoint_state_integer(const struct checkpoint_state *state, const char *key, int64_t *value);

/* Copies; the target is empty. */
int checkpoint_state_copy(const struct checkpoint_state *source, struct checkpoint_state *target, struct error *error);

#endif
