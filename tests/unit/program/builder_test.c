#include "program/builder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "program/text.h"
#include "program/verify.h"

#define LONG_NAME 1000 /* characters */

static int32_t vector(struct builder *b, const char *name, enum value_kind kind, uint32_t dtype, int64_t elements)
{
    return build_value(b, name, kind, 0, dtype, 1, &elements);
}

static int32_t matrix(struct builder *b, const char *name, int64_t rows, int64_t columns)
{
    return build_parameter(b, name, VALUE_TRAINABLE, 2, (const int64_t[]){rows, columns});
}

static void a_forward_pass_reads_back_as_it_was_written(void **state)
{
    const struct attention_form form = {3, 2, 1, 0.5f, 0.25f};
    struct program program;
    struct text text = {0};
    struct builder b;
    struct error error;
    int32_t x, y, h, random, ids, sum;

    (void)state;
    program_init(&program);
    builder_init(&b, &program, &error);
    builder_section(&b, SECTION_FORWARD);
    ids = vector(&b, "ids", VALUE_INPUT, LLMRUN_I32, 6);
    random = build_random(&b, 0);
    x = build_embedding(&b, ids, matrix(&b, "table", 8, 4), NO_VALUE, "x");
    b.layer = 0;
    y = build_layernorm(&b, x, NO_VALUE, vector(&b, "weight", VALUE_PARAMETER, LLMRUN_F32, 4), NO_VALUE, 0.5f, &sum,
                        "y");
    assert_int_equal(sum, x);
    h = build_linear(&b, y, matrix(&b, "w", 2, 4), NO_VALUE, "h");
    h = build_attention(&b, y, h, h, ids, random, &form, "h");
    h = build_dropout(&b, h, random, 3, 0.5f, "drop");
    assert_int_equal(build_dropout(&b, h, random, 3, 0, "none"), h);
    y = build_layernorm(&b, h, x, program_find(&program, "weight"), NO_VALUE, 0.5f, &sum, "y");
    b.layer = -1;
    build_cast(&b, build_add(&b, sum, build_gelu(&b, y, "g"), "a"), LLMRUN_BF16, "c");
    assert_int_equal(b.status, STATUS_OK);
    program_print(&program, &text);
    assert_string_equal(text.data,
                        "llmrun-program 1\n"
                        "%0 = input i32[6] \"ids\"\n"
                        "%1 = input u32[2,64] \"random\"\n"
                        "%2 = parameter f32[8,4] \"table\" trainable\n"
                        "%3 = activation f32[6,4] \"x\"\n"
                        "%4 = parameter f32[4] \"weight\"\n"
                        "%5 = activation f32[6,4] \"y\"\n"
                        "%6 = activation f32[6] \"y.mean\"\n"
                        "%7 = activation f32[6] \"y.rstd\"\n"
                        "%8 = parameter f32[2,4] \"w\" trainable\n"
                        "%9 = activation f32[6,2] \"h\"\n"
                        "%10 = input u32[5] \"random.1\" of %1 view 0 pitch 1\n"
                        "%11 = activation f32[6,4] \"h.2\"\n"
                        "%12 = activation f32[6,2] \"h.lse\"\n"
                        "%13 = input u32[5] \"random.2\" of %1 view 64 pitch 1\n"
                        "%14 = activation f32[6,4] \"drop\"\n"
                        "%15 = activation f32[6,4] \"y.2\"\n"
                        "%16 = activation f32[6,4] \"y.residual_out\"\n"
                        "%17 = activation f32[6] \"y.mean.2\"\n"
                        "%18 = activation f32[6] \"y.rstd.2\"\n"
                        "%19 = activation f32[6,4] \"g\"\n"
                        "%20 = activation f32[6,4] \"a\"\n"
                        "%21 = activation bf16[6,4] \"c\"\n"
                        "section forward 0\n"
                        "  embedding(%0, %2, _ -> %3) F\n"
                        "  layernorm(%3, _, %4, _ -> %5, _, %6, %7) {epsilon: 0.5} F layer 0\n"
                        "  matmul(%5, %8, _ -> %9, _) {activation: 0, feature_parts: 1} F layer 0\n"
                        "  attention(%5, %9, %9, %0, _, %10 -> %11, %12) {seq_len: 3, keys: 3, query_first: 0, "
                        "heads: 2, kv_heads: 1, kv_head_first: 0, kv_heads_full: 0, scale: 0.5, dropout: 0.25} F "
                        "layer 0\n"
                        "  dropout(%11, %13 -> %14) {seq_len: 3, probability: 0.5, reserved: 0} F layer 0\n"
                        "  layernorm(%14, %3, %4, _ -> %15, %16, %17, %18) {epsilon: 0.5} F layer 0\n"
                        "  gelu(%15 -> %19) F\n"
                        "  add(%16, %19 -> %20) F\n"
                        "  cast(%20 -> %21) F\n");
    text_finish(&text);
    program_finish(&program);
}

