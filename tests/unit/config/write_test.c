#include "support.h"

#include <stdlib.h>

#include "config/keys.h"
#include "config/value.h"

/* Values that YAML could take for something else, or that need escapes. */
static const char odd[] =
    "run: {dir: \"a \\\"b\\\" \\\\ #c: x \\u2028 y\\t\\n\\u2028\\x85 \\U0001F600 \xc3\xa9\", backend: '1.5'}\n"
    "model:\n"
    "  preset: \"null\"\n"
    "  overrides: {a: \"12\", b: 12, c: 'no', d: {\"x y\": [1, \"true\", '#']}, e: ''}\n"
    "data: {train: ['- a', '~', b.txt], valid_split: 0.1}\n"
    "optim: {lr: 3.0000000000000004e-4, decay: linear}\n";

static void what_is_written_is_read_back_to_the_same_values(void **state)
{
    struct config config = load_well(odd, NULL, NULL), again;
    struct error error;
    char *text, *second;

    (void)state;
    for (int sources = 0; sources < 2; sources++) {
        assert_int_equal(config_to_text(&config, sources, &text, &error), STATUS_OK);
        again = load_well(text, NULL, NULL);
        for (int key = 0; key < CONFIG_KEYS; key++)
            if (!value_same(&config, &again, (enum config_key_id)key))
                fail_msg("%s differs", config_keys[key].dotted);
        assert_int_equal(config_to_text(&again, false, &second, &error), STATUS_OK);
        if (!sources)
            assert_string_equal(text, second);
        free(text);
        free(second);
        config_finish(&again);
    }
    config_finish(&config);
}

static void texts_are_quoted_where_yaml_would_see_something_else(void **state)
{
    static const char *const rows[][2] = {{"models/gpt2", "models/gpt2"},
                                          {"cpu=/x/y.so", "cpu=/x/y.so"},
                                          {"./a", "./a"},
                                          {"../a", "../a"},
                                          {"", "\"\""},
                                          {"yes", "\"yes\""},
                                          {"12", "\"12\""},
                                          {".5", "\".5\""},
                                          {"a b", "\"a b\""},
                                          {"- a", "\"- a\""},
                                          {"Null", "\"Null\""}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct text out = {0};

        value_print_text(rows[i][0], &out);
        assert_string_equal(out.data, rows[i][1]);
        text_finish(&out);
    }
}

static void a_source_is_named_as_the_user_wrote_it(void **state)
{
    struct config config =
        load_well("train:\n  steps: 1\n", ENVIRONMENT("LLMRUN_RUN_SEED=1"), FLAGS("run.threads", "1"));
    char text[80];

    (void)state;
    config_source_text(&config, CONFIG_KEY_train_steps, text, sizeof text);
    assert_string_equal(text, "run.yaml:2");
    config_source_text(&config, CONFIG_KEY_run_seed, text, sizeof text);
    assert_string_equal(text, "LLMRUN_RUN_SEED");
    config_source_text(&config, CONFIG_KEY_run_threads, text, sizeof text);
    assert_string_equal(text, "--run.threads");
    config_source_text(&config, CONFIG_KEY_optim_lr, text, sizeof text);
    assert_string_equal(text, "default");
    config_finish(&config);
}

static void every_default_is_a_value_that_the_key_accepts_and_prints(void **state)
{
    struct config config = load_well(NULL, NULL, NULL);

    (void)state;
    for (int key = 0; key < CONFIG_KEYS; key++) {
        char *text = config_value_text(&config, (enum config_key_id)key), yaml[300];
        struct config again;

        snprintf(yaml, sizeof yaml, "%s: {%s: %s}\n", config_keys[key].section, config_keys[key].name, text);
        again = load_well(yaml, NULL, NULL);

        assert_true(value_same(&config, &again, (enum config_key_id)key));
        free(text);
        config_finish(&again);
    }
    config_finish(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back_to_the_same_values),
        cmocka_unit_test(texts_are_quoted_where_yaml_would_see_something_else),
        cmocka_unit_test(a_source_is_named_as_the_user_wrote_it),
        cmocka_unit_test(every_default_is_a_value_that_the_key_accepts_and_prints),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
