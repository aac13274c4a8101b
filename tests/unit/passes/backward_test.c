#include "passes/backward.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "golden.h"
#include "passes/backward_rules.h"
#include "passes/optimizer.h"
#include "program/op_table.h"
#include "program/text.h"

static const struct update_policy policy = {
    .beta1 = 0.9f, .beta2 = 0.95f, .epsilon = 1e-8f, .weight_decay = 0.1f, .clip = 1.0f};

static void the_rules_are_those_of_the_op_table(void **state)
{
    (void)state;
    for (uint16_t id = 0; id < LLMRUN_OPS; id++) {
        const struct op_info *info = op_info_find(id);

        if (info == NULL)
            assert_null(backward_rule_of(id));
        else if (strcmp(info->backward, "none") == 0)
            assert_true(backward_rule_of(id) == NULL);
        else
            assert_true(backward_rule_of(id) != NULL);
    }
    assert_true(backward_rule_of(LLMRUN_OPS) == NULL);
}

/* Reads a golden program with all parameters frozen but `trainable` (NULL: none). */
static void read_frozen(const char *name, const char *trainable, struct program *program)
{
    golden_read(name, program);
    for (int64_t i = 0; i < program->value_count; i++)
        if (trainable == NULL || strcmp(program->values[i].name, trainable) != 0)
            program->values[i].flags &= (uint8_t)~VALUE_TRAINABLE;
}

static void with_all_parameters_frozen_there_is_nothing_to_train(void **state)
{
    struct program program;
    struct error error;

    (void)state;
    read_frozen("block", NULL, &program);
    assert_int_equal(pass_backward(&program, &error), STATUS_OK);
    assert_int_equal(program_section(&program, SECTION_BACKWARD)->op_count, 1); /* the loss */
    assert_int_equal(pass_optimizer(&program, &policy, &error), STATUS_USAGE);
    assert_string_equal(error.message, "no parameter is trainable, so there is nothing to train");
    program_finish(&program);
}

/* Each parameter alone: it and no other gets a gradient, and no op of the backward pass stands for an op below its
 * first use. */
static void a_frozen_parameter_gets_no_gradient_and_nothing_below_the_trainable_one_is_run(void **state)
{
    static const struct {
        const char *trainable;
        int backward_ops;
    } cases[] = {
        {"ln_f.bias", 2},              /* the loss; the norm's gradient gives it as dbias */
        {"h.1.mlp.c_proj.bias", 4},    /* loss, ln_f, dropout, bias_grad */
        {"h.1.mlp.c_proj.weight", 4},  /* loss, ln_f, dropout, weight_grad */
        {"h.1.mlp.c_fc.bias", 6},      /* and input_grad, gelu_grad */
        {"h.1.ln_2.weight", 7},        /* and the norm after fc's input_grad */
        {"h.1.attn.c_proj.weight", 9}, /* and dropout, weight_grad */
        {"h.1.attn.v_proj.bias", 11},  /* and input_grad, attention_grad, bias_grad without weight_grad before */
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct program program;
        struct error error;
        int gradients = 0;

        read_frozen("block", cases[i].trainable, &program);
        assert_int_equal(pass_backward(&program, &error), STATUS_OK);
        for (int64_t k = 0; k < program.value_count; k++)
            if (program.values[k].kind == VALUE_GRADIENT) {
                assert_string_equal(program.values[program.values[k].source].name, cases[i].trainable);
                gradients++;
            }
        assert_int_equal(gradients, 1);
        if (program_section(&program, SECTION_BACKWARD)->op_count != cases[i].backward_ops)
            fail_msg("%s: %d ops in the backward section, wanted %d", cases[i].trainable,
                     program_section(&program, SECTION_BACKWARD)->op_count, cases[i].backward_ops);
        program_finish(&program);
    }
}

static int backward_of(const char *text, struct error *error)
{
    struct program program;
    int status;

    program_init(&program);
    if (program_parse(&program, text, error) != STATUS_OK)
        fail_msg("%s", error->message);
    status = pass_backward(&program, error);
    program_finish(&program);
    return status;
}

static void an_op_without_a_rule_on_the_way_is_named(void **state)
{
    struct error error;

    (void)state;
    assert_int_equal(backward_of("llmrun-program 1\n"
                                 "%0 = parameter f32[2,2] \"w\" trainable\n"
                                 "%1 = activation f32[2,2] \"y\"\n"
                                 "section forward 0\n"
                                 "  gelu_grad(%0, %0 -> %1) F\n"
                                 "section backward 0\n",
                                 &error),
                     STATUS_BUG);
    assert_string_equal(error.message,
                        "gelu_grad lies between a trainable parameter and the loss and has no backward rule");
    /* The same op beside the way is no mistake. */
    assert_int_equal(backward_of("llmrun-program 1\n"
                                 "%0 = parameter f32[2,2] \"w\"\n"
                                 "%1 = activation f32[2,2] \"y\"\n"
                                 "section forward 0\n"
                                 "  gelu_grad(%0, %0 -> %1) F\n"
                                 "section backward 0\n",
                                 &error),
                     STATUS_OK);
}

static void a_program_that_does_not_end_with_a_forward_section_and_the_loss_is_refused(void **state)
{
    static const char *const sections[] = {
        "section evaluate 0\n",
        "section forward 0\n",
        "section backward 0\n",
        "section backward 0\nsection forward 0\n",
        "section forward 0\nsection evaluate 0\nsection backward 0\n",
        "section forward 0\nsection backward 0\nsection evaluate 0\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
        struct error error = {0};
        char text[128];

        snprintf(text, sizeof text, "llmrun-program 1\n%s", sections[i]);
        if (backward_of(text, &error) != STATUS_BUG)
            fail_msg("accepted: %s", sections[i]);
        assert_string_equal(error.message, "the program does not end with a forward section and its loss");
    }
}

/* B makes gradients of activations, W of parameters: a schedule may put them apart. */
static void every_op_is_roled_by_what_it_writes(void **state)
{
    struct program program;

    (void)state;
    golden_read("block_backward", &program);
    for (int32_t i = 0; i < program_section(&program, SECTION_BACKWARD)->op_count; i++) {
        const struct op *op = &program.ops[program_section(&program, SECTION_BACKWARD)->first_op + i];
        const struct op_info *info = op_info_find(op->op);
        bool activation = false;

        for (uint32_t k = 0; info->operands[k].name != NULL; k++) {
            int32_t value = program_operands(&program, op)[k];

            if (info->operands[k].direction != OPERAND_OUT || value == NO_VALUE)
                continue;
            activation |= program.values[value].kind == VALUE_ACTIVATION;
            /* Gradients of parameters are added to over the microbatches. */
            assert_int_equal(op->accumulate >> k & 1, program.values[value].kind == VALUE_GRADIENT ||
                                                          program.values[value].kind == VALUE_PARTIAL_ROWS);
        }
        assert_int_equal(op->role, activation ? ROLE_BACKWARD_INPUT : ROLE_BACKWARD_WEIGHT);
    }
    program_finish(&program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rules_are_those_of_the_op_table),
        cmocka_unit_test(with_all_parameters_frozen_there_is_nothing_to_train),
        cmocka_unit_test(a_frozen_parameter_gets_no_gradient_and_nothing_below_the_trainable_one_is_run),
        cmocka_unit_test(an_op_without_a_rule_on_the_way_is_named),
        cmocka_unit_test(a_program_that_does_not_end_with_a_forward_section_and_the_loss_is_refused),
        cmocka_unit_test(every_op_is_roled_by_what_it_writes),
    };

    return cmocka_run_group_tests_name("passes backward", tests, NULL, NULL);
}
