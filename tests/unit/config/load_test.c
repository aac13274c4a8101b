#include "support.h"

#include <stdlib.h>

static void without_inputs_every_key_has_its_default(void **state)
{
    struct config config = load_well(NULL, NULL, NULL);

    (void)state;
    assert_string_equal(config.model.preset, "demo");
    assert_int_equal(config.data.train.count, 1);
    assert_string_equal(config.data.train.items[0], "builtin");
    assert_int_equal(config.data.valid.count, 0);
    assert_string_equal(config.data.tokenizer, "bytes");
    assert_int_equal(config.optim.decay, CONFIG_DECAY_COSINE);
    assert_true(config.optim.eps == 1e-8);
    assert_true(config.data.pack);
    assert_int_equal(config.numerics.batch_parts, 0);
    assert_int_equal(config.numerics.position_parts, 8);
    assert_int_equal(config.sources[CONFIG_KEY_train_steps].level, CONFIG_DEFAULT);
    config_finish(&config);
}

static void an_empty_file_and_an_empty_section_change_nothing(void **state)
{
    static const char *const texts[] = {"", "# nothing\n", "---\n", "train:\n  # steps: 5\nlog:\n"};

    (void)state;
    for (int i = 0; i < 4; i++) {
        struct config config = load_well(texts[i], NULL, NULL);

        assert_int_equal(config.train.steps, 300);
        config_finish(&config);
    }
}

static void a_file_sets_keys_of_every_type(void **state)
{
    struct config config = load_well("run: {backend: cpu-ref=/lib/x.so, seed: 7}\n"
                                     "data:\n"
                                     "  train: [a.txt, \"b c.jsonl\"]\n"
                                     "  valid: v.txt\n"
                                     "optim: {lr: 6e-4, decay: wsd}\n"
                                     "precision:\n"
                                     "  compute: bf16\n"
                                     "numerics: {exact: false}\n",
                                     NULL, NULL);

    (void)state;
    assert_string_equal(config.run.backend, "cpu-ref=/lib/x.so");
    assert_int_equal(config.run.seed, 7);
    assert_int_equal(config.data.train.count, 2);
    assert_string_equal(config.data.train.items[1], "b c.jsonl");
    assert_int_equal(config.data.valid.count, 1);
    assert_string_equal(config.data.valid.items[0], "v.txt");
    assert_true(config.optim.lr == 0.0006);
    assert_int_equal(config.optim.decay, CONFIG_DECAY_WSD);
    assert_int_equal(config.precision.compute, CONFIG_COMPUTE_BF16);
    assert_int_equal(config.numerics.exact, CONFIG_EXACT_FALSE);
    config_finish(&config);
}

static void a_flag_beats_the_environment_and_that_beats_the_file(void **state)
{
    const char *yaml = "train:\n  steps: 1\n  global_batch: 2\n  eval_every: 3\n";
    struct config config =
        load_well(yaml, ENVIRONMENT("HOME=/", "LLMRUN_TRAIN_STEPS=10", "LLMRUN_TRAIN_GLOBAL_BATCH=20"),
                  FLAGS("train.steps", "100"));

    (void)state;
    assert_int_equal(config.train.steps, 100);
    assert_int_equal(config.train.global_batch, 20);
    assert_int_equal(config.train.eval_every, 3);
    assert_int_equal(config.sources[CONFIG_KEY_train_steps].level, CONFIG_FLAG);
    assert_int_equal(config.sources[CONFIG_KEY_train_global_batch].level, CONFIG_ENVIRONMENT);
    assert_int_equal(config.sources[CONFIG_KEY_train_eval_every].level, CONFIG_FILE);
    assert_int_equal(config.sources[CONFIG_KEY_train_eval_every].line, 4);
    config_finish(&config);
}

static void the_last_of_two_equal_flags_counts(void **state)
{
    struct config config = load_well(NULL, NULL, FLAGS("train.steps", "1", "train.steps", "2"));

    (void)state;
    assert_int_equal(config.train.steps, 2);
    config_finish(&config);
}