static void the_first_failure_sticks(void **state)
{
    struct program program;
    struct builder b;
    struct error error;
    int32_t a, wide;

    (void)state;
    program_init(&program);
    builder_init(&b, &program, &error);
    builder_section(&b, SECTION_FORWARD);
    a = matrix(&b, "a", 2, 3);
    wide = matrix(&b, "wide", 2, 4);
    assert_int_equal(build_add(&b, a, wide, "sum"), WANTED);
    assert_int_equal(b.status, STATUS_BUG);
    assert_string_equal(error.message, "add: operand b (value wide) has extent 4 on axis 'c', wanted 3");
    build_add(&b, a, NO_VALUE, "later");
    assert_int_equal(build_value(&b, "more", VALUE_INPUT, 0, LLMRUN_F32, 0, NULL), NO_VALUE);
    assert_string_equal(error.message, "add: operand b (value wide) has extent 4 on axis 'c', wanted 3");
    assert_int_equal(program.op_count, 0);
    program_finish(&program);
}

static void a_required_operand_that_is_missing_is_named(void **state)
{
    struct program program;
    struct builder b;
    struct error error;

    (void)state;
    program_init(&program);
    builder_init(&b, &program, &error);
    builder_section(&b, SECTION_FORWARD);
    build_add(&b, matrix(&b, "a", 2, 3), NO_VALUE, "sum");
    assert_int_equal(b.status, STATUS_BUG);
    assert_string_equal(error.message, "add: operand b is missing");
    program_finish(&program);
}

static void names_stay_unique(void **state)
{
    char *longest = calloc(LONG_NAME + 1, 1);
    struct program program;

    (void)state;
    memset(longest, 'n', LONG_NAME);
    program_init(&program);
    for (int i = 0; i < 30; i++)
        program_add_value(&program, i % 2 ? "x" : longest, VALUE_ACTIVATION, LLMRUN_F32, 0, NULL);
    for (int32_t i = 0; i < 30; i++)
        assert_int_equal(program_find(&program, program.values[i].name), i);
    assert_string_equal(program.values[0].name, longest);
    assert_memory_equal(program.values[28].name, longest, LONG_NAME);
    assert_string_equal(program.values[28].name + LONG_NAME, ".15");
    free(longest);
    program_finish(&program);
}

/* Names that differ only far behind are those of two parameters, each found again. */
static void long_names_are_found_again_and_kept_apart(void **state)
{
    static const char *const ends[] = {"gate_proj.lora_A.weight", "gate_proj.lora_B.weight", "up_proj.weight"};
    const int64_t shape[] = {3, 4};
    struct text names[6] = {{0}};
    char *layers = calloc(LONG_NAME + 1, 1);
    struct program program;
    struct error error;
    struct builder b;

    (void)state;
    for (int i = 0; i < LONG_NAME; i += 10)
        memcpy(layers + i, "adapters.x", 10);
    program_init(&program);
    builder_init(&b, &program, &error);
    for (int i = 0; i < 6; i++) {
        text_add(&names[i], "model.layers.79.%s.%s", i < 3 ? "mlp.experts.127" : layers, ends[i % 3]);
        assert_int_equal(build_parameter(&b, names[i].data, VALUE_TRAINABLE, 2, shape), i);
    }
    for (int i = 0; i < 6; i++) {
        assert_int_equal(build_parameter(&b, names[i].data, VALUE_TRAINABLE, 2, shape), i);
        assert_int_equal(program_find(&program, names[i].data), i);
        assert_string_equal(program.values[i].name, names[i].data);
        text_finish(&names[i]);
    }
    assert_int_equal(program.value_count, 6);
    assert_int_equal(b.status, STATUS_OK);
    free(layers);
    program_finish(&program);
}

