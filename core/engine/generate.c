#include "engine/generate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <llmrun/random.h>

/* The text's last tokens: at most twice the context. */
struct history {
    int32_t *tokens;
    int64_t count, window;
};

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

static void remember(struct history *history, int32_t token)
{
    if (history->count == 2 * history->window) {
        memmove(history->tokens, history->tokens + history->window, (size_t)history->window * sizeof(int32_t));
        history->count = history->window;
    }
    history->tokens[history->count++] = token;
}

/* Logits after the newest token; the engine has seen all before it. A full context begins anew with its later half. */
static int see_newest(struct engine *engine, const struct history *history, const float **logits, struct error *error)
{
    const int64_t half = history->window > 1 ? history->window / 2 : 1;

    if (engine->cached < history->window)
        return engine_decode(engine, history->tokens[history->count - 1], logits, error);
    return engine_prefill(engine, history->tokens + history->count - half, half, logits, error);
}

static int go_on(struct engine *engine, struct history *history, const struct generate_options *options,
                 struct candidate_token *scratch, generate_listener *listener, void *context, struct error *error)
{
    const int64_t vocabulary = engine->request.model.vocab_size;
    const float *logits;
    int status = engine_prefill(engine, history->tokens, history->count, &logits, error);

    for (int64_t i = 0; status == STATUS_OK; i++) {
        int32_t token;

        if (!all_finite(logits, vocabulary))
            return error_set(error, STATUS_NONFINITE, "the model's logits are not finite");
        token = sample_token(logits, vocabulary, options, uniform_at(options->seed, (uint64_t)i), scratch);
        if (generate_is_stop(options, token) || !listener(context, token) || i + 1 == options->tokens)
            return STATUS_OK;
        remember(history, token);
        status = see_newest(engine, history, &logits, error);
    }
    return status == STATUS_STOPPED ? STATUS_OK : status;
}

static int check_prompt(const struct engine *engine, const int32_t *prompt, int64_t count, struct error *error)
{
    const int64_t vocabulary = engine->request.model.vocab_size;

    for (int64_t i = 0; i < count; i++)
        if (prompt[i] < 0 || prompt[i] >= vocabulary)
            return error_set(error, STATUS_INPUT,
                             "token %lld of the prompt is %d, outside the model's vocabulary of %lld", (long long)i + 1,
                             prompt[i], (long long)vocabulary);
    return STATUS_OK;
}

int generate(struct engine *engine, const int32_t *prompt, int64_t prompt_count, const struct generate_options *options,
             generate_listener *listener, void *context, struct error *error)
{
    const int64_t window = engine->request.sequence;
    const int64_t count = prompt_count < window ? prompt_count : window;
    struct history history = {malloc((size_t)(2 * window) * sizeof(int32_t)), count, window};
    struct candidate_token *scratch = malloc((size_t)engine->request.model.vocab_size * sizeof *scratch);
    int status = check_prompt(engine, prompt, prompt_count, error);

    if (status == STATUS_OK && (history.tokens == NULL || scratch == NULL)) {
        status = error_set(error, STATUS_MEMORY, "no memory to generate text");
    } else if (status == STATUS_OK && options->tokens > 0) {
        memcpy(history.tokens, prompt + prompt_count - count, (size_t)count * sizeof(int32_t));
        status = go_on(engine, &history, options, scratch, listener, context, error);
    }
    free(history.tokens);
    free(scratch);
    return status;
}
