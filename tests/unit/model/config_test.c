#include "model/family.h"
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
    struct error error;
    int count = 0;

    (void)state;
    for (; model_preset_name(count) != NULL; count++) {
        const struct model_config config = preset(model_preset_name(count));

        assert_int_equal(model_check(&config, &error), STATUS_OK);
    }
    assert_int_equal(count, 29);
}

static void an_unknown_preset_gets_the_list(void **state)
{
    struct model_config config;
    struct error error;

    (void)state;
    assert_int_equal(model_preset("gpt3", &config, &error), STATUS_USAGE);
    for (int i = 0; model_preset_name(i) != NULL; i++)
        assert_non_null(strstr(error.message, model_preset_name(i)));
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
        {"n_layers", "2",
         "model.overrides.n_layers is no key of GPT-2, did you mean n_layer? the keys are n_layer, n_embd"},
        {"size", "2", "model.overrides.size is no key of GPT-2; the keys are n_layer, n_embd, n_head"},
        {"tie_word_embeddings", "0", "model.overrides.tie_word_embeddings is '0'; true or false is wanted"},
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
    config.n_layer = 1001;
    assert_int_equal(model_check(&config, &error), STATUS_USAGE);
    assert_string_equal(error.message, "model: n_layer is 1001; at most 1000 layers can be built");
    config = preset("gpt2");
    config.n_embd = (int64_t)12 << 29;
    assert_int_equal(model_check(&config, &error), STATUS_USAGE);
    assert_string_equal(error.message, "model: the number of parameters does not fit into 63 bits");
    config = preset("gpt2");
    config.n_embd = 768 << 16;
    config.n_inner = 1 << 30;
    config.n_layer = 1000;
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

static struct model_config llama(void)
{
    struct model_config config;

    model_defaults(&family_llama, &config);
    return config;
}

static void every_key_of_a_llama_is_set(void **state)
{
    static const char *const pairs[][2] = {
        {"num_hidden_layers", "2"},
        {"hidden_size", "48"},
        {"num_attention_heads", "6"},
        {"num_key_value_heads", "2"},
        {"head_dim", "16"},
        {"intermediate_size", "128"},
        {"vocab_size", "256"},
        {"max_position_embeddings", "64"},
        {"rms_norm_eps", "1e-05"},
        {"initializer_range", "0.01"},
        {"tie_word_embeddings", "true"},
        {"rope_theta", "500000.0"},
        {"hidden_act", "silu"},
        {"attention_bias", "false"},
        {"mlp_bias", "false"},
    };
    struct model_config config = llama();
    struct error error;

    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (model_override(&config, pairs[i][0], pairs[i][1], &error) != STATUS_OK)
            fail_msg("%s", error.message);
    assert_int_equal(model_check(&config, &error), STATUS_OK);
    assert_int_equal(config.n_positions, 64);
    assert_true(config.layer_norm_epsilon == 1e-5 && config.initializer_range == 0.01 && config.rope_theta == 500000);
    /* by hand: a layer has q 96x48, k and v 32x48, o 48x96, three of 128x48, two norms; the tied embedding, a norm */
    assert_int_equal(model_parameters(&config), 2 * (4608 + 2 * 1536 + 4608 + 3 * 6144 + 96) + 256 * 48 + 48);
    assert_int_equal(model_override(&config, "tie_word_embeddings", "false", &error), STATUS_OK);
    assert_int_equal(model_override(&config, "num_key_value_heads", "null", &error), STATUS_OK);
    assert_int_equal(model_override(&config, "head_dim", "null", &error), STATUS_OK);
    assert_int_equal(model_head_width(&config), 8);
    assert_int_equal(model_kv_heads(&config), 6);
    assert_int_equal(model_parameters(&config), 2 * (4 * 2304 + 3 * 6144 + 96) + 2 * 256 * 48 + 48);
}

/* sum(p.numel() for p in LlamaForCausalLM(config).parameters()) of transformers on the meta device, for the published
 * configurations. */
static void parameters_of_llamas_are_those_published(void **state)
{
    static const struct {
        const char *name;
        int64_t parameters;
    } published[] = {{"llama-7b", 6738415616},    {"llama-13b", 13015864320}, {"llama-30b", 32528943616},
                     {"llama-65b", 65285660672},  {"llama2-7b", 6738415616},  {"llama2-13b", 13015864320},
                     {"llama2-70b", 68976648192}, {"llama3-8b", 8030261248},  {"llama3-70b", 70553706496}};

    (void)state;
    for (size_t i = 0; i < sizeof published / sizeof published[0]; i++) {
        const struct model_config config = preset(published[i].name);

        assert_int_equal(model_parameters(&config), published[i].parameters);
    }
}

/* norm_eps of the params.json of each release; presets.c says where they can be read. */
static void the_epsilon_of_a_llama_is_that_of_its_release(void **state)
{
    static const char *const of_small[] = {"llama-7b", "llama-13b", "llama-30b"};
    static const char *const of_others[] = {"llama-65b",  "llama2-7b", "llama2-13b",
                                            "llama2-70b", "llama3-8b", "llama3-70b"};

    (void)state;
    for (size_t i = 0; i < sizeof of_small / sizeof of_small[0]; i++)
        assert_true(preset(of_small[i]).layer_norm_epsilon == 1e-6);
    for (size_t i = 0; i < sizeof of_others / sizeof of_others[0]; i++)
        assert_true(preset(of_others[i]).layer_norm_epsilon == 1e-5);
}

static void scaling_of_rotary_positions_is_read_in_both_spellings(void **state)
{
    struct model_config config = llama();
    struct error error;

    (void)state;
    assert_int_equal(model_override(&config, "rope_scaling", "{\"type\": \"linear\", \"factor\": 2.5}", &error),
                     STATUS_OK);
    assert_int_equal(config.rope_scaling, ROPE_LINEAR);
    assert_true(config.rope_factor == 2.5 && config.rope_theta == 10000);
    assert_int_equal(
        model_override(&config, "rope_parameters",
                       "{\"rope_theta\": 500000.0, \"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 1.0, "
                       "\"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 8192}",
                       &error),
        STATUS_OK);
    assert_int_equal(config.rope_scaling, ROPE_LLAMA3);
    assert_true(config.rope_factor == 8 && config.rope_low_freq_factor == 1 && config.rope_high_freq_factor == 4);
    assert_true(config.rope_original_positions == 8192 && config.rope_theta == 500000);
    assert_int_equal(model_override(&config, "rope_scaling",
                                    "{\"type\": \"linear\", \"rope_type\": \"linear\", \"factor\": 2}", &error),
                     STATUS_OK);
    assert_int_equal(config.rope_scaling, ROPE_LINEAR);
    assert_int_equal(model_override(&config, "rope_scaling", "null", &error), STATUS_OK);
    assert_int_equal(config.rope_scaling, ROPE_UNSCALED);
    assert_true(config.rope_theta == 500000);
}

static void values_that_fit_no_llama_are_told(void **state)
{
    static const struct {
        const char *key, *value, *message;
    } cases[] = {
        {"hiden_size", "2", "config.json: hiden_size is no key of LLaMA, did you mean hidden_size? the keys are"},
        {"n_layer", "2", "config.json: n_layer is no key of LLaMA; the keys are num_hidden_layers"},
        {"hidden_size", "null", "config.json: hidden_size is 'null'; a whole number"},
        {"head_dim", "0", "config.json: head_dim is '0'; a whole number"},
        {"rope_theta", "1", "config.json: rope_theta is '1'; a number above 1 and at most 1e+12 is wanted"},
        {"rope_theta", "inf", "config.json: rope_theta is 'inf'; a number above 1"},
        {"tie_word_embeddings", "1", "config.json: tie_word_embeddings is '1'; true or false is wanted"},
        {"attention_bias", "true", "config.json: attention_bias is 'true'; LLaMA here has false"},
        {"hidden_act", "gelu", "config.json: hidden_act is 'gelu'; LLaMA here has silu"},
        {"rope_scaling", "linear", "config.json: rope_scaling is 'linear'; an object such as"},
        {"rope_scaling", "[1]", "config.json: rope_scaling is '[1]'; an object such as"},
        {"rope_scaling", "{\"rope_type\": \"yarn\"}",
         "config.json: rope_scaling has rope_type 'yarn'; default, linear and llama3 are computed here"},
        {"rope_scaling", "{\"rope_type\": 3}", "config.json: rope_scaling.rope_type is not a string"},
        {"rope_scaling", "{\"rope_type\": \"linear\", \"type\": \"default\", \"factor\": 2}",
         "config.json: rope_scaling.type is 'default', the other spelling has 'linear'"},
        {"rope_scaling",
         "{\"type\": \"llama3\", \"factor\": 8, \"original_max_position_embeddings\": 0.5, \"low_freq_factor\": 1, "
         "\"high_freq_factor\": 4}",
         "config.json: rope_scaling.original_max_position_embeddings is 0.5; a whole number is wanted"},
        {"rope_scaling", "{\"type\": \"linear\", \"factor\": true}",
         "config.json: rope_scaling.factor is not a number above 0"},
        {"rope_scaling", "{\"type\": \"linear\", \"factor\": 1e308}",
         "config.json: rope_scaling.factor is not a number above 0 and at most 1e+12"},
        {"rope_scaling", "{\"rope_theta\": 0}", "config.json: rope_scaling.rope_theta is not a number above 0"},
        {"rope_scaling", "{\"beta_fast\": 3}", "config.json: rope_scaling.beta_fast is no key that is known here"},
        {"rope_scaling", "{\"type\": \"linear\"}",
         "config.json: rope_scaling has no factor, which linear scaling needs"},
        {"rope_scaling", "{\"type\": \"linear\", \"factor\": 0.5}",
         "config.json: rope_scaling.factor is 0.5; at least 1 is wanted"},
        {"rope_scaling", "{\"type\": \"linear\", \"factor\": \"2\"}",
         "config.json: rope_scaling.factor is not a number above 0"},
        {"rope_scaling", "{\"type\": \"llama3\", \"factor\": 8}",
         "config.json: rope_scaling has no original_max_position_embeddings, which llama3 scaling needs"},
        {"rope_scaling",
         "{\"type\": \"llama3\", \"factor\": 8, \"original_max_position_embeddings\": 8192, \"low_freq_factor\": 4, "
         "\"high_freq_factor\": 4}",
         "config.json: rope_scaling.high_freq_factor is 4; more than the low_freq_factor 4 is wanted"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct model_config before = llama();
        struct model_config config = before;
        struct error error = {0};

        if (model_set(&config, "config.json: ", STATUS_INPUT, cases[i].key, cases[i].value, &error) != STATUS_INPUT)
            fail_msg("accepted: %s = %s", cases[i].key, cases[i].value);
        if (strncmp(error.message, cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("%s\nwanted: %s", error.message, cases[i].message);
        assert_memory_equal(&config, &before, sizeof config);
    }
}

static void heads_of_a_llama_that_do_not_fit_are_told(void **state)
{
    struct model_config config = llama();
    struct error error;

    (void)state;
    config.n_kv_head = 5;
    assert_int_equal(model_check(&config, &error), STATUS_USAGE);
    assert_string_equal(error.message, "model: num_attention_heads 32 is not a multiple of num_key_value_heads 5");
    config = llama();
    config.head_dim = 7;
    assert_int_equal(model_check(&config, &error), STATUS_USAGE);
    assert_string_equal(error.message, "model: a head is 7 wide; rotary positions need an even width");
    config = llama();
    config.n_head = 3;
    assert_int_equal(model_check(&config, &error), STATUS_USAGE);
    assert_string_equal(error.message, "model: hidden_size 4096 is not a multiple of num_attention_heads 3");
}

static void each_family_is_found_by_its_type_and_has_keys_of_its_own(void **state)
{
    (void)state;
    for (int i = 0; model_family_at(i) != NULL; i++) {
        const struct model_family *family = model_family_at(i);
        struct model_config config;
        struct error error;

        assert_ptr_equal(model_family_of_type(family->type), family);
        model_defaults(family, &config);
        assert_int_equal(model_check(&config, &error), STATUS_OK);
        for (const struct key *key = family->keys; key->name != NULL; key++)
            assert_ptr_equal(keys_find(family, key->name), key); /* no name twice */
    }
    assert_null(model_family_of_type("gpt3"));
    assert_true(keys_find(&family_llama, "rope_scaling") != NULL && keys_find(&family_gpt2, "rope_scaling") == NULL);
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
        cmocka_unit_test(every_key_of_a_llama_is_set),
        cmocka_unit_test(parameters_of_llamas_are_those_published),
        cmocka_unit_test(the_epsilon_of_a_llama_is_that_of_its_release),
        cmocka_unit_test(scaling_of_rotary_positions_is_read_in_both_spellings),
        cmocka_unit_test(values_that_fit_no_llama_are_told),
        cmocka_unit_test(heads_of_a_llama_that_do_not_fit_are_told),
        cmocka_unit_test(each_family_is_found_by_its_type_and_has_keys_of_its_own),
        cmocka_unit_test(the_vocabulary_is_stored_in_multiples_of_64),
    };

    return cmocka_run_group_tests_name("model config", tests, NULL, NULL);
}
