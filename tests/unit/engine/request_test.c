/* From a config to what the compiler is asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/keys.h"
#include "engine/request.h"

/* KEY, VALUE, ..., NULL over the defaults. */
static struct config configure(const char *const *words)
{
    struct config_flag flags[16];
    struct config_inputs inputs = {.flags = flags};
    struct config config;
    struct error error = {0};

    for (; words[0] != NULL; words += 2)
        flags[inputs.flag_count++] = (struct config_flag){words[0], words[1]};
    if (config_load(&config, &inputs, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    return config;
}

#define CONFIG(...) configure((const char *const[]){__VA_ARGS__, NULL})

static struct compile_request request_of(struct config config, int64_t vocabulary, unsigned uses)
{
    struct compile_request request;
    struct error error = {0};

    if (request_make(&file_system_real, &config, vocabulary, &(struct request_work){.uses = uses}, &request, &error) !=
        STATUS_OK)
        fail_msg("%s", error.message);
    config_finish(&config);
    return request;
}

static void assert_refused(struct config config, int64_t vocabulary, const char *part)
{
    struct compile_request request;
    struct error error = {0};

    assert_int_equal(request_make(&file_system_real, &config, vocabulary, &(struct request_work){.uses = USE_TRAIN},
                                  &request, &error),
                     STATUS_USAGE);
    if (strstr(error.message, part) == NULL)
        fail_msg("'%s' has no '%s'", error.message, part);
    config_finish(&config);
}

static void the_vocabulary_is_the_tokenizers(void **state)
{
    (void)state;
    assert_int_equal(request_of(CONFIG("model.preset", "gpt2"), 300, USE_TRAIN).model.vocab_size, 300);
    assert_int_equal(request_of(CONFIG("model.preset", "demo"), 50257, USE_TRAIN).model.vocab_size, 50257);
}

static void without_data_the_vocabulary_is_the_presets(void **state)
{
    (void)state;
    assert_int_equal(request_of(CONFIG("model.preset", "gpt2"), 0, USE_TRAIN).model.vocab_size, 50257);
}

static void an_override_of_the_vocabulary_wins(void **state)
{
    (void)state;
    assert_int_equal(request_of(CONFIG("model.overrides.vocab_size", "512"), 256, USE_TRAIN).model.vocab_size, 512);
    assert_int_equal(request_of(CONFIG("model.overrides.vocab_size", "256"), 256, USE_TRAIN).model.vocab_size, 256);
    assert_int_equal(request_of(CONFIG("model.overrides.vocab_size", "255"), 256, USE_TRAIN).model.vocab_size, 255);
}

static void overrides_change_the_preset(void **state)
{
    const struct compile_request request =
        request_of(CONFIG("model.preset", "gpt2", "model.overrides", "{n_layer: 48, n_embd: 1024, n_head: 16}",
                          "model.overrides.n_positions", "64"),
                   0, USE_TRAIN);

    (void)state;
    assert_int_equal(request.model.n_layer, 48);
    assert_int_equal(request.model.n_embd, 1024);
    assert_int_equal(request.model.n_head, 16);
    assert_int_equal(request.sequence, 64);
}

static void what_cannot_be_a_model_is_refused_by_name(void **state)
{
    (void)state;
    assert_refused(CONFIG("model.overrides.n_layr", "3"), 0, "n_layer");
    assert_refused(CONFIG("model.overrides.n_layer", "none"), 0, "model.overrides.n_layer is 'none'");
    assert_refused(CONFIG("model.overrides.n_layer", "0"), 0, "model.overrides.n_layer is '0'");
    assert_refused(CONFIG("model.overrides.n_head", "3"), 0, "not a multiple of n_head 3");
    assert_refused(CONFIG("model.preset", "gpt5"), 0, "gpt2-medium");
}

static void the_sequence_is_the_context_unless_it_is_given(void **state)
{
    (void)state;
    assert_int_equal(request_of(CONFIG("model.preset", "gpt2"), 0, USE_TRAIN).sequence, 1024);
    assert_int_equal(request_of(CONFIG("data.seq_len", "17"), 0, USE_TRAIN).sequence, 17);
}

static void a_microbatch_is_the_batch_unless_it_is_given(void **state)
{
    (void)state;
    assert_int_equal(request_of(CONFIG("train.global_batch", "12"), 0, USE_TRAIN).micro_batch, 12);
    assert_int_equal(request_of(CONFIG("train.global_batch", "12", "train.micro_batch", "4"), 0, USE_TRAIN).micro_batch,
                     4);
}

/* A microbatch is no more than the batch of a step; an evaluation alone has none of these. By hand: as many sequences
 * as hold 2,048 tokens, one at least. */
static void an_evaluation_alone_computes_2048_tokens_or_what_is_asked_for(void **state)
{
    static const struct {
        const char *sequence;
        int64_t rows;
    } cases[] = {{"4096", 1}, {"2048", 1}, {"2047", 1}, {"1025", 1}, {"1024", 2}, {"100", 20}, {"1", 2048}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(request_of(CONFIG("model.overrides.n_positions", "4096", "data.seq_len", cases[i].sequence), 0,
                                    USE_EVALUATE)
                             .eval_batch,
                         cases[i].rows);
    for (int train = 0; train < 2; train++) {
        struct config large = CONFIG("train.global_batch", "4");
        struct compile_request request;

        large.train.micro_batch = 16;
        request = request_of(large, 0, train ? USE_TRAIN | USE_EVALUATE : USE_EVALUATE);
        assert_int_equal(request.micro_batch, train ? 4 : 16);
        assert_int_equal(request.eval_batch, train ? 4 : 16);
    }
    assert_int_equal(
        request_of(CONFIG("train.global_batch", "4", "train.micro_batch", "2"), 0, USE_TRAIN | USE_EVALUATE).eval_batch,
        2);
    assert_int_equal(request_of(CONFIG("train.global_batch", "4"), 0, USE_TRAIN | USE_EVALUATE).eval_batch, 4);
}

static void texts_are_read_by_as_many_threads_as_asked_for_or_processors_up_to_8(void **state)
{
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    struct config any = CONFIG("data.mask", "none"), given = CONFIG("run.threads", "11", "data.mask", "prompt"),
                  one = CONFIG("run.threads", "1");
    struct corpus_options options;

    (void)state;
    request_corpus(&any, &options);
    assert_int_equal(options.threads, online < 8 ? online : 8);
    assert_false(options.mask_prompt);
    request_corpus(&given, &options);
    assert_int_equal(options.threads, 11);
    assert_true(options.mask_prompt);
    request_corpus(&one, &options);
    assert_int_equal(options.threads, 1);
    config_finish(&any);
    config_finish(&given);
    config_finish(&one);
}

static void words_of_the_config_are_those_of_what_reads_them(void **state)
{
    static const struct {
        const char *word;
        enum special_tokens tokens;
    } special[] = {{"auto", SPECIAL_IN_PROMPTS}, {"text", SPECIAL_NOWHERE}, {"find", SPECIAL_EVERYWHERE}};
    static const struct {
        const char *word;
        enum recompute mode;
    } modes[] = {{"none", RECOMPUTE_NONE}, {"selective", RECOMPUTE_SELECTIVE}, {"full", RECOMPUTE_FULL}};

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct config config = CONFIG("data.special", special[i].word);

        assert_int_equal(request_special_tokens(&config), special[i].tokens);
        config_finish(&config);
        assert_int_equal(request_of(CONFIG("parallel.recompute", modes[i].word), 0, USE_TRAIN).recompute,
                         modes[i].mode);
    }
}

/* Counts are of 32 bits: 2^31 - 1 tokens are 2,147,483,647 sequences of one, and 2,097,151 of 1,024. */
static void no_more_tokens_are_computed_at_once_than_32_bits_count(void **state)
{
    static const struct {
        int64_t rows;
        const char *length;
        bool fits;
    } cases[] = {{2147483647, "1", true}, {2147483648, "1", false}, {2097151, "1024", true}, {2097152, "1024", false}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct config config = CONFIG("model.preset", "gpt2", "data.seq_len", cases[i].length);

        config.train.global_batch = cases[i].rows;
        if (cases[i].fits)
            assert_int_equal(request_of(config, 0, USE_TRAIN).micro_batch, cases[i].rows);
        else
            assert_refused(config, 0, "at most 2147483647 tokens are computed at once");
    }
    {
        struct config given = CONFIG("model.preset", "gpt2", "data.seq_len", "1024"),
                      none = CONFIG("model.preset", "gpt2");

        given.train.global_batch = none.train.global_batch = INT32_MAX;
        assert_refused(given, 0, " and data.seq_len 1024; at most");
        assert_refused(none, 0, " and data.seq_len 1024 (not set: the n_positions of the model); at most");
    }
}

static void uses_decide_which_sections_are_built(void **state)
{
    const struct compile_request train = request_of(CONFIG("run.seed", "5"), 0, USE_TRAIN);
    const struct compile_request other = request_of(CONFIG("run.seed", "5"), 0, USE_EVALUATE | USE_GENERATE);

    (void)state;
    assert_true(train.train && train.eval_batch == 0 && !train.generate);
    /* Nobody says how many sequences an evaluation alone computes at once: 16 of 128 tokens are 2,048. */
    assert_true(!other.train && other.eval_batch == 16 && other.generate);
    assert_int_equal(train.seed, 5);
}

static void numbers_of_the_optimizer_arrive(void **state)
{
    const struct compile_request request =
        request_of(CONFIG("optim.beta1", "0.5", "optim.beta2", "0.25", "optim.eps", "0.125", "optim.weight_decay",
                          "0.75", "optim.clip", "2", "model.dropout", "0.5", "precision.compute", "bf16"),
                   0, USE_TRAIN);

    (void)state;
    assert_true(request.update.beta1 == 0.5f && request.update.beta2 == 0.25f && request.update.epsilon == 0.125f);
    assert_true(request.update.weight_decay == 0.75f && request.update.clip == 2);
    assert_true(request.dropout == 0.5f);
    assert_int_equal(request.compute_dtype, LLMRUN_BF16);
}

/* Documents of these lengths. */
static struct token_set set_of(const int64_t *lengths, int64_t count)
{
    struct token_set set;
    struct error error = {0};

    token_set_start(&set, 256);
    for (int64_t i = 0; i < count; i++) {
        assert_int_equal(token_set_open_document(&set, &error), STATUS_OK);
        for (int64_t token = 0; token < lengths[i]; token++)
            assert_int_equal(token_set_append(&set, (const int32_t[]){(int32_t)(token % 256)}, 1, &error), STATUS_OK);
    }
    token_set_close(&set);
    return set;
}

#define SET(...)                                                                                                       \
    set_of((const int64_t[]){__VA_ARGS__}, (int64_t)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)))

