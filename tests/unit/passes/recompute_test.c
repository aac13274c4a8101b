#include "passes/recompute.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "compile/compile.h"
#include "golden.h"
#include "passes/backward.h"
#include "passes/flops.h"
#include "program/builder.h"
#include "program/op_table.h"
#include "program/verify.h"

/* Names of the activations that the forward section makes and the backward section reads, one a line, in order. */
static void print_kept(const struct program *program, struct text *text)
{
    bool *forward = calloc((size_t)program->value_count, sizeof *forward);
    bool *kept = calloc((size_t)program->value_count, sizeof *kept);

    for (int64_t s = 0; s < program->section_count; s++)
        for (int32_t n = 0; n < program->sections[s].op_count; n++) {
            const struct op *op = &program->ops[program->sections[s].first_op + n];
            const struct op_info *info = op_info_find(op->op);

            for (uint32_t i = 0; info->operands[i].name != NULL; i++) {
                int32_t value = program_operands(program, op)[i];

                if (value == NO_VALUE || program->values[value].kind != VALUE_ACTIVATION)
                    continue;
                if (program->sections[s].kind == SECTION_FORWARD && info->operands[i].direction == OPERAND_OUT)
                    forward[value] = true;
                if (program->sections[s].kind == SECTION_BACKWARD && forward[value])
                    kept[value] = true;
            }
        }
    for (int64_t i = 0; i < program->value_count; i++)
        if (kept[i])
            text_add(text, "%s\n", program->values[i].name);
    free(forward);
    free(kept);
}

/* Two layers of GPT-2, after the pass. */
static void read_recomputed(enum recompute mode, struct program *program)
{
    struct error error;

    golden_read("block_backward", program);
    if (pass_recompute(program, mode, &error) != STATUS_OK || program_verify(program, &error) != STATUS_OK)
        fail_msg("%s", error.message);
}

static void kept_are(enum recompute mode, const char *wanted)
{
    struct text text = {0};
    struct program program;

    read_recomputed(mode, &program);
    print_kept(&program, &text);
    assert_string_equal(text.data, wanted);
    text_finish(&text);
    program_finish(&program);
}

/* Of each of the two layers, and of the norm and the loss behind them, the stream that it starts from. */
static void full_keeps_one_value_of_the_residual_stream_a_layer(void **state)
{
    (void)state;
    kept_are(RECOMPUTE_FULL, "embedding.drop\n"
                             "ln_1.sum\n"
                             "ln_f.sum\n");
}

static void selective_keeps_streams_and_the_inputs_of_matmuls_that_are_not_cheap(void **state)
{
    (void)state;
    kept_are(RECOMPUTE_SELECTIVE, "embedding.drop\n"
                                  "q\nk\nv\nattention\nattention.lse\n"
                                  "ln_2.sum\n"
                                  "fc\n"
                                  "ln_1.sum\n"
                                  "q.2\nk.2\nv.2\nattention.2\nattention.lse.2\n"
                                  "ln_2.sum.2\n"
                                  "fc.2\n"
                                  "ln_f.sum\n");
}