/* Each of these is something else in YAML. */
static void a_text_of_a_flag_or_variable_is_taken_as_it_is(void **state)
{
    static const char *const texts[] = {"a #b",     " a ",
                                        "'x y'",    "\"q\"",
                                        "a: b",     "[x]",
                                        "{y: 1}",   "- z",
                                        "-z",       "~",
                                        "null",     "true",
                                        "123",      "1e3",
                                        "*a",       "&a b",
                                        "!t",       "%d",
                                        "@",        "`",
                                        "|",        ">",
                                        "? k",      "a\nb",
                                        "\t",       "caf\xc3\xa9 \xf0\x9f\x98\x80",
                                        "\xc2\x85", "# all",
                                        "\\",       "a,b",
                                        "=",        "<<"};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char variable[80], *written;
        struct config config, again;
        struct error error;

        snprintf(variable, sizeof variable, "LLMRUN_DATA_TOKENIZER=%s", texts[i]);
        config = load_well(NULL, ENVIRONMENT(variable), FLAGS("run.dir", texts[i], "data.valid", "[]"));
        assert_string_equal(config.run.dir, texts[i]);
        assert_string_equal(config.data.tokenizer, texts[i]);
        assert_int_equal(config_to_text(&config, true, &written, &error), STATUS_OK);
        again = load_well(written, NULL, NULL);
        assert_string_equal(again.run.dir, texts[i]);
        assert_string_equal(again.data.tokenizer, texts[i]);
        free(written);
        config_finish(&again);
        config_finish(&config);
    }
    assert_refused(
        NULL, NULL, FLAGS("run.dir", "caf\xe9"),
        "--run.dir: the value of run.dir is not UTF-8, in which the config of a run is written; a link with another "
        "name helps");
}

static void one_name_of_a_list_is_taken_as_it_is(void **state)
{
    static const char *const names[] = {"a #b.txt", " a",  "a: b", "- a",  "-a", "true",
                                        "null",     "'a'", "~",    "a, b", "a]"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct config config = load_well(NULL, NULL, FLAGS("data.train", names[i]));

        assert_int_equal(config.data.train.count, 1);
        assert_string_equal(config.data.train.items[0], names[i]);
        config_finish(&config);
    }
}

static void a_list_stands_in_brackets_unless_a_file_has_that_name(void **state)
{
    static const char name[] = "[list, of test].txt";
    struct config config =
        load_well(NULL, ENVIRONMENT("LLMRUN_DATA_VALID=[\"c #d\", e]"), FLAGS("data.train", "[a, b]"));
    FILE *file;

    (void)state;
    assert_int_equal(config.data.train.count, 2);
    assert_string_equal(config.data.train.items[1], "b");
    assert_int_equal(config.data.valid.count, 2);
    assert_string_equal(config.data.valid.items[0], "c #d");
    config_finish(&config);
    config = load_well(NULL, NULL, FLAGS("data.train", "[]"));
    assert_int_equal(config.data.train.count, 0);
    config_finish(&config);

    file = fopen(name, "w");
    assert_non_null(file);
    fclose(file);
    config = load_well(NULL, NULL, FLAGS("data.train", name));
    remove(name);
    assert_int_equal(config.data.train.count, 1);
    assert_string_equal(config.data.train.items[0], name);
    config_finish(&config);
    assert_refused(NULL, NULL, FLAGS("data.train", "[a, b"),
                   "--data.train: broken YAML: did not find expected ',' or ']' while parsing a flow sequence; no file "
                   "is called [a, b either");
    assert_refused(NULL, NULL, FLAGS("data.train", ""),
                   "--data.train: data.train has no value; a list of texts is wanted");
}

