/* model.path, model.preset and model.overrides: which replaces which, and which are merged. */
#include "support.h"

static void assert_override(const struct config *config, int64_t index, const char *name, const char *text,
                            enum config_pair_kind kind)
{
    assert_true(index < config->model.overrides.count);
    assert_string_equal(config->model.overrides.pairs[index].name, name);
    assert_string_equal(config->model.overrides.pairs[index].text, text);
    assert_int_equal(config->model.overrides.pairs[index].kind, kind);
}

static void overrides_of_every_level_are_merged_in_order_of_appearance(void **state)
{
    struct config config =
        load_well("model: {overrides: {n_layer: 2, n_embd: 64}}", ENVIRONMENT("LLMRUN_MODEL_OVERRIDES={n_embd: 32}"),
                  FLAGS("model.overrides", "{n_head: 4}", "model.overrides.n_layer", "3"));

    (void)state;
    assert_int_equal(config.model.overrides.count, 3);
    assert_override(&config, 0, "n_layer", "3", CONFIG_PAIR_LITERAL);
    assert_override(&config, 1, "n_embd", "32", CONFIG_PAIR_LITERAL);
    assert_override(&config, 2, "n_head", "4", CONFIG_PAIR_LITERAL);
    assert_int_equal(config.model.overrides.pairs[1].source.level, CONFIG_ENVIRONMENT);
    config_finish(&config);
}

static void values_of_overrides_are_literals_texts_or_json(void **state)
{
    struct config config = load_well("model:\n"
                                     "  overrides:\n"
                                     "    a: 1e-5\n"
                                     "    b: true\n"
                                     "    c: null\n"
                                     "    d: gelu_new\n"
                                     "    e: \"12\"\n"
                                     "    f: {type: linear, factor: 2, list: [x, .5]}\n"
                                     "    g: 010\n",
                                     NULL, NULL);

    (void)state;
    assert_override(&config, 0, "a", "1.0e-05", CONFIG_PAIR_LITERAL);
    assert_override(&config, 1, "b", "true", CONFIG_PAIR_LITERAL);
    assert_override(&config, 2, "c", "null", CONFIG_PAIR_LITERAL);
    assert_override(&config, 3, "d", "gelu_new", CONFIG_PAIR_TEXT);
    assert_override(&config, 4, "e", "12", CONFIG_PAIR_TEXT);
    assert_override(&config, 5, "f", "{\"type\": \"linear\", \"factor\": 2, \"list\": [\"x\", 0.5]}", CONFIG_PAIR_JSON);
    assert_override(&config, 6, "g", "010", CONFIG_PAIR_TEXT);
    config_finish(&config);
}

static void setting_the_model_drops_overrides_of_lower_levels_only(void **state)
{
    const char *yaml = "model: {overrides: {n_layer: 2}, preset: gpt2}";
    struct config config = load_well(yaml, NULL, NULL);

    (void)state;
    assert_int_equal(config.model.overrides.count, 1);
    config_finish(&config);
    config = load_well(yaml, NULL, FLAGS("model.overrides.n_head", "4", "model.preset", "demo"));
    assert_int_equal(config.model.overrides.count, 1);
    assert_override(&config, 0, "n_head", "4", CONFIG_PAIR_LITERAL);
    config_finish(&config);
    config = load_well(yaml, ENVIRONMENT("LLMRUN_MODEL_PATH=models/x"), NULL);
    assert_int_equal(config.model.overrides.count, 0);
    config_finish(&config);
}

static void path_and_preset_replace_each_other_from_level_to_level(void **state)
{
    struct config config = load_well("model: {path: models/x}", NULL, NULL);

    (void)state;
    assert_string_equal(config.model.path, "models/x");
    assert_string_equal(config.model.preset, "");
    config_finish(&config);
    config = load_well("model: {path: models/x}", NULL, FLAGS("model.preset", "gpt2"));
    assert_string_equal(config.model.path, "");
    assert_string_equal(config.model.preset, "gpt2");
    config_finish(&config);
    assert_refused("model: {path: models/x, preset: gpt2}", NULL, NULL,
                   "run.yaml:1: model.path and model.preset are both set; one of them names the model");
    assert_refused("model: {preset: \"\"}", NULL, NULL,
                   "run.yaml:1: model.path and model.preset are both empty; one of them names the model");
}

static void fields_to_ignore_belong_to_the_path_of_their_level(void **state)
{
    struct config config = load_well("model: {path: models/x, ignore: [a, b.c]}", NULL, NULL);

    (void)state;
    assert_int_equal(config.model.ignore.count, 2);
    assert_string_equal(config.model.ignore.items[1], "b.c");
    config_finish(&config);
    config = load_well("model: {path: models/x, ignore: [a]}", NULL, FLAGS("model.path", "models/y"));
    assert_int_equal(config.model.ignore.count, 0);
    assert_int_equal(config.sources[CONFIG_KEY_model_ignore].level, CONFIG_DEFAULT);
    config_finish(&config);
    config = load_well("model: {path: models/x}", NULL, FLAGS("model.ignore", "a"));
    assert_string_equal(config.model.ignore.items[0], "a");
    config_finish(&config);
    assert_refused(
        "model: {ignore: [a]}", NULL, NULL,
        "run.yaml:1: model.ignore names fields of a config.json, and model.path, which names that, is empty");
}

static void setting_data_train_drops_builtin(void **state)
{
    struct config config = load_well("data: {train: a.txt}", NULL, NULL);

    (void)state;
    assert_int_equal(config.data.train.count, 1);
    assert_string_equal(config.data.train.items[0], "a.txt");
    config_finish(&config);
}

static void an_override_without_a_proper_name_or_value_is_refused(void **state)
{
    (void)state;
    assert_refused(NULL, NULL, FLAGS("model.overrides.a.b", "1"),
                   "--model.overrides.a.b: model.overrides.a.b is no name of a key; letters, digits and _ are wanted");
    assert_refused("model: {overrides: {n_layer: }}", NULL, NULL,
                   "run.yaml:1:30: model.overrides.n_layer has no value; null is one");
    assert_refused(NULL, NULL, FLAGS("model.overrides.n_layer", ""),
                   "--model.overrides.n_layer: model.overrides.n_layer has no value; a value is wanted");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(overrides_of_every_level_are_merged_in_order_of_appearance),
        cmocka_unit_test(values_of_overrides_are_literals_texts_or_json),
        cmocka_unit_test(setting_the_model_drops_overrides_of_lower_levels_only),
        cmocka_unit_test(path_and_preset_replace_each_other_from_level_to_level),
        cmocka_unit_test(fields_to_ignore_belong_to_the_path_of_their_level),
        cmocka_unit_test(setting_data_train_drops_builtin),
        cmocka_unit_test(an_override_without_a_proper_name_or_value_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