/* By hand: 70 tokens have 69 targets, 72 is the multiple of 8 above; the longest of the others has 35, so 40. */
static void no_sequence_is_longer_than_the_texts_fill(void **state)
{
    struct token_set train = SET(70), eval = SET(20, 36);
    struct request_work work = {.uses = USE_TRAIN | USE_EVALUATE, .train = &train, .eval = &eval};
    struct config config = CONFIG("model.preset", "gpt2"), short_one = CONFIG("data.seq_len", "33"),
                  rows = CONFIG("data.pack", "false"), wrong = CONFIG("data.seq_len", "1000");
    struct compile_request request;
    struct error error = {0};

    (void)state;
    assert_int_equal(request_make(&file_system_real, &config, 0, &work, &request, &error), STATUS_OK);
    assert_int_equal(request.sequence, 72);
    assert_int_equal(request.eval_sequence, 56); /* 55 targets one after the other */
    assert_int_equal(request_make(&file_system_real, &short_one, 0, &work, &request, &error), STATUS_OK);
    assert_int_equal(request.sequence, 33);
    assert_int_equal(request_make(&file_system_real, &rows, 0, &work, &request, &error), STATUS_OK);
    assert_int_equal(request.eval_sequence, 40);
    /* A length that the model does not have stays to be refused. */
    assert_int_equal(request_make(&file_system_real, &wrong, 0, &work, &request, &error), STATUS_OK);
    assert_int_equal(request.sequence, 1000);
    work = (struct request_work){.uses = USE_GENERATE, .text = 100};
    assert_int_equal(request_make(&file_system_real, &config, 0, &work, &request, &error), STATUS_OK);
    assert_int_equal(request.sequence, 104);
    work.text = 100000;
    assert_int_equal(request_make(&file_system_real, &config, 0, &work, &request, &error), STATUS_OK);
    assert_int_equal(request.sequence, 1024);
    config_finish(&config);
    config_finish(&short_one);
    config_finish(&rows);
    config_finish(&wrong);
    token_set_finish(&train);
    token_set_finish(&eval);
}