/* fp32 holds 0.99999999 as 1, 1e-60 as 0 and 1e200 as infinity. */
static void a_number_is_in_its_range_in_fp32_too(void **state)
{
    (void)state;
    assert_refused(NULL, NULL, FLAGS("optim.beta2", "0.99999999"),
                   "--optim.beta2: optim.beta2 is 0.99999999, which is 1 in fp32; a number in [0, 1) is wanted");
    assert_refused(NULL, NULL, FLAGS("optim.eps", "1e-60"),
                   "--optim.eps: optim.eps is 1e-60, which is 0 in fp32; a number in (0, 1] is wanted");
    assert_refused(NULL, NULL, FLAGS("optim.lr", "1e200"),
                   "--optim.lr: optim.lr is 1e200, which is inf in fp32; a number in [0, inf) is wanted");
}

static void an_empty_word_is_the_empty_text(void **state)
{
    struct config config = load_well("run: {dir: runs/a}", ENVIRONMENT("LLMRUN_RUN_DIR="), NULL);

    (void)state;
    assert_string_equal(config.run.dir, "");
    config_finish(&config);
    assert_refused(NULL, NULL, FLAGS("train.steps", ""),
                   "--train.steps: train.steps has no value; a whole number in [1, 1e12] is wanted");
}

static void reserved_variables_are_no_keys_and_any_other_is_refused(void **state)
{
    struct config config = load_well(NULL,
                                     ENVIRONMENT("LLMRUN_BACKEND_PATH=/x", "LLMRUN_SECRET=s", "LLMRUN_RENDEZVOUS=h:1",
                                                 "LLMRUN_TEST_DATA=d", "LLMRUN_HOST_ADDRESS=10.0.0.1", "LLMRUNNER=1"),
                                     NULL);

    (void)state;
    config_finish(&config);
    assert_refused(NULL, ENVIRONMENT("LLMRUN_TRAIN_STPES=3"), NULL,
                   "LLMRUN_TRAIN_STPES in the environment names no key, did you mean LLMRUN_TRAIN_STEPS?");
    assert_refused(NULL, ENVIRONMENT("LLMRUN_HOME=3"), NULL,
                   "LLMRUN_HOME in the environment names no key; `llmrun config keys` lists them all");
    assert_refused(NULL, ENVIRONMENT("LLMRUN_TRAIN_STEPS=x"), NULL,
                   "LLMRUN_TRAIN_STEPS: train.steps is x; a whole number in [1, 1e12] is wanted");
}

static void an_unknown_key_is_named_with_its_place_and_the_nearest_key(void **state)
{
    (void)state;
    assert_refused("train:\n  steps: 3\n  global_bacth: 3\n", NULL, NULL,
                   "run.yaml:3:3: no key is called train.global_bacth, did you mean train.global_batch?");
    assert_refused("train: {lr: 3}\n", NULL, NULL, "run.yaml:1:9: no key is called train.lr, did you mean optim.lr?");
    assert_refused("trian: {steps: 3}\n", NULL, NULL, "run.yaml:1:1: no section is called trian, did you mean train?");
    assert_refused("steps: 3\n", NULL, NULL, "run.yaml:1:1: no section is called steps, did you mean train.steps?");
    assert_refused("train.steps: 3\n", NULL, NULL,
                   "run.yaml:1:1: train.steps stands under its section in a file: write \"train: {steps: ...}\"");
    assert_refused(NULL, NULL, FLAGS("trian.steps", "3"),
                   "--trian.steps: no key is called trian.steps, did you mean train.steps?");
    assert_refused(NULL, NULL, FLAGS("quux.xyzzy", "3"),
                   "--quux.xyzzy: no key is called quux.xyzzy; `llmrun config keys` lists them all");
}

