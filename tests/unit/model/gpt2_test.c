#include "model/model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "program/verify.h"

#define SEQUENCE 8

static int32_t input(struct builder *b, const char *name, int64_t count)
{
    return build_value(b, name, VALUE_INPUT, 0, LLMRUN_I32, 1, &count);
}

/* Init and forward sections of one sequence. */
static void build(const struct model_config *config, uint64_t seed, float dropout, struct program *program)
{
    struct builder b;
    struct error error;
    struct model_batch batch = {
        .sequences = 1, .sequence = SEQUENCE, .context = SEQUENCE, .random = NO_VALUE, .dropout = dropout};

    program_init(program);
    builder_init(&b, program, &error);
    builder_section(&b, SECTION_INIT);
    model_build_init(&b, config, seed);
    builder_section(&b, SECTION_FORWARD);
    batch.tokens = input(&b, "tokens", SEQUENCE);
    batch.positions = input(&b, "positions", SEQUENCE);
    batch.segment_starts = input(&b, "segment_starts", SEQUENCE);
    if (dropout > 0)
        batch.random = build_random(&b, 0);
    model_build_hidden(&b, config, &batch);
    model_build_head(&b, config);
    if (b.status != STATUS_OK || program_verify(program, &error) != STATUS_OK)
        fail_msg("%s", error.message);
}

static struct model_config preset(const char *name)
{
    struct model_config config;
    struct error error;

    assert_int_equal(model_preset(name, &config, &error), STATUS_OK);
    return config;
}

static void every_preset_builds_and_has_the_parameters_it_counts(void **state)
{
    (void)state;
    for (int p = 0; model_preset_name(p) != NULL; p++) {
        struct model_config config = preset(model_preset_name(p));
        int64_t parameters = 0;
        struct program program;

        if (strcmp(model_preset_name(p), "gpt2-tiny") == 0)
            config.tie_word_embeddings = false;
        build(&config, 1, 0, &program);
        for (int64_t i = 0; i < program.value_count; i++)
            if (program.values[i].kind == VALUE_PARAMETER)
                parameters += value_elements(&program.values[i]);
        parameters -= (model_padded_vocabulary(&config) - config.vocab_size) * config.n_embd *
                      (config.tie_word_embeddings ? 1 : 2);
        assert_int_equal(parameters, model_parameters(&config));
        program_finish(&program);
    }
}

static void matrices_decay_and_norms_and_biases_do_not(void **state)
{
    const struct model_config config = preset("gpt2-tiny");
    struct program program;

    (void)state;
    build(&config, 1, 0, &program);
    for (int64_t i = 0; i < program.value_count; i++) {
        const struct value *value = &program.values[i];

        if (value->kind != VALUE_PARAMETER)
            continue;
        assert_true(value->flags & VALUE_TRAINABLE);
        assert_int_equal((value->flags & VALUE_DECAY) != 0, value->rank == 2);
        assert_int_equal(value->rank == 2, strstr(value->name, "bias") == NULL && strstr(value->name, "ln_") == NULL);
    }
    program_finish(&program);
}

/* Radford et al. 2019, section 2.3: what is added to the residual stream starts smaller by 1/sqrt(2 layers). */
static void initial_deviations_are_those_of_the_paper(void **state)
{
    const struct model_config config = preset("gpt2");
    struct program program;
    int seen = 0;

    (void)state;
    build(&config, 1, 0, &program);
    for (int32_t i = 0; i < program_section(&program, SECTION_INIT)->op_count; i++) {
        const struct op *op = &program.ops[i];
        const struct llmrun_init_attributes *attributes = program_attributes(&program, op);
        const struct value *value = &program.values[program_operands(&program, op)[0]];
        bool matrix = value->rank == 2,
             norm = strstr(value->name, "ln_") != NULL && strstr(value->name, "weight") != NULL;
        double std = strstr(value->name, "c_proj") != NULL ? 0.02 / sqrt(24) : 0.02;

        assert_int_equal(attributes->distribution, matrix ? LLMRUN_INIT_NORMAL : LLMRUN_INIT_CONSTANT);
        assert_true(attributes->a == (norm ? 1.0f : 0.0f));
        assert_true(fabs((double)attributes->b - (matrix ? std : 0)) < 1e-9);
        seen++;
    }
    assert_int_equal(seen, 4 + 12 * 16); /* every parameter */
    program_finish(&program);
}

static void keys_of_initial_weights_differ_by_name_and_seed_and_not_by_model_size(void **state)
{
    struct model_config small = preset("demo"), large = preset("demo");
    uint64_t keys[3][256];
    struct program program;

    (void)state;
    large.n_layer = 6;
    for (int run = 0; run < 3; run++) {
        build(run == 2 ? &large : &small, run == 1 ? 2 : 1, 0, &program);
        for (int32_t i = 0; i < 4 + 4 * 16; i++)
            keys[run][i] =
                ((const struct llmrun_init_attributes *)program_attributes(&program, &program.ops[i]))->stream_id;
        program_finish(&program);
    }
    for (int i = 0; i < 4 + 4 * 16; i++) {
        assert_true(keys[0][i] != keys[1][i]);
        assert_true(keys[0][i] == keys[2][i]);
        for (int k = 0; k < i; k++)
            assert_true(keys[0][i] != keys[0][k]);
    }
}

/* Random numbers of two ops must not be the same ones. */
static void each_dropout_draws_numbers_of_its_own(void **state)
{
    const struct model_config config = preset("demo");
    int32_t draws[64];
    struct program program;
    int count = 0;

    (void)state;
    build(&config, 1, 0.1f, &program);
    for (int64_t i = 0; i < program.op_count; i++) {
        const int32_t *operands = program_operands(&program, &program.ops[i]);

        if (program.ops[i].op == LLMRUN_OP_DROPOUT)
            draws[count++] = operands[LLMRUN_DROPOUT_RNG_STATE];
        else if (program.ops[i].op == LLMRUN_OP_ATTENTION)
            draws[count++] = operands[LLMRUN_ATTENTION_RNG_STATE];
    }
    assert_int_equal(count, 1 + 4 * 3); /* the embedding's; attention, its output and the MLP's of each layer */
    assert_int_equal(program.values[program_find(&program, "random")].shape[0], count);
    for (int i = 0; i < count; i++) /* in this order: the numbers of a step stay the same ones */
        assert_int_equal(program_root_offset(&program, draws[i]), RANDOM_ROW * i);
    program_finish(&program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_preset_builds_and_has_the_parameters_it_counts),
        cmocka_unit_test(matrices_decay_and_norms_and_biases_do_not),
        cmocka_unit_test(initial_deviations_are_those_of_the_paper),
        cmocka_unit_test(keys_of_initial_weights_differ_by_name_and_seed_and_not_by_model_size),
        cmocka_unit_test(each_dropout_draws_numbers_of_its_own),
    };

    return cmocka_run_group_tests_name("model GPT-2", tests, NULL, NULL);
}