/* 801 tokens are 8 windows of 100 and one of 1; by hand: 17 documents in batches of at most 16 are 9 and 8. */
static void no_batch_of_an_evaluation_has_more_sequences_than_there_are(void **state)
{
    struct token_set texts = SET(5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5), text = SET(801);
    struct config rows = CONFIG("data.pack", "false", "train.micro_batch", "16"), one = CONFIG("data.seq_len", "100"),
                  few = CONFIG("data.seq_len", "100", "train.micro_batch", "4");
    struct request_work work = {.uses = USE_EVALUATE, .eval = &texts};
    struct compile_request request;
    struct error error = {0};

    (void)state;
    assert_int_equal(request_make(&file_system_real, &rows, 0, &work, &request, &error), STATUS_OK);
    assert_int_equal(request.eval_batch, 9);
    work.eval = &text;
    assert_int_equal(request_make(&file_system_real, &one, 0, &work, &request, &error), STATUS_OK);
    assert_int_equal(request.eval_batch, 8);
    assert_int_equal(request_make(&file_system_real, &few, 0, &work, &request, &error), STATUS_OK);
    assert_int_equal(request.eval_batch, 4);
    work.eval_tokens = 300;
    assert_int_equal(request_make(&file_system_real, &few, 0, &work, &request, &error), STATUS_OK);
    assert_int_equal(request.eval_batch, 3);
    config_finish(&rows);
    config_finish(&one);
    config_finish(&few);
    token_set_finish(&texts);
    token_set_finish(&text);
}