/* y = dropout(a + a) feeds a product. Neither sum nor dropout is kept: `a`, which gelu_grad needs, gives both. */
static void selective_recomputes_a_chain_of_cheap_ops_from_what_is_there(void **state)
{
    const int64_t table[] = {8, 4}, square[] = {4, 4}, rows = 6, one = 1;
    struct text text = {0};
    struct program program;
    struct builder b;
    struct error error;
    int32_t a, y, random, ids, weights, losses;

    (void)state;
    program_init(&program);
    builder_init(&b, &program, &error);
    builder_section(&b, SECTION_FORWARD);
    ids = build_value(&b, "ids", VALUE_INPUT, 0, LLMRUN_I32, 1, &rows);
    random = build_random(&b, 0);
    weights = build_value(&b, "weights", VALUE_INPUT, 0, LLMRUN_F32, 1, &rows);
    losses = build_value(&b, "losses", VALUE_RESULT, 0, LLMRUN_F64, 1, &one);
    a = build_embedding(&b, ids, build_parameter(&b, "table", VALUE_TRAINABLE, 2, table), NO_VALUE, "a");
    y = build_dropout(&b, build_add(&b, a, a, "sum"), random, rows, 0.5f, "dropped");
    y = build_linear(&b, y, build_parameter(&b, "w", VALUE_TRAINABLE, 2, square), NO_VALUE, "product");
    y = build_add(&b, y, build_gelu(&b, a, "gelu"), "y");
    builder_section(&b, SECTION_BACKWARD);
    b.role = ROLE_BACKWARD_INPUT;
    build_linear_cross_entropy(&b, y, build_parameter(&b, "head", 0, 2, table), ids, weights,
                               build_value(&b, "scale", VALUE_INPUT, 0, LLMRUN_F32, 1, &one), losses, rows, 8);
    assert_int_equal(b.status, STATUS_OK);
    if (pass_backward(&program, &error) != STATUS_OK ||
        pass_recompute(&program, RECOMPUTE_SELECTIVE, &error) != STATUS_OK ||
        program_verify(&program, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    print_kept(&program, &text);
    assert_string_equal(text.data, "a\ny\n");
    text_finish(&text);
    program_finish(&program);
}

/* Layers without a residual stream: v = gelu(w1 g), g = gelu(w0 e). What the second takes from the first, `g`,
 * is kept, and what the loss takes from the second, `v`; what lies within a layer is not. */
static void full_keeps_what_a_layer_takes_from_another_without_a_stream(void **state)
{
    const int64_t table[] = {8, 4}, square[] = {4, 4}, rows = 6, one = 1;
    struct text text = {0};
    struct program program;
    struct builder b;
    struct error error;
    int32_t x, ids, weights, losses;

    (void)state;
    program_init(&program);
    builder_init(&b, &program, &error);
    builder_section(&b, SECTION_FORWARD);
    ids = build_value(&b, "ids", VALUE_INPUT, 0, LLMRUN_I32, 1, &rows);
    weights = build_value(&b, "weights", VALUE_INPUT, 0, LLMRUN_F32, 1, &rows);
    losses = build_value(&b, "losses", VALUE_RESULT, 0, LLMRUN_F64, 1, &one);
    x = build_embedding(&b, ids, build_parameter(&b, "table", VALUE_TRAINABLE, 2, table), NO_VALUE, "e");
    b.layer = 0;
    x = build_linear(&b, x, build_parameter(&b, "w0", VALUE_TRAINABLE, 2, square), NO_VALUE, "h");
    x = build_gelu(&b, x, "g");
    b.layer = 1;
    x = build_linear(&b, x, build_parameter(&b, "w1", VALUE_TRAINABLE, 2, square), NO_VALUE, "u");
    x = build_gelu(&b, x, "v");
    builder_section(&b, SECTION_BACKWARD);
    b.role = ROLE_BACKWARD_INPUT;
    b.layer = 2;
    build_linear_cross_entropy(&b, x, build_parameter(&b, "head", 0, 2, table), ids, weights,
                               build_value(&b, "scale", VALUE_INPUT, 0, LLMRUN_F32, 1, &one), losses, rows, 8);
    assert_int_equal(b.status, STATUS_OK);
    if (pass_backward(&program, &error) != STATUS_OK || pass_recompute(&program, RECOMPUTE_FULL, &error) != STATUS_OK ||
        program_verify(&program, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    print_kept(&program, &text);
    assert_string_equal(text.data, "e\ng\nv\n");
    text_finish(&text);
    program_finish(&program);
}

/* The operand `random` of an op; NO_VALUE where the op draws nothing. */
static int32_t random_of(const struct program *program, const struct op *op)
{
    const struct op_info *info = op_info_find(op->op);
    const uint32_t index = op_operand_index(info, "random");

    return index < op_operand_count(info) ? program_operands(program, op)[index] : NO_VALUE;
}

static void clones_are_the_same_ops_with_the_same_random_numbers(void **state)
{
    (void)state;
    for (int mode = RECOMPUTE_SELECTIVE; mode <= RECOMPUTE_FULL; mode++) {
        struct program program;
        int clones = 0;

        read_recomputed((enum recompute)mode, &program);
        for (int64_t i = 0; i < program.op_count; i++) {
            const struct op *clone = &program.ops[i];
            const struct op_info *info = op_info_find(clone->op);
            bool found = false;

            if (!clone->recomputed)
                continue;
            clones++;
            for (int64_t k = 0; k < i && !found; k++)
                found = !program.ops[k].recomputed && program.ops[k].op == clone->op &&
                        program.ops[k].layer == clone->layer &&
                        random_of(&program, &program.ops[k]) == random_of(&program, clone) &&
                        memcmp(program_attributes(&program, &program.ops[k]), program_attributes(&program, clone),
                               op_attribute_bytes(info)) == 0;
            assert_true(found);
        }
        assert_true(clones > 0);
        program_finish(&program);
    }
}

static void the_forward_section_stays_as_it_was(void **state)
{
    struct text texts[3] = {{0}};

    (void)state;
    for (int mode = RECOMPUTE_NONE; mode <= RECOMPUTE_FULL; mode++) {
        struct program program;

        read_recomputed((enum recompute)mode, &program);
        for (int32_t i = 0; i < program_section(&program, SECTION_FORWARD)->op_count; i++) {
            const struct op *op = &program.ops[program_section(&program, SECTION_FORWARD)->first_op + i];

            for (uint32_t k = 0; k < op_operand_count(op_info_find(op->op)); k++)
                text_add(&texts[mode], "%d ", program_operands(&program, op)[k]);
        }
        program_finish(&program);
    }
    assert_string_equal(texts[1].data, texts[0].data);
    assert_string_equal(texts[2].data, texts[0].data);
    for (int mode = RECOMPUTE_NONE; mode <= RECOMPUTE_FULL; mode++)
        text_finish(&texts[mode]);
}

static void compile(const char *preset, int64_t layers, int64_t sequence, enum recompute mode,
                    struct compiled *compiled)
{
    struct compile_request request = {.sequence = sequence,
                                      .global_batch = 2,
                                      .micro_batch = 2,
                                      .train = true,
                                      .compute_dtype = LLMRUN_BF16,
                                      .recompute = mode,
                                      .update = {0.9f, 0.95f, 1e-8f, 0.1f, 1},
                                      .exact = true};
    struct error error;

    assert_int_equal(model_preset(preset, &request.model, &error), STATUS_OK);
    if (layers > 0)
        request.model.n_layer = layers;
    if (compile_step(&request, compiled, &error) != STATUS_OK)
        fail_msg("%s", error.message);
}

static void llama_keeps(enum recompute mode, const char *wanted)
{
    struct text text = {0};
    struct compiled compiled;

    compile("llama-tiny", 2, 16, mode, &compiled);
    print_kept(&compiled.program, &text);
    assert_string_equal(text.data, wanted);
    text_finish(&text);
    compiled_finish(&compiled);
}

static void full_keeps_as_much_of_llama(void **state)
{
    (void)state;
    llama_keeps(RECOMPUTE_FULL, "embed\n"
                                "input_norm.residual_out\n"
                                "norm.residual_out\n");
}

/* The rotary embedding of q is as large as q, and its gradient needs neither: it is kept instead of q. */
static void selective_keeps_of_llama_the_stream_and_what_is_not_cheap(void **state)
{
    (void)state;
    llama_keeps(RECOMPUTE_SELECTIVE, "embed\n"
                                     "v\nq.rope\nk.rope\nattention\nattention.lse\n"
                                     "post_norm.residual_out\n"
                                     "gate\nup\n"
                                     "input_norm.residual_out\n"
                                     "v.2\nq.rope.2\nk.rope.2\nattention.2\nattention.lse.2\n"
                                     "post_norm.residual_out.2\n"
                                     "gate.2\nup.2\n"
                                     "norm.residual_out\n");
}

/* Clones of two layers are never there at once: none of them is used behind the first op of the layer below. */
static void one_layer_at_a_time_is_recomputed(void **state)
{
    static const char *const presets[] = {"gpt2", "llama-tiny"};

    (void)state;
    for (size_t p = 0; p < sizeof presets / sizeof presets[0]; p++) {
        struct compiled compiled;
        const struct program *program = &compiled.program;
        int16_t *layers;
        int clones = 0, at = INT16_MAX;

        compile(presets[p], 4, 16, RECOMPUTE_FULL, &compiled);
        layers = calloc((size_t)program->value_count, sizeof *layers); /* of clones, counted from 1 */
        for (int64_t s = 0; s < program->section_count; s++)
            for (int32_t n = 0; program->sections[s].kind == SECTION_BACKWARD && n < program->sections[s].op_count;
                 n++) {
                const struct op *op = &program->ops[program->sections[s].first_op + n];
                const struct op_info *info = op_info_find(op->op);

                for (uint32_t i = 0; info->operands[i].name != NULL; i++) {
                    int32_t value = program_operands(program, op)[i];

                    if (value == NO_VALUE)
                        continue;
                    if (op->recomputed && info->operands[i].direction == OPERAND_OUT) {
                        layers[value] = (int16_t)(op->layer + 1);
                        clones++;
                    } else if (layers[value] > 0) {
                        assert_true(layers[value] <= at);
                        at = layers[value];
                    }
                }
            }
        assert_true(clones > 4 * 8);
        assert_int_equal(at, 1);
        free(layers);
        compiled_finish(&compiled);
    }
}

/* Two sequences of 1024 tokens in bf16. Full computes the layers a second time at most, and never the loss. */
static void large_models_need_a_fraction_of_the_memory(void **state)
{
    static const char *const presets[] = {"gpt2-xl", "llama-7b", "llama3-8b"};

    (void)state;
    for (size_t p = 0; p < sizeof presets / sizeof presets[0]; p++) {
        double bytes[3];

        for (int mode = RECOMPUTE_NONE; mode <= RECOMPUTE_FULL; mode++) {
            struct compiled compiled;
            double useful, all, forward;

            compile(presets[p], 0, 1024, (enum recompute)mode, &compiled);
            bytes[mode] = (double)compiled.plan.region_bytes[REGION_ACTIVATIONS];
            forward = program_flops(&compiled.program, SECTION_FORWARD, true);
            useful = program_flops(&compiled.program, SECTION_BACKWARD, true);
            all = program_flops(&compiled.program, SECTION_BACKWARD, false);
            assert_true(mode == RECOMPUTE_FULL ? all > useful && all - useful < forward : all == useful);
            compiled_finish(&compiled);
        }
        print_message("%s: activations of %.0f bytes, %.3f of them with selective, %.3f with full\n", presets[p],
                      bytes[0], bytes[1] / bytes[0], bytes[2] / bytes[0]);
        assert_true(bytes[RECOMPUTE_SELECTIVE] <= 0.75 * bytes[RECOMPUTE_NONE]);
        assert_true(bytes[RECOMPUTE_FULL] <= 0.15 * bytes[RECOMPUTE_NONE]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_keeps_one_value_of_the_residual_stream_a_layer),
        cmocka_unit_test(selective_keeps_streams_and_the_inputs_of_matmuls_that_are_not_cheap),
        cmocka_unit_test(selective_recomputes_a_chain_of_cheap_ops_from_what_is_there),
        cmocka_unit_test(full_keeps_what_a_layer_takes_from_another_without_a_stream),
        cmocka_unit_test(clones_are_the_same_ops_with_the_same_random_numbers),
        cmocka_unit_test(the_forward_section_stays_as_it_was),
        cmocka_unit_test(full_keeps_as_much_of_llama),
        cmocka_unit_test(selective_keeps_of_llama_the_stream_and_what_is_not_cheap),
        cmocka_unit_test(one_layer_at_a_time_is_recomputed),
        cmocka_unit_test(large_models_need_a_fraction_of_the_memory),
    };

    return cmocka_run_group_tests_name("passes recompute", tests, NULL, NULL);
}
