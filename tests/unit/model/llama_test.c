#include "model/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "model/rope.h"
#include "program/verify.h"

#define SEQUENCE 8

static int32_t input(struct builder *b, const char *name)
{
    const int64_t count = SEQUENCE;

    return build_value(b, name, VALUE_INPUT, 0, LLMRUN_I32, 1, &count);
}

/* Init and forward sections of one sequence. */
static void build(const struct model_config *config, struct program *program)
{
    struct model_batch batch = {.sequences = 1, .sequence = SEQUENCE, .context = SEQUENCE, .random = NO_VALUE};
    struct builder b;
    struct error error;

    program_init(program);
    builder_init(&b, program, &error);
    builder_section(&b, SECTION_INIT);
    model_build_init(&b, config, 1);
    builder_section(&b, SECTION_FORWARD);
    batch.tokens = input(&b, "tokens");
    batch.positions = input(&b, "positions");
    batch.segment_starts = input(&b, "segment_starts");
    model_build_hidden(&b, config, &batch);
    model_build_head(&b, config);
    if (b.status != STATUS_OK || program_verify(program, &error) != STATUS_OK)
        fail_msg("%s", error.message);
}

static struct model_config tiny(void)
{
    struct model_config config;
    struct error error;

    assert_int_equal(model_preset("llama-tiny", &config, &error), STATUS_OK);
    return config;
}

/* list(LlamaForCausalLM(config).state_dict()) of transformers, with the shapes of llama-tiny. */
static void parameters_have_the_names_and_shapes_of_transformers(void **state)
{
    static const struct {
        const char *name;
        int64_t out, in; /* in 0: a vector */
    } wanted[] = {
        {"model.embed_tokens.weight", 256, 64},
        {"model.layers.0.self_attn.q_proj.weight", 64, 64},
        {"model.layers.0.self_attn.k_proj.weight", 32, 64},
        {"model.layers.0.self_attn.v_proj.weight", 32, 64},
        {"model.layers.7.self_attn.o_proj.weight", 64, 64},
        {"model.layers.7.mlp.gate_proj.weight", 192, 64},
        {"model.layers.7.mlp.up_proj.weight", 192, 64},
        {"model.layers.7.mlp.down_proj.weight", 64, 192},
        {"model.layers.7.input_layernorm.weight", 64, 0},
        {"model.layers.7.post_attention_layernorm.weight", 64, 0},
        {"model.norm.weight", 64, 0},
        {"lm_head.weight", 256, 64},
    };
    const struct model_config config = tiny();
    struct program program;
    int parameters = 0;

    (void)state;
    build(&config, &program);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        const int32_t id = program_find(&program, wanted[i].name);
        const struct value *value = &program.values[id];

        assert_int_not_equal(id, NO_VALUE);
        assert_int_equal(value->kind, VALUE_PARAMETER);
        assert_int_equal(value->rank, wanted[i].in > 0 ? 2 : 1);
        assert_int_equal(value->shape[0], wanted[i].out);
        assert_int_equal(value->shape[1], wanted[i].in);
        assert_int_equal(value->flags, VALUE_TRAINABLE | (wanted[i].in > 0 ? VALUE_DECAY : 0));
    }
    for (int64_t i = 0; i < program.value_count; i++)
        parameters += program.values[i].kind == VALUE_PARAMETER;
    assert_int_equal(parameters, 3 + 8 * 9);
    program_finish(&program);
}

static void every_parameter_is_initialised_norms_to_one_and_matrices_normal(void **state)
{
    const struct model_config config = tiny();
    struct program program;
    const struct section *init;

    (void)state;
    build(&config, &program);
    init = program_section(&program, SECTION_INIT);
    assert_int_equal(init->op_count, 3 + 8 * 9);
    for (int32_t i = 0; i < init->op_count; i++) {
        const struct op *op = &program.ops[init->first_op + i];
        const struct llmrun_init_attributes *attributes = program_attributes(&program, op);
        const bool matrix = program.values[program_operands(&program, op)[0]].rank == 2;

        assert_int_equal(attributes->distribution, matrix ? LLMRUN_INIT_NORMAL : LLMRUN_INIT_CONSTANT);
        assert_true(attributes->a == (matrix ? 0.0f : 1.0f) && attributes->b == (matrix ? 0.02f : 0.0f));
    }
    program_finish(&program);
}

static void a_tied_head_is_the_embedding(void **state)
{
    struct model_config config = tiny();
    struct program program;

    (void)state;
    config.tie_word_embeddings = true;
    build(&config, &program);
    assert_int_equal(program_find(&program, "lm_head.weight"), NO_VALUE);
    program_finish(&program);
}

static void queries_and_keys_are_turned_by_one_pair_of_tables(void **state)
{
    const struct model_config config = tiny();
    struct program program;
    int turned[2] = {0};
    int32_t cosines, sines;

    (void)state;
    build(&config, &program);
    cosines = program_find(&program, ROPE_COSINES);
    sines = program_find(&program, ROPE_SINES);
    assert_int_equal(program.values[cosines].kind, VALUE_CONSTANT);
    assert_int_equal(program.values[sines].kind, VALUE_CONSTANT);
    assert_int_equal(program.values[cosines].shape[0], SEQUENCE);
    assert_int_equal(program.values[cosines].shape[1], 4);
    for (int64_t i = 0; i < program.op_count; i++) {
        const struct op *op = &program.ops[i];

        if (op->op != LLMRUN_OP_ROPE)
            continue;
        assert_int_equal(program_operands(&program, op)[LLMRUN_ROPE_COSINES], cosines);
        assert_int_equal(program_operands(&program, op)[LLMRUN_ROPE_SINES], sines);
        turned[((const struct llmrun_rope_attributes *)program_attributes(&program, op))->heads == 8]++;
    }
    assert_int_equal(turned[0], 8); /* of 4 heads: keys */
    assert_int_equal(turned[1], 8);
    program_finish(&program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_have_the_names_and_shapes_of_transformers),
        cmocka_unit_test(every_parameter_is_initialised_norms_to_one_and_matrices_normal),
        cmocka_unit_test(a_tied_head_is_the_embedding),
        cmocka_unit_test(queries_and_keys_are_turned_by_one_pair_of_tables),
    };

    return cmocka_run_group_tests_name("model LLaMA", tests, NULL, NULL);
}
