/* What a checkpoint knows besides tensors: keys with a text, a whole number or a number. The trainer keeps its counters
 * here (step, tokens seen, place in the data) and what must not change on resume (seed, model, data, optimizer). */
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

/* A key set again changes its value. STATUS_BUG for a key or text that is no UTF-8 and for a number that is not finite,
 * STATUS_MEMORY without memory. Texts are copied. */
int checkpoint_state_set_text(struct checkpoint_state *state, const char *key, const char *text, struct error *error);
int checkpoint_state_set_integer(struct checkpoint_state *state, const char *key, int64_t value, struct error *error);
int checkpoint_state_set_number(struct checkpoint_state *state, const char *key, double value, struct error *error);

/* False (NULL) when the key is missing or of another type. Numbers come back with the same bits. Texts are borrowed. */
const char *checkpoint_state_text(const struct checkpoint_state *state, const char *key);
bool checkpoint_state_integer(const struct checkpoint_state *state, const char *key, int64_t *value);
bool checkpoint_state_number(const struct checkpoint_state *state, const char *key, double *value);

/* Copies; the target is empty. */
int checkpoint_state_copy(const struct checkpoint_state *source, struct checkpoint_state *target, struct error *error);

/* STATUS_USAGE, naming the first key and both values, unless `saved` holds every key of `wanted` with the same value.
 */
int checkpoint_state_match(const struct checkpoint_state *saved, const struct checkpoint_state *wanted,
                           struct error *error);

#endif