static void a_value_of_the_wrong_type_is_named_with_what_is_wanted(void **state)
{
    (void)state;
    assert_refused("train: {steps: many}", NULL, NULL,
                   "run.yaml:1:16: train.steps is many; a whole number in [1, 1e12] is wanted");
    assert_refused("train: {steps: 3.5}", NULL, NULL,
                   "run.yaml:1:16: train.steps is 3.5; a whole number in [1, 1e12] is wanted");
    assert_refused("train: {steps: \"3\"}", NULL, NULL,
                   "run.yaml:1:16: train.steps is the text \"3\"; a whole number in [1, 1e12] is wanted, "
                   "without quotes");
    assert_refused("train: {steps: [3]}", NULL, NULL,
                   "run.yaml:1:16: train.steps is a list; a whole number in [1, 1e12] is wanted");
    assert_refused("run: {dir: }", NULL, NULL, "run.yaml:1:12: run.dir has no value; text is wanted");
    assert_refused("run: {dir: {a: b}}", NULL, NULL, "run.yaml:1:12: run.dir is a map; text is wanted");
    assert_refused("data: {pack: yes}", NULL, NULL, "run.yaml:1:14: data.pack is yes; true or false is wanted");
    assert_refused("data: {train: [a, [b]]}", NULL, NULL,
                   "run.yaml:1:19: data.train is a list; a list of texts is wanted");
    assert_refused("precision: {compute: fp64}", NULL, NULL,
                   "run.yaml:1:22: precision.compute is fp64; fp32 or bf16 is wanted");
    assert_refused("model: {overrides: 3}", NULL, NULL,
                   "run.yaml:1:20: model.overrides is 3; a map of names to values is wanted");
    assert_refused("train: 3", NULL, NULL, "run.yaml:1:8: train is one value; a map of its keys is wanted");
    assert_refused("[train]", NULL, NULL, "run.yaml:1:1: it holds a list; a map of sections is wanted");
}

static void a_value_out_of_range_is_refused(void **state)
{
    (void)state;
    assert_refused("optim: {beta1: 1.0}", NULL, NULL,
                   "run.yaml:1:16: optim.beta1 is 1.0; a number in [0, 1) is wanted");
    assert_refused("optim: {lr: -1}", NULL, NULL, "run.yaml:1:13: optim.lr is -1; a number in [0, inf) is wanted");
    assert_refused("optim: {lr: .inf}", NULL, NULL, "run.yaml:1:13: optim.lr is .inf; a number in [0, inf) is wanted");
    assert_refused("run: {seed: -1}", NULL, NULL,
                   "run.yaml:1:13: run.seed is -1; a whole number in [0, inf) is wanted");
    assert_refused("numerics: {batch_parts: 3000000}", NULL, NULL,
                   "run.yaml:1:25: numerics.batch_parts is 3000000; auto or a whole number in [1, 256] is wanted");
}

static void a_former_name_stands_for_its_key(void **state)
{
    struct config config = load_well("numerics: {lanes: 2}", NULL, NULL);
    char place[80];

    (void)state;
    assert_int_equal(config.numerics.batch_parts, 2);
    config_finish(&config);
    config = load_well("numerics: {batch_parts: 2}", ENVIRONMENT("LLMRUN_NUMERICS_LANES=4"), NULL);
    assert_int_equal(config.numerics.batch_parts, 4);
    config_source_text(&config, CONFIG_KEY_numerics_batch_parts, place, sizeof place);
    assert_string_equal(place, "LLMRUN_NUMERICS_LANES");
    config_finish(&config);
    config = load_well("numerics: {batch_parts: 2}", NULL, FLAGS("numerics.lanes", "8"));
    assert_int_equal(config.numerics.batch_parts, 8);
    config_source_text(&config, CONFIG_KEY_numerics_batch_parts, place, sizeof place);
    assert_string_equal(place, "--numerics.lanes");
    config_finish(&config);
}

static void both_names_of_a_key_are_refused(void **state)
{
    (void)state;
    assert_refused(
        "numerics: {lanes: 2, batch_parts: 2}", NULL, NULL,
        "run.yaml:1:35: numerics.batch_parts, formerly numerics.lanes, is set by both names; leave the former "
        "one out");
    assert_refused(NULL, ENVIRONMENT("LLMRUN_NUMERICS_LANES=4", "LLMRUN_NUMERICS_BATCH_PARTS=4"), NULL,
                   "LLMRUN_NUMERICS_BATCH_PARTS: numerics.batch_parts, formerly numerics.lanes, is set by both names; "
                   "leave the former one out");
}

