/* Generation with the caches of keys and values against reading the whole text again, on the backends of this build. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/generate.h"

#define VOCABULARY   90
#define MOST_TOKENS  200
#define PREFILL_ROWS 64

static const char *const backends[] = {"cpu", "cpu-ref", "fakegpu", "fakegraph"};

static bool runs_here(const char *value)
{
#if defined(__x86_64__)
    if (strcmp(value, "avx2") == 0)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (strcmp(value, "avx512") == 0)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#endif
    return strncmp(value, "avx", 3) != 0;
}

/* A small model with a context of `context` tokens, opened with the keys KEY, VALUE, ..., NULL. */
static void open_engine(struct engine *engine, const char *preset, const char *context, const char *const *words)
{
    const bool llama = strcmp(preset, "llama-tiny") == 0;
    struct config_flag flags[16] = {
        {"model.preset", preset},
        {llama ? "model.overrides.max_position_embeddings" : "model.overrides.n_positions", context},
        {llama ? "model.overrides.num_hidden_layers" : "model.overrides.n_layer", "2"},
        {"model.overrides.vocab_size", "90"},
        {"model.overrides.initializer_range", "0.3"},
        {"run.seed", "5"}};
    struct config_inputs inputs = {.flags = flags, .flag_count = 6};
    struct config config;
    struct error error = {0};

    for (; words[0] != NULL; words += 2)
        flags[inputs.flag_count++] = (struct config_flag){words[0], words[1]};
    if (config_load(&config, &inputs, &error) != STATUS_OK ||
        engine_open(engine, &file_system_real, &config, 0, &(struct request_work){.uses = USE_GENERATE}, &error) !=
            STATUS_OK ||
        engine_initialise(engine, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    config_finish(&config);
}

#define OPEN(engine, preset, context, ...)                                                                             \
    open_engine(engine, preset, context, (const char *const[]){__VA_ARGS__, NULL})

static int32_t token_at(int64_t i)
{
    return (int32_t)(i * 37 % 83 * 7 % VOCABULARY);
}

static const int32_t *text(void)
{
    static int32_t tokens[MOST_TOKENS];

    for (int64_t i = 0; i < MOST_TOKENS; i++)
        tokens[i] = token_at(i);
    return tokens;
}

static void prefill(struct engine *engine, const int32_t *tokens, int64_t count, float logits[VOCABULARY])
{
    struct error error = {0};
    const float *found;

    if (engine_prefill(engine, tokens, count, &found, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    memcpy(logits, found, VOCABULARY * sizeof *logits);
}

static void decode(struct engine *engine, int32_t token, float logits[VOCABULARY])
{
    struct error error = {0};
    const float *found;

    if (engine_decode(engine, token, &found, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    memcpy(logits, found, VOCABULARY * sizeof *logits);
}

/* The logits after each prefix have the same bits, whether its last token came alone or with all others. */
static void check_prefixes(const char *preset, const char *backend, const char *compute, const int64_t *counts,
                           int count_count)
{
    struct engine engine;

    OPEN(&engine, preset, "150", "run.backend", backend, "precision.compute", compute);
    for (int i = 0; i < count_count; i++) {
        float whole[VOCABULARY], stepwise[VOCABULARY];

        prefill(&engine, text(), counts[i], whole);
        prefill(&engine, text(), counts[i] > 2 ? counts[i] - 2 : 1, stepwise);
        for (int64_t n = counts[i] > 2 ? counts[i] - 2 : 1; n < counts[i]; n++)
            decode(&engine, text()[n], stepwise);
        if (memcmp(whole, stepwise, sizeof whole) != 0)
            fail_msg("%s, %s, %s: after %lld tokens the logits differ", preset, backend, compute, (long long)counts[i]);
    }
    engine_close(&engine);
}

static void tokens_that_come_one_by_one_give_the_bits_of_all_at_once(void **state)
{
    static const int64_t counts[] = {1,  PREFILL_ROWS + 1, PREFILL_ROWS - 1, PREFILL_ROWS, 2, 2 * PREFILL_ROWS, 129,
                                     150};

    (void)state;
    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++) {
        int few = strcmp(backends[i], "cpu") == 0 ? 8 : strcmp(backends[i], "cpu-ref") == 0 ? 2 : 4;

        check_prefixes("gpt2-tiny", backends[i], "fp32", counts, few);
        check_prefixes("gpt2-tiny", backends[i], "bf16", counts, few);
        check_prefixes("llama-tiny", backends[i], i % 2 == 0 ? "fp32" : "bf16", counts, few);
    }
}

static void a_context_takes_no_token_more_than_it_has(void **state)
{
    struct engine engine;
    struct error error;
    const float *logits;
    float kept[VOCABULARY];

    (void)state;
    OPEN(&engine, "gpt2-tiny", "20", "run.backend", "cpu");
    assert_int_equal(engine_decode(&engine, 1, &logits, &error), STATUS_BUG);
    assert_string_equal(error.message, "a token after 0, 1 to 19 are possible");
    assert_int_equal(engine_prefill(&engine, text(), 0, &logits, &error), STATUS_BUG);
    assert_string_equal(error.message, "0 tokens to begin with, 1 to 20 are possible");
    assert_int_equal(engine_prefill(&engine, text(), 21, &logits, &error), STATUS_BUG);
    prefill(&engine, text(), 20, kept);
    assert_int_equal(engine_decode(&engine, 1, &logits, &error), STATUS_BUG);
    assert_string_equal(error.message, "a token after 20, 1 to 19 are possible");
    engine_close(&engine);
}

struct made {
    int32_t tokens[MOST_TOKENS];
    int64_t count, most;
};

static bool note(void *context, int32_t token)
{
    struct made *made = context;

    made->tokens[made->count++] = token;
    return made->count < made->most;
}

static struct made make(struct engine *engine, int64_t prompt, const struct generate_options *options)
{
    struct made made = {.most = MOST_TOKENS};
    struct error error = {0};

    if (generate(engine, text(), prompt, options, note, &made, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    return made;
}

static void assert_same_text(const struct made *a, const struct made *b, const char *what)
{
    assert_int_equal(a->count, b->count);
    for (int64_t i = 0; i < a->count; i++)
        if (a->tokens[i] != b->tokens[i])
            fail_msg("%s: token %lld is %d and %d", what, (long long)i, a->tokens[i], b->tokens[i]);
}

static void every_processor_and_number_of_threads_makes_the_same_text(void **state)
{
    static const struct generate_options options = {.tokens = 12, .temperature = 0.8, .top_p = 0.9, .seed = 3};
    static const char *const keys[][2] = {{"run.threads", "1"},       {"run.threads", "2"},
                                          {"run.cpu_isa", "plain"},   {"run.cpu_isa", "avx2"},
                                          {"run.cpu_isa", "avx512"},  {"run.backend", "cpu-ref"},
                                          {"run.backend", "fakegpu"}, {"run.backend", "fakegraph"}};
    struct made first = {.count = 0};

    (void)state;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct engine engine;
        struct made made;

        if (!runs_here(keys[i][1]))
            continue;
        OPEN(&engine, "gpt2-tiny", "150", "run.backend", "cpu", keys[i][0], keys[i][1]);
        made = make(&engine, 70, &options);
        if (i == 0)
            first = made;
        assert_same_text(&first, &made, keys[i][1]);
        engine_close(&engine);
    }
}

/* What generate promises, spelled out: each token from a whole reading; a full context goes on with its later half. */
static struct made make_plainly(struct engine *engine, int64_t prompt, int64_t context, int64_t count)
{
    static const struct generate_options greedy = {.top_p = 1};
    struct candidate_token scratch[VOCABULARY];
    int32_t tokens[2 * MOST_TOKENS];
    int64_t first = prompt > context ? prompt - context : 0, end = prompt;
    struct made made = {.count = 0};

    memcpy(tokens, text(), (size_t)prompt * sizeof *tokens);
    while (made.count < count) {
        float logits[VOCABULARY];

        prefill(engine, tokens + first, end - first, logits);
        tokens[end] = made.tokens[made.count++] = sample_token(logits, VOCABULARY, &greedy, 0, scratch);
        if (end++ - first == context)
            first = end - context / 2;
    }
    return made;
}

static void a_full_context_goes_on_with_its_later_half(void **state)
{
    static const int64_t prompts[] = {1, 19, 20, 21, 90};
    static const struct generate_options options = {.tokens = 75, .top_p = 1};
    struct engine engine;

    (void)state;
    OPEN(&engine, "gpt2-tiny", "20", "run.backend", "cpu");
    for (size_t i = 0; i < sizeof prompts / sizeof prompts[0]; i++) {
        const struct made wanted = make_plainly(&engine, prompts[i], 20, options.tokens);
        const struct made made = make(&engine, prompts[i], &options);

        assert_same_text(&wanted, &made, "a context of 20");
    }
    engine_close(&engine);
    OPEN(&engine, "gpt2-tiny", "1", "run.backend", "cpu");
    assert_int_equal(make(&engine, 3, &options).count, options.tokens);
    engine_close(&engine);
}

static void a_stop_token_ends_the_text_and_is_not_passed_on(void **state)
{
    struct generate_options options = {.tokens = 40, .temperature = 1, .top_p = 1};
    struct made whole, cut;
    struct engine engine;
    int32_t stops[2] = {-1};

    (void)state;
    OPEN(&engine, "gpt2-tiny", "150", "run.backend", "cpu");
    whole = make(&engine, 5, &options);
    assert_int_equal(whole.count, 40);
    stops[1] = whole.tokens[9];
    options.stops = stops;
    options.stop_count = 2;
    cut = make(&engine, 5, &options);
    assert_true(cut.count <= 9);
    assert_memory_equal(cut.tokens, whole.tokens, (size_t)cut.count * sizeof cut.tokens[0]);
    assert_int_equal(whole.tokens[cut.count], stops[1]);
    engine_close(&engine);
}

static void a_listener_ends_the_text(void **state)
{
    const struct generate_options options = {.tokens = 40, .top_p = 1};
    struct made made = {.most = 7};
    struct engine engine;
    struct error error;

    (void)state;
    OPEN(&engine, "gpt2-tiny", "150", "run.backend", "cpu");
    assert_int_equal(generate(&engine, text(), 5, &options, note, &made, &error), STATUS_OK);
    assert_int_equal(made.count, 7);
    engine_close(&engine);
}

static void logits_that_are_not_finite_end_the_text(void **state)
{
    const struct generate_options options = {.tokens = 4, .top_p = 1};
    struct made made = {.most = MOST_TOKENS};
    struct engine engine;
    struct error error;
    float *weights;
    int32_t value;
    int64_t elements;

    (void)state;
    OPEN(&engine, "gpt2-tiny", "20", "run.backend", "cpu");
    value = program_find(&executor_compiled(engine.executor)->program, "wte.weight");
    elements = value_elements(&executor_compiled(engine.executor)->program.values[value]);
    weights = malloc((size_t)elements * sizeof *weights);
    assert_non_null(weights);
    assert_int_equal(executor_read(engine.executor, value, weights, &error), STATUS_OK);
    /* The last token of the vocabulary alone, which is not in the prompt. */
    weights[VOCABULARY * elements / model_padded_vocabulary(&engine.request.model) - 1] = NAN;
    assert_int_equal(executor_write(engine.executor, value, weights, &error), STATUS_OK);
    free(weights);
    assert_int_equal(generate(&engine, (const int32_t[]){1, 2, 3}, 3, &options, note, &made, &error), STATUS_NONFINITE);
    assert_string_equal(error.message, "the model's logits are not finite");
    assert_int_equal(made.count, 0);
    engine_close(&engine);
}

static int asked_before; /* how often a stop is asked for in vain */

static bool asked(void *context)
{
    (void)context;
    return asked_before-- <= 0;
}

/* 65 tokens are two parts of a prefill. */
static void a_stop_ends_a_prefill_between_its_parts_and_with_it_the_text(void **state)
{
    const struct generate_options options = {.tokens = 4, .top_p = 1};
    struct engine engine;
    struct error error = {0};
    const float *logits;

    (void)state;
    OPEN(&engine, "gpt2-tiny", "150", "run.backend", "cpu");
    engine.stop = asked;
    for (int parts = 0; parts <= 2; parts++) {
        struct made made = {.most = MOST_TOKENS};

        asked_before = parts;
        assert_int_equal(generate(&engine, text(), PREFILL_ROWS + 1, &options, note, &made, &error), STATUS_OK);
        assert_int_equal(made.count, parts < 2 ? 0 : options.tokens);
    }
    asked_before = 1;
    assert_int_equal(engine_prefill(&engine, text(), PREFILL_ROWS + 1, &logits, &error), STATUS_STOPPED);
    assert_string_equal(error.message, "stopped in the tokens of a prefill, after 64 of 65");
    engine_close(&engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_that_come_one_by_one_give_the_bits_of_all_at_once),
        cmocka_unit_test(a_context_takes_no_token_more_than_it_has),
        cmocka_unit_test(every_processor_and_number_of_threads_makes_the_same_text),
        cmocka_unit_test(a_full_context_goes_on_with_its_later_half),
        cmocka_unit_test(a_stop_token_ends_the_text_and_is_not_passed_on),
        cmocka_unit_test(a_listener_ends_the_text),
        cmocka_unit_test(logits_that_are_not_finite_end_the_text),
        cmocka_unit_test(a_stop_ends_a_prefill_between_its_parts_and_with_it_the_text),
    };

    setenv("LLMRUN_BACKEND_PATH", LLMRUN_BUILD_DIR "/lib/llmrun:" LLMRUN_BUILD_DIR "/lib/llmrun-test", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
