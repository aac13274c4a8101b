/* The parser of command lines, given the options that commands will have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "options.h"

static const char *model, *file;
static bool json;
static int64_t tokens;
static double top_p;
static struct option_texts stops;

static const struct command_option options[] = {
    {.name = "model", .type = OPTION_TEXT, .value = "M", .help = "the model", .required = true, .target = &model},
    {.name = "data", .type = OPTION_TEXT, .value = "FILE", .help = "a text", .target = &file},
    {.name = "json", .type = OPTION_SWITCH, .help = "print JSON", .target = &json},
    {.name = "n", .type = OPTION_INTEGER, .value = "N", .help = "tokens", .range = "[0, inf)", .target = &tokens},
    {.name = "top-p", .type = OPTION_NUMBER, .value = "P", .help = "share", .range = "(0, 1]", .target = &top_p},
    {.name = "stop", .type = OPTION_TEXTS, .value = "TEXT", .help = "ends the text", .target = &stops},
};

static const struct usage keys = {.command = "eval",
                                  .summary = "Test",
                                  .takes_keys = true,
                                  .keys_of = CONFIG_COMMAND_TRAIN,
                                  .options = options,
                                  .option_count = 6};
static const struct usage words = {
    .command = "list", .summary = "Test", .words = "RUN_DIR", .least_words = 1, .most_words = 2};

static int parse(const struct usage *usage, struct arguments *arguments, struct error *error, const char *const *argv)
{
    char *copy[16] = {NULL};
    int argc = 0;

    model = file = NULL;
    json = false;
    tokens = 100;
    top_p = 1;
    stops.count = 0;
    for (; argv[argc] != NULL; argc++)
        copy[argc] = (char *)argv[argc];
    return options_parse(usage, argc, copy, arguments, error);
}

#define PARSE(usage, ...) parse(usage, &arguments, &error, (const char *const[]){"x", __VA_ARGS__, NULL})

static void options_of_every_type_reach_their_targets(void **state)
{
    struct arguments arguments;
    struct error error = {0};

    (void)state;
    assert_int_equal(PARSE(&keys, "--model", "gpt2", "--json", "-n", "5", "--top-p=0.5", "--data=a=b"), STATUS_OK);
    assert_string_equal(model, "gpt2");
    assert_string_equal(file, "a=b");
    assert_true(json);
    assert_int_equal(tokens, 5);
    assert_true(top_p == 0.5);
    arguments_finish(&arguments);
}

static void an_option_of_texts_may_come_several_times(void **state)
{
    struct arguments arguments;
    struct error error = {0};

    (void)state;
    assert_int_equal(PARSE(&keys, "--model", "m", "--stop", "one", "--stop=two"), STATUS_OK);
    assert_int_equal(stops.count, 2);
    assert_string_equal(stops.items[0], "one");
    assert_string_equal(stops.items[1], "two");
    arguments_finish(&arguments);
    assert_int_equal(PARSE(&keys, "--model=m", "--stop=1", "--stop=2", "--stop=3", "--stop=4", "--stop=5", "--stop=6",
                           "--stop=7", "--stop=8", "--stop=9"),
                     STATUS_USAGE);
    assert_string_equal(error.message, "--stop is given more than 8 times");
    arguments_finish(&arguments);
}

static void an_absent_option_leaves_its_target_alone(void **state)
{
    struct arguments arguments;
    struct error error = {0};

    (void)state;
    assert_int_equal(PARSE(&keys, "--model", "m"), STATUS_OK);
    assert_int_equal(tokens, 100);
    assert_null(file);
    arguments_finish(&arguments);
}

static void keys_and_shorthands_become_settings_in_order(void **state)
{
    struct arguments arguments;
    struct error error = {0};

    (void)state;
    assert_int_equal(PARSE(&keys, "--optim.lr", "-1", "--model=m", "--backend", "cpu", "--steps=3", "--run.dir="),
                     STATUS_OK);
    assert_int_equal(arguments.flag_count, 4);
    assert_string_equal(arguments.flags[0].key, "optim.lr");
    assert_string_equal(arguments.flags[0].value, "-1");
    assert_string_equal(arguments.flags[1].key, "run.backend");
    assert_string_equal(arguments.flags[2].key, "train.steps");
    assert_string_equal(arguments.flags[2].value, "3");
    assert_string_equal(arguments.flags[3].value, "");
    arguments_finish(&arguments);
}

static void words_are_counted_and_follow_a_lone_double_dash(void **state)
{
    struct arguments arguments;
    struct error error = {0};

    (void)state;
    assert_int_equal(PARSE(&words, "a", "--", "--b"), STATUS_OK);
    assert_int_equal(arguments.word_count, 2);
    assert_string_equal(arguments.words[1], "--b");
    arguments_finish(&arguments);
}

#define assert_refused(usage, sentence, ...)                                                                           \
    do {                                                                                                               \
        struct arguments arguments;                                                                                    \
        struct error error = {0};                                                                                      \
        assert_int_equal(PARSE(usage, __VA_ARGS__), STATUS_USAGE);                                                     \
        assert_string_equal(error.message, sentence);                                                                  \
        arguments_finish(&arguments);                                                                                  \
    } while (0)

static void mistakes_are_named(void **state)
{
    (void)state;
    assert_refused(&keys, "eval needs --model M: the model", "--json");
    assert_refused(&keys, "eval has no flag --modle, did you mean --model?", "--modle", "x");
    assert_refused(&keys, "eval has no flag -m; `llmrun eval --help` lists them", "-m", "x");
    assert_refused(&keys, "eval has no flag --n, did you mean -n?", "--n", "3");
    assert_refused(&keys, "--json takes no value", "--json=1");
    assert_refused(&keys, "-n needs a value", "-n");
    assert_refused(&keys, "-n is 1.5; a whole number in [0, inf) is wanted", "-n", "1.5");
    assert_refused(&keys, "--top-p is 2; a number in (0, 1] is wanted", "--top-p", "2");
    assert_refused(&keys, "eval: the word a.yaml is one too many; `llmrun eval --help` shows its use", "a.yaml");
    assert_refused(&words, "list needs RUN_DIR; `llmrun list --help` shows its use", "--");
    assert_refused(&words, "list has no flag --train.steps; `llmrun list --help` lists them", "--train.steps", "3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_of_every_type_reach_their_targets),
        cmocka_unit_test(an_option_of_texts_may_come_several_times),
        cmocka_unit_test(an_absent_option_leaves_its_target_alone),
        cmocka_unit_test(keys_and_shorthands_become_settings_in_order),
        cmocka_unit_test(words_are_counted_and_follow_a_lone_double_dash),
        cmocka_unit_test(mistakes_are_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