static void a_feature_that_is_missing_takes_only_its_off_value(void **state)
{
    struct config config = load_well("parallel: {tp: 1, schedule: 1f1b, timeout: 60}\nrun: {fallback: none}\n"
                                     "precision: {loss_scale: dynamic}\nlog: {tensorboard: false}",
                                     NULL, NULL);

    (void)state;
    config_finish(&config);
    assert_refused("parallel:\n  cp: 2\n", NULL, NULL,
                   "run.yaml:2:7: parallel.cp is 2, but context parallelism is not built yet; leave it at 1");
    assert_refused("run: {fallback: host}", NULL, NULL,
                   "run.yaml:1:17: run.fallback is host, but the host fallback is not built yet; leave it at none");
    assert_refused(
        NULL, NULL, FLAGS("precision.loss_scale", "128"),
        "--precision.loss_scale: precision.loss_scale is 128, but fp16 is not built yet; leave it at dynamic");
    assert_refused(
        "log: {tensorboard: true}", NULL, NULL,
        "run.yaml:1:20: log.tensorboard is true, but writing TensorBoard files is not built yet; leave it at false");
}

static void keys_that_contradict_each_other_are_refused(void **state)
{
    (void)state;
    assert_refused("train: {global_batch: 16, micro_batch: 5}", NULL, NULL,
                   "run.yaml:1: train.micro_batch is 5, which does not divide train.global_batch 16");
    assert_refused("optim: {min_lr: 0.5}", NULL, FLAGS("optim.lr", "0.1"),
                   "run.yaml:1: optim.min_lr is 0.5, above optim.lr 0.1");
}

static void a_missing_file_is_a_mistake_of_usage(void **state)
{
    struct config config;
    struct error error;

    (void)state;
    assert_int_equal(config_load(&config, &(struct config_inputs){.file = "no/such.yaml"}, &error), STATUS_USAGE);
    assert_string_equal(error.message, "the config file could not be read: no/such.yaml: No such file or directory");
    assert_int_equal(config_load(&config, &(struct config_inputs){.file = "/"}, &error), STATUS_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_inputs_every_key_has_its_default),
        cmocka_unit_test(an_empty_file_and_an_empty_section_change_nothing),
        cmocka_unit_test(a_file_sets_keys_of_every_type),
        cmocka_unit_test(a_flag_beats_the_environment_and_that_beats_the_file),
        cmocka_unit_test(the_last_of_two_equal_flags_counts),
        cmocka_unit_test(a_text_of_a_flag_or_variable_is_taken_as_it_is),
        cmocka_unit_test(one_name_of_a_list_is_taken_as_it_is),
        cmocka_unit_test(a_list_stands_in_brackets_unless_a_file_has_that_name),
        cmocka_unit_test(a_number_is_in_its_range_in_fp32_too),
        cmocka_unit_test(an_empty_word_is_the_empty_text),
        cmocka_unit_test(reserved_variables_are_no_keys_and_any_other_is_refused),
        cmocka_unit_test(an_unknown_key_is_named_with_its_place_and_the_nearest_key),
        cmocka_unit_test(a_value_of_the_wrong_type_is_named_with_what_is_wanted),
        cmocka_unit_test(a_value_out_of_range_is_refused),
        cmocka_unit_test(a_former_name_stands_for_its_key),
        cmocka_unit_test(both_names_of_a_key_are_refused),
        cmocka_unit_test(a_feature_that_is_missing_takes_only_its_off_value),
        cmocka_unit_test(keys_that_contradict_each_other_are_refused),
        cmocka_unit_test(a_missing_file_is_a_mistake_of_usage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
