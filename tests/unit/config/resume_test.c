/* What must be the same when a run is resumed, and what may differ. */
#include "support.h"

static uint64_t hash_of(const struct config *config)
{
    struct error error;
    uint64_t hash;

    assert_int_equal(config_hash(config, &hash, &error), STATUS_OK);
    return hash;
}

static void assert_resumes(const char *stored_yaml, const char *now_yaml)
{
    struct config stored = load_well(stored_yaml, NULL, NULL), now = load_well(now_yaml, NULL, NULL);
    struct error error;

    assert_int_equal(config_check_resume(&stored, &now, &error), STATUS_OK);
    assert_true(hash_of(&stored) == hash_of(&now));
    config_finish(&stored);
    config_finish(&now);
}

static void assert_differs(const char *stored_yaml, const char *now_yaml, const char *sentence)
{
    struct config stored = load_well(stored_yaml, NULL, NULL), now = load_well(now_yaml, NULL, NULL);
    struct error error;

    assert_int_equal(config_check_resume(&stored, &now, &error), STATUS_USAGE);
    assert_memory_equal(error.message, sentence, strlen(sentence));
    assert_true(hash_of(&stored) != hash_of(&now));
    config_finish(&stored);
    config_finish(&now);
}

static void steps_backend_layout_and_log_may_differ(void **state)
{
    (void)state;
    assert_resumes("{}",
                   "train: {steps: 9, micro_batch: 4, eval_every: 7}\nrun: {backend: cpu-ref, dir: x, threads: 2}\n"
                   "log: {every: 3, level: debug}\nparallel: {recompute: full}\ncheckpoint: {every: 1, keep: 9}");
}

static void model_data_tokenizer_optimizer_seed_and_batch_may_not(void **state)
{
    (void)state;
    assert_differs("{}", "model: {preset: gpt2}", "model.preset is gpt2, but the run to resume has demo; ");
    assert_differs("{}", "model: {overrides: {n_layer: 2}}",
                   "model.overrides is {n_layer: 2}, but the run to resume has {}");
    assert_differs("{}", "data: {tokenizer: gpt2}", "data.tokenizer is gpt2, ");
    assert_differs("{}", "data: {seq_len: 64}", "data.seq_len is 64, ");
    assert_differs("{}", "optim: {lr: 0.5}", "optim.lr is 0.5, but the run to resume has 0.001");
    assert_differs("{}", "run: {seed: 1}", "run.seed is 1, ");
    assert_differs("{}", "train: {global_batch: 8}", "train.global_batch is 8, but the run to resume has 16");
}

/* What they name is compared where it is read; a word is no place. */
static void files_and_folders_may_have_moved(void **state)
{
    (void)state;
    assert_resumes("data: {train: [a.txt, b.txt]}", "data: {train: [/new/a.txt, /new/b.txt]}");
    assert_resumes("data: {tokenizer: gpt2}", "data: {tokenizer: /new/gpt2}");
    assert_resumes("model: {preset: \"\", path: base}", "model: {preset: \"\", path: /new/base}");
    assert_differs("{model: {preset: \"\", path: base}}", "model: {preset: gpt2, path: \"\"}", "model.path is ");
    assert_differs("data: {tokenizer: gpt2}", "data: {tokenizer: bytes}",
                   "data.tokenizer is bytes, but the run to resume has gpt2");
}

static void the_sentence_says_how_to_begin_a_new_run(void **state)
{
    (void)state;
    assert_differs("{}", "run: {seed: 1}",
                   "run.seed is 1, but the run to resume has 1337; leave it, or start a new run with another run.dir");
    assert_differs(
        "{}", "run: {seed: 1, resume: old/ckpt/step_00000003}",
        "run.seed is 1, but the run to resume has 1337; leave it, or start a new run with run.resume none and "
        "another run.dir");
}

static void the_order_of_overrides_does_not_count(void **state)
{
    (void)state;
    assert_resumes("model: {overrides: {n_layer: 2, n_head: 4}}", "model: {overrides: {n_head: 4, n_layer: 2}}");
    assert_differs("model: {overrides: {n_layer: 2, n_head: 4}}", "model: {overrides: {n_head: 2, n_layer: 4}}",
                   "model.overrides is ");
}

static void a_text_is_not_the_number_that_it_looks_like(void **state)
{
    (void)state;
    assert_differs("model: {overrides: {n_layer: 2}}", "model: {overrides: {n_layer: \"2\"}}",
                   "model.overrides is {n_layer: \"2\"}, but the run to resume has {n_layer: 2}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_backend_layout_and_log_may_differ),
        cmocka_unit_test(model_data_tokenizer_optimizer_seed_and_batch_may_not),
        cmocka_unit_test(files_and_folders_may_have_moved),
        cmocka_unit_test(the_sentence_says_how_to_begin_a_new_run),
        cmocka_unit_test(the_order_of_overrides_does_not_count),
        cmocka_unit_test(a_text_is_not_the_number_that_it_looks_like),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