static void one_name_for_two_forms_is_a_bug_and_not_one_value(void **state)
{
    const int64_t shape[] = {3, 4}, other[] = {4, 3};
    struct program program;
    struct error error;
    struct builder b;

    (void)state;
    program_init(&program);
    builder_init(&b, &program, &error);
    build_parameter(&b, "h.0.weight", VALUE_TRAINABLE, 2, shape);
    build_parameter(&b, "h.0.weight", VALUE_TRAINABLE, 2, other);
    assert_int_equal(b.status, STATUS_BUG);
    assert_string_equal(error.message, "h.0.weight is there already, as a parameter of another form");
    assert_int_equal(program.value_count, 1);
    program_finish(&program);
}

/* What an op makes has the type that is asked for where no input tells it. */
static void a_loss_in_parts_of_the_vocabulary_is_built(void **state)
{
    const struct vocabulary_form form = {.sequence = 3, .first = 0, .vocabulary = 7, .full = 7, .parts = 2};
    const int64_t rows[] = {6, 8}, sequences = 2;
    struct program program;
    struct builder b;
    struct error error;
    int32_t logits, targets, weights, statistics, losses, gradient, aux, y;

    (void)state;
    program_init(&program);
    builder_init(&b, &program, &error);
    builder_section(&b, SECTION_BACKWARD);
    logits = build_value(&b, "logits", VALUE_INPUT, 0, LLMRUN_F32, 2, rows);
    targets = vector(&b, "targets", VALUE_INPUT, LLMRUN_I32, 6);
    weights = vector(&b, "weights", VALUE_INPUT, LLMRUN_F32, 6);
    losses = build_value(&b, "losses", VALUE_RESULT, 0, LLMRUN_F64, 1, &sequences);
    statistics = build_loss_statistics(&b, logits, targets, &form, "loss");
    gradient =
        build_loss_gradient(&b, logits, statistics, targets, weights, vector(&b, "scale", VALUE_INPUT, LLMRUN_F32, 1),
                            losses, true, &form, LLMRUN_BF16, "loss");
    y = build_finish(&b, logits, NO_VALUE, LLMRUN_ACTIVATION_GELU, LLMRUN_BF16, &aux, "y");
    assert_int_equal(b.status, STATUS_OK);
    assert_int_equal(program_verify(&program, &error), STATUS_OK);
    assert_string_equal(program.values[statistics].name, "loss.statistics");
    assert_string_equal(program.values[gradient].name, "loss.dlogits");
    assert_int_equal(program.values[gradient].dtype, LLMRUN_BF16);
    assert_memory_equal(program.values[gradient].shape, rows, sizeof rows);
    assert_int_equal(program.ops[1].accumulate, 1u << LLMRUN_LOSS_GRADIENT_LOSSES);
    assert_string_equal(program.values[y].name, "y");
    assert_string_equal(program.values[aux].name, "y.aux");
    assert_int_equal(program.values[aux].dtype, LLMRUN_BF16);
    program_finish(&program);
}

/* The array of values moves as it grows; a shape or name in it may be given. */
static void a_value_can_be_made_like_another_one(void **state)
{
    const int64_t shape[] = {7, 5};
    struct program program;

    (void)state;
    program_init(&program);
    program_add_value(&program, "first", VALUE_ACTIVATION, LLMRUN_F32, 2, shape);
    for (int i = 0; i < 1000; i++) {
        const struct value *last = &program.values[program.value_count - 1];

        program_add_value(&program, last->name, VALUE_ACTIVATION, LLMRUN_F32, 2, last->shape);
    }
    for (int64_t i = 0; i < program.value_count; i++)
        assert_memory_equal(program.values[i].shape, shape, sizeof shape);
    program_finish(&program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_forward_pass_reads_back_as_it_was_written),
        cmocka_unit_test(the_first_failure_sticks),
        cmocka_unit_test(a_required_operand_that_is_missing_is_named),
        cmocka_unit_test(names_stay_unique),
        cmocka_unit_test(long_names_are_found_again_and_kept_apart),
        cmocka_unit_test(one_name_for_two_forms_is_a_bug_and_not_one_value),
        cmocka_unit_test(a_loss_in_parts_of_the_vocabulary_is_built),
        cmocka_unit_test(a_value_can_be_made_like_another_one),
    };

    return cmocka_run_group_tests_name("program builder", tests, NULL, NULL);
}
