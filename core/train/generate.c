#include "train/generate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <llmrun/random.h>

static int more_probable_first(const void *a, const void *b)
{
    const struct candidate_token *x = a, *y = b;

    if (x->logit != y->logit)
        return x->logit < y->logit ? 1 : -1;
    return x->token < y->token ? -1 : 1;
}

static int32_t most_probable(const float *logits, int64_t count)
{
    int32_t best = 0;

    for (int64_t i = 1; i < count; i++)
        if (logits[i] > logits[best])
            best = (int32_t)i;
    return best;
}

int32_t generate_pick(const float *logits, int64_t count, const struct generate_options *options, double uniform,
                      struct candidate_token *scratch)
{
    double total = 0, kept = 0, reached = 0;
    int64_t candidates = options->top_k > 0 && options->top_k < count ? options->top_k : count, last;

    if (options->temperature == 0)
        return most_probable(logits, count);
    for (int64_t i = 0; i < count; i++)
        scratch[i] = (struct candidate_token){logits[i], (int32_t)i};
    qsort(scratch, (size_t)count, sizeof *scratch, more_probable_first);
    for (int64_t i = 0; i < candidates; i++)
        total += exp((scratch[i].logit - scratch[0].logit) / options->temperature);
    for (last = 0; last < candidates; last++) {
        kept += exp((scratch[last].logit - scratch[0].logit) / options->temperature);
        if (kept >= options->top_p * total)
            break;
    }
    if (last == candidates)
        last--;
    for (int64_t i = 0; i < last; i++) {
        reached += exp((scratch[i].logit - scratch[0].logit) / options->temperature);
        if (uniform * kept < reached)
            return scratch[i].token;
    }
    return scratch[last].token;
}

/* 53 random bits for token number `position`. */
static double uniform_at(uint64_t seed, uint64_t position)
{
    const uint32_t counter[4] = {(uint32_t)position, (uint32_t)(position >> 32), 0, 0x67656e65u};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    const struct llmrun_random_block block = llmrun_philox(counter, key);

    return (double)((uint64_t)block.word[0] << 21 | block.word[1] >> 11) * 0x1p-53;
}

static bool all_finite(const float *logits, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(logits[i]))
            return false;
    return true;
}

int generate(struct engine *engine, const int32_t *prompt, int64_t prompt_count, const struct generate_options *options,
             generate_listener *listener, void *context, struct error *error)
{
    const int64_t window = engine->request.sequence, vocabulary = engine->request.model.vocab_size;
    int32_t *tokens = malloc((size_t)(prompt_count + options->tokens + 1) * sizeof *tokens);
    struct candidate_token *scratch = malloc((size_t)vocabulary * sizeof *scratch);
    int64_t count = prompt_count;
    int status = STATUS_OK;

    if (tokens == NULL || scratch == NULL) {
        status = error_set(error, STATUS_MEMORY, "no memory to generate %lld tokens", (long long)options->tokens);
        goto out;
    }
    memcpy(tokens, prompt, (size_t)prompt_count * sizeof *tokens);
    for (int64_t i = 0; i < options->tokens; i++) {
        int64_t first = count > window ? count - window : 0;
        const float *logits;
        int32_t token;

        status = engine_predict(engine, tokens + first, count - first, &logits, error);
        if (status != STATUS_OK)
            break;
        if (!all_finite(logits, vocabulary)) {
            status = error_set(error, STATUS_NONFINITE, "the model's logits are not finite");
            break;
        }
        token = generate_pick(logits, vocabulary, options, uniform_at(options->seed, (uint64_t)i), scratch);
        if (token == options->stop || !listener(context, token))
            break;
        tokens[count++] = token;
    }
out:
    free(tokens);
    free(scratch);
    return status;
}
