#include "model/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct model_config preset(const char *name)
{
    struct model_config config;
    struct error error;

    if (model_preset(name, &config, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    return config;
}

/* sum(p.numel() for p in GPT2LMHeadModel(config).parameters()) of transformers, for the four published configurations.
 */
static void parameters_are_counted_as_transformers_does(void **state)
{
    static const struct {
        const char *name;
        int64_t parameters;
    } published[] = {
        {"gpt2", 124439808}, {"gpt2-medium", 354823168}, {"gpt2-large", 774030080}, {"gpt2-xl", 1557611200}};

    (void)state;
    for (size_t i = 0; i < sizeof published / sizeof published[0]; i++) {
        const struct model_config config = preset(published[i].name);

        assert_int_equal(model_parameters(&config), published[i].parameters);
    }
}

static void every_preset_that_is_listed_is_there_and_fits_together(void **state)
{
    const char *const *names = model_preset_names();
    struct error error;
    int count = 0;

    (void)state;
    for (; names[count] != NULL; count++) {
        const struct model_config config = preset(names[count]);

        assert_int_equal(model_check(&config, &error), STATUS_OK);
    }
    assert_int_equal(count, 9);
}

static void an_unknown_preset_gets_the_list(void **state)
{
    struct model_config config;
    struct error error;

    (void)state;
    assert_int_equal(model_preset("gpt3", &config, &error), STATUS_USAGE);
    for (const char *const *name = model_preset_names(); *name != NULL; name++)
        assert_non_null(strstr(error.message, *name));
    assert_non_null(strstr(error.message, "there is no preset 'gpt3'"));
}

static void every_key_of_config_json_is_set(void **state)
{
    struct model_config config = preset("gpt2");
    struct error error;

    (void)state;
    assert_int_equal(model_override(&config, "n_layer", "48", &error), STATUS_OK);
    assert_int_equal(model_override(&config, "n_embd", "1024", &error), STATUS_OK);
    assert_int_equal(model_override(&config, "n_head", "16", &error), STATUS_OK);
    assert_int_equal(model_override(&config, "n_inner", "2048", &error), STATUS_OK);
    assert_int_equal(model_override(&config, "n_positions", "512", &error), STATUS_OK);
    assert_int_equal(model_override(&config, "vocab_size", "256", &error), STATUS_OK);
    assert_int_equal(model_override(&config, "layer_norm_epsilon", "1e-6", &error), STATUS_OK);
    assert_int_equal(model_override(&config, "initializer_range", "0.01", &error), STATUS_OK);
    assert_int_equal(model_override(&config, "activation_function", "gelu_new", &error), STATUS_OK);
    assert_int_equal(config.n_layer, 48);
    assert_int_equal(config.n_embd, 1024);
    assert_int_equal(config.n_head, 16);
    assert_int_equal(config.n_inner, 2048);
    assert_int_equal(config.n_positions, 512);
    assert_int_equal(config.vocab_size, 256);
    assert_true(config.layer_norm_epsilon == 1e-6);
    assert_true(config.initializer_range == 0.01);
    /* 48 (4 (c c + c) + 2 c n + n + c + 4 c) + (v + positions) c + 2 c by hand */
    assert_int_equal(model_parameters(&config),
                     48ll * (4 * (1048576 + 1024) + 2 * 1024 * 2048 + 2048 + 5 * 1024) + 768 * 1024 + 2048);
    assert_int_equal(model_override(&config, "n_ctx", "64", &error), STATUS_OK);
    assert_int_equal(config.n_positions, 64);
}

static void overrides_that_mean_nothing_are_told(void **state)
{
    static const struct {
        const char *key, *value, *message;
    } cases[] = {
        {"n_layers", "2", "model.overrides has no key 'n_layers' for GPT-2; the keys are n_layer, n_embd, n_head"},
        {"n_layer", "two", "model.overrides.n_layer is 'two'; a whole number from 1 to 1073741824 is wanted"},
        {"n_layer", "0", "model.overrides.n_layer is '0'; a whole number"},
        {"n_layer", "-3", "model.overrides.n_layer is '-3'; a whole number"},
        {"n_layer", "2.5", "model.overrides.n_layer is '2.5'; a whole number"},
        {"n_layer", "", "model.overrides.n_layer is ''; a whole number"},
        {"n_embd", "99999999999999999999", "model.overrides.n_embd is '99999999999999999999'; a whole number"},
        {"initializer_range", "big",
         "model.overrides.initializer_range is 'big'; a number above 0 and at most 1 is wanted"},
        {"initializer_range", "0", "model.overrides.initializer_range is '0'; a number"},
        {"initializer_range", "nan", "model.overrides.initializer_range is 'nan'; a number"},
        {"layer_norm_epsilon", "2", "model.overrides.layer_norm_epsilon is '2'; a number"},
        {"activation_function", "relu", "model.overrides.activation_function is 'relu'; GPT-2 here has gelu_new"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct model_config before = preset("demo");
        struct model_config config = before;
        struct error error = {0};

        if (model_override(&config, cases[i].key, cases[i].value, &error) != STATUS_USAGE)
            fail_msg("accepted: %s = %s", cases[i].key, cases[i].value);
        assert_memory_equal(error.message, cases[i].message, strlen(cases[i].message));
        assert_memory_equal(&config, &before, sizeof config);
    }
}

static void extents_that_do_not_fit_are_told(void **state)
{
    struct model_config config = preset("gpt2");
    struct error error;

    (void)state;
    config.n_head = 7;
    assert_int_equal(model_check(&config, &error), STATUS_USAGE);
    assert_string_equal(error.message, "model: n_embd 768 is not a multiple of n_head 7");
    config.n_head = 0;
    assert_int_equal(model_check(&config, &error), STATUS_USAGE);
    assert_string_equal(error.message, "model: n_head is 0; at least 1 is needed");
    config = preset("gpt2");
    config.n_layer = 10001;
    assert_int_equal(model_check(&config, &error), STATUS_USAGE);
    assert_string_equal(error.message, "model: n_layer is 10001; at most 10000 layers can be built");
    config = preset("gpt2");
    config.n_embd = (int64_t)12 << 29;
    assert_int_equal(model_check(&config, &error), STATUS_USAGE);
    assert_string_equal(error.message, "model: the number of parameters does not fit into 63 bits");
    config = preset("gpt2");
    config.n_embd = 768 << 16;
    config.n_inner = 1 << 30;
    config.n_layer = 10000;
    assert_int_equal(model_check(&config, &error), STATUS_USAGE);
    assert_string_equal(error.message, "model: the number of parameters does not fit into 63 bits");
}

static void the_vocabulary_is_stored_in_multiples_of_64(void **state)
{
    struct model_config config = preset("gpt2");

    (void)state;
    assert_int_equal(model_padded_vocabulary(&config), 50304);
    config.vocab_size = 64;
    assert_int_equal(model_padded_vocabulary(&config), 64);
    config.vocab_size = 65;
    assert_int_equal(model_padded_vocabulary(&config), 128);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_are_counted_as_transformers_does),
        cmocka_unit_test(every_preset_that_is_listed_is_there_and_fits_together),
        cmocka_unit_test(an_unknown_preset_gets_the_list),
        cmocka_unit_test(every_key_of_config_json_is_set),
        cmocka_unit_test(overrides_that_mean_nothing_are_told),
        cmocka_unit_test(extents_that_do_not_fit_are_told),
        cmocka_unit_test(the_vocabulary_is_stored_in_multiples_of_64),
    };

    return cmocka_run_group_tests_name("model config", tests, NULL, NULL);
}
