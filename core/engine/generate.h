/* Text from a model, one token at a time. */
#ifndef LLMRUN_ENGINE_GENERATE_H
#define LLMRUN_ENGINE_GENERATE_H

#include "engine/engine.h"

struct generate_options {
    int64_t tokens;     /* to make at most */
    double temperature; /* 0: the most probable token */
    int64_t top_k;      /* only the k most probable tokens; 0: all */
    double top_p;       /* only the most probable tokens that together reach p; 1: all */
    uint64_t seed;
    const int32_t *stops; /* tokens that end the text; they are not passed on */
    int64_t stop_count;
    int64_t vocabulary; /* tokens from this number on have no text: they are never picked, but for stops; 0: all have */
};

bool generate_is_stop(const struct generate_options *options, int32_t token);

/* Hears each token as it is made; returns false to stop. */
typedef bool generate_listener(void *context, int32_t token);

/* Goes on from `prompt`: at least one token; one outside the model's vocabulary is STATUS_INPUT. The engine was opened
 * for USE_GENERATE. The same seed gives the same tokens. Where engine->stop says so in a prefill, the text ends there.
 *
 * A prompt that is longer than the context counts with its end alone. When the context is full, the text goes on from
 * the later half of it, as if that were all there is: it is read again from position 0, once for every half context
 * that follows. */
int generate(struct engine *engine, const int32_t *prompt, int64_t prompt_count, const struct generate_options *options,
             generate_listener *listener, void *context, struct error *error);

/* One token of those that may be picked, from logits[0 .. count-1]; `uniform` is in [0, 1). The most probable tokens
 * come first in that range, ties by number. `scratch` has room for `count`. */
struct candidate_token {
    float logit;
    int32_t token;
};
int32_t sample_token(const float *logits, int64_t count, const struct generate_options *options, double uniform,
                     struct candidate_token *scratch);

#endif