/* The ends of the ranges in the table are what the passes take. */
static void the_most_parts_of_the_table_are_what_a_step_can_have(void **state)
{
    struct compile_request request = request_of(CONFIG("numerics.batch_parts", "256", "numerics.position_parts", "64",
                                                       "train.global_batch", "256", "train.micro_batch", "1"),
                                                0, USE_TRAIN);
    struct compiled compiled;
    struct error error = {0};

    (void)state;
    request.exact = true;
    assert_int_equal(compile_step(&request, &compiled, &error), STATUS_OK);
    compiled_finish(&compiled);
    assert_string_equal(config_keys[CONFIG_KEY_numerics_batch_parts].range, "[1, 256]");
    assert_string_equal(config_keys[CONFIG_KEY_numerics_position_parts].range, "[1, 64]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vocabulary_is_the_tokenizers),
        cmocka_unit_test(without_data_the_vocabulary_is_the_presets),
        cmocka_unit_test(an_override_of_the_vocabulary_wins),
        cmocka_unit_test(overrides_change_the_preset),
        cmocka_unit_test(what_cannot_be_a_model_is_refused_by_name),
        cmocka_unit_test(the_sequence_is_the_context_unless_it_is_given),
        cmocka_unit_test(a_microbatch_is_the_batch_unless_it_is_given),
        cmocka_unit_test(an_evaluation_alone_computes_2048_tokens_or_what_is_asked_for),
        cmocka_unit_test(texts_are_read_by_as_many_threads_as_asked_for_or_processors_up_to_8),
        cmocka_unit_test(words_of_the_config_are_those_of_what_reads_them),
        cmocka_unit_test(no_more_tokens_are_computed_at_once_than_32_bits_count),
        cmocka_unit_test(uses_decide_which_sections_are_built),
        cmocka_unit_test(numbers_of_the_optimizer_arrive),
        cmocka_unit_test(no_sequence_is_longer_than_the_texts_fill),
        cmocka_unit_test(no_batch_of_an_evaluation_has_more_sequences_than_there_are),
        cmocka_unit_test(the_most_parts_of_the_table_are_what_a_step_can_have),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
