/* From a config to what the compiler is asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "config/keys.h"
#include "train/request.h"

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

    if (request_make(&file_system_real, &config, vocabulary, uses, &request, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    config_free(&config);
    return request;
}

static void assert_refused(struct config config, int64_t vocabulary, const char *part)
{
    struct compile_request request;
    struct error error = {0};

    assert_int_equal(request_make(&file_system_real, &config, vocabulary, USE_TRAIN, &request, &error), STATUS_USAGE);
    if (strstr(error.message, part) == NULL)
        fail_msg("'%s' has no '%s'", error.message, part);
    config_free(&config);
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

static void uses_decide_which_sections_are_built(void **state)
{
    const struct compile_request train = request_of(CONFIG("run.seed", "5"), 0, USE_TRAIN);
    const struct compile_request other = request_of(CONFIG("run.seed", "5"), 0, USE_EVALUATE | USE_GENERATE);

    (void)state;
    assert_true(train.train && train.eval_batch == 0 && !train.generate);
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

static void the_schedule_is_that_of_the_config(void **state)
{
    struct config config = CONFIG("optim.decay", "wsd", "optim.lr", "0.5", "optim.min_lr", "0.25", "optim.warmup", "3",
                                  "optim.decay_steps", "4", "train.steps", "50");
    struct learning_rate schedule;

    (void)state;
    request_learning_rate(&config, &schedule);
    assert_int_equal(schedule.decay, DECAY_WSD);
    assert_true(schedule.peak == 0.5 && schedule.final == 0.25);
    assert_int_equal(schedule.warmup, 3);
    assert_int_equal(schedule.steps, 50);
    assert_int_equal(schedule.decay_steps, 4);
    config_free(&config);
}

/* The ends of the ranges in the table are what the passes take. */
static void the_most_lanes_of_the_table_are_what_a_step_can_have(void **state)
{
    struct compile_request request = request_of(
        CONFIG("numerics.lanes", "256", "train.global_batch", "256", "train.micro_batch", "1"), 0, USE_TRAIN);
    struct compiled compiled;
    struct error error = {0};

    (void)state;
    request.exact = true;
    assert_int_equal(compile_step(&request, &compiled, &error), STATUS_OK);
    compiled_free(&compiled);
    assert_string_equal(config_keys[CONFIG_KEY_numerics_lanes].range, "[1, 256]");
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
        cmocka_unit_test(uses_decide_which_sections_are_built),
        cmocka_unit_test(numbers_of_the_optimizer_arrive),
        cmocka_unit_test(the_schedule_is_that_of_the_config),
        cmocka_unit_test(the_most_lanes_of_the_table_are_what_a_step_can_have),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
