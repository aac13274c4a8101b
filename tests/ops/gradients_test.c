/* The backward rules and the gradient kernels of GRADIENT_BACKEND against finite differences of the loss.
 *
 * Each element of each trainable parameter is moved by one and two steps to both sides; the fourth-order difference
 * (8 (L(h) - L(-h)) - (L(2h) - L(-2h))) / 12h is compared with the gradient. The step is 1/64 and parameters are
 * multiples of 1/1024, so that moving them is exact. What is left is h^4 of the fifth derivative, and the rounding of
 * the values between the ops to fp32, divided by h. Losses are fp64; cpu-ref computes inside each op in fp64. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "cases.h"
#include "passes/backward.h"
#include "passes/combine.h"
#include "passes/reduction_order.h"
#include "program/op_table.h"
#include "runner.h"

#define STEP         (1.0f / 64)
#define MAX_ELEMENTS 64

static bool exact;       /* fp32 inside the ops too */
static double tolerance; /* of the largest element of the gradient */

struct check {
    struct runner runner;
    const char *name;
    int32_t losses;
    double scale;
};

/* Multiples of 1/1024 in [-1, 1), by name and element. */
static float start_value(const char *name, int64_t element)
{
    char text[128];

    snprintf(text, sizeof text, "%s %lld", name, (long long)element);
    return (float)((int)(hash_text(text) % 2048) - 1024) / 1024;
}

static void fill(struct check *check)
{
    const struct program *program = &check->runner.compiled.program;

    for (int64_t i = 0; i < program->value_count; i++) {
        const struct value *value = &program->values[i];
        float data[MAX_ELEMENTS] = {0};

        if (value->flags & VALUE_VIEW)
            continue;
        assert_true(value_elements(value) <= MAX_ELEMENTS);
        for (int64_t k = 0; k < value_elements(value); k++)
            data[k] = start_value(value->name, k);
        if (value->kind == VALUE_INPUT)
            gradient_case_input(value->name, data);
        if (value->kind == VALUE_INPUT || value->kind == VALUE_PARAMETER)
            runner_write(&check->runner, (int32_t)i, data);
    }
}

/* The backward section begins with the loss. */
static double loss(struct check *check)
{
    double losses[CASE_SEQUENCES];

    runner_launch(&check->runner, SECTION_FORWARD);
    runner_launch(&check->runner, SECTION_BACKWARD);
    runner_read(&check->runner, check->losses, losses);
    return (losses[0] + losses[1]) * check->scale;
}

static double difference(struct check *check, int32_t parameter, float *data, int64_t element)
{
    const float middle = data[element];
    double at[5];

    for (int i = -2; i <= 2; i++) {
        data[element] = middle + (float)i * STEP;
        runner_write(&check->runner, parameter, data);
        at[i + 2] = i == 0 ? 0 : loss(check);
    }
    data[element] = middle;
    runner_write(&check->runner, parameter, data);
    return (8 * (at[3] - at[1]) - (at[4] - at[0])) / (12 * (double)STEP);
}

static void check_parameter(struct check *check, int32_t gradient)
{
    const struct program *program = &check->runner.compiled.program;
    const int32_t parameter = program->values[gradient].source;
    const int64_t elements = value_elements(&program->values[parameter]);
    float found[MAX_ELEMENTS], data[MAX_ELEMENTS];
    double wanted[MAX_ELEMENTS], largest = 0;

    runner_zero(&check->runner);
    runner_launch(&check->runner, SECTION_FORWARD);
    runner_launch(&check->runner, SECTION_BACKWARD);
    runner_launch(&check->runner, SECTION_COMBINE_INPUT);
    runner_launch(&check->runner, SECTION_REDUCE);
    runner_read(&check->runner, gradient, found);
    runner_read(&check->runner, parameter, data);
    for (int64_t i = 0; i < elements; i++) {
        wanted[i] = difference(check, parameter, data, i);
        largest = fabs(wanted[i]) > largest ? fabs(wanted[i]) : largest;
    }
    if (largest < 1e-3)
        fail_msg("%s: the loss does not depend on %s", check->name, program->values[parameter].name);
    for (int64_t i = 0; i < elements; i++)
        if (!(fabs((double)found[i] - wanted[i]) <= tolerance * largest))
            fail_msg("%s: element %lld of the gradient of %s is %.9g, the difference of the loss says %.9g",
                     check->name, (long long)i, program->values[parameter].name, (double)found[i], wanted[i]);
}

/* A second microbatch adds its gradients to those of the first. */
static void check_accumulation(struct check *check, int32_t gradient)
{
    const int64_t elements = value_elements(&check->runner.compiled.program.values[gradient]);
    float once[MAX_ELEMENTS], twice[MAX_ELEMENTS];

    for (int i = 0; i < 2; i++) {
        runner_zero(&check->runner);
        for (int microbatch = 0; microbatch <= i; microbatch++) {
            runner_launch(&check->runner, SECTION_FORWARD);
            runner_launch(&check->runner, SECTION_BACKWARD);
        }
        runner_launch(&check->runner, SECTION_COMBINE_INPUT);
        runner_launch(&check->runner, SECTION_REDUCE);
        runner_read(&check->runner, gradient, i == 0 ? once : twice);
    }
    for (int64_t i = 0; i < elements; i++)
        assert_true(fabsf(twice[i] - 2 * once[i]) <= 1e-5f * fabsf(once[i]) + 1e-6f);
}

static void check_gradients(const struct gradient_case *from, const struct reduction_form *form)
{
    struct device *device = runner_device(GRADIENT_BACKEND);
    struct program program;
    struct check check = {.name = from->name};
    struct error error;
    float scale[1];
    int parameters = 0;

    program_init(&program);
    gradient_case_build(from, &program);
    if (pass_backward(&program, &error) != STATUS_OK || pass_reduction_order(&program, form, &error) != STATUS_OK ||
        pass_combine(&program, form, &error) != STATUS_OK)
        fail_msg("%s: %s", from->name, error.message);
    if (!runner_open(&check.runner, device, &program, exact))
        fail_msg("%s: %s", from->name, check.runner.error.message);
    check.losses = program_find(&check.runner.compiled.program, "losses");
    gradient_case_input("scale", scale);
    check.scale = (double)scale[0];
    fill(&check);
    for (int64_t i = 0; i < check.runner.compiled.program.value_count; i++)
        if (check.runner.compiled.program.values[i].kind == VALUE_GRADIENT) {
            check_parameter(&check, (int32_t)i);
            if (form->accumulate)
                check_accumulation(&check, (int32_t)i);
            parameters++;
        }
    assert_true(parameters > 0);
    runner_close(&check.runner);
    device_close(device);
}

static void gradients_are_those_of_finite_differences(void **state)
{
    struct reduction_form form;
    struct error error;

    const struct reduction_request request = {
        .one_backward = true, .sequence = CASE_SEQUENCE, .global_batch = CASE_SEQUENCES, .micro_batch = CASE_SEQUENCES};

    assert_int_equal(reduction_form_make(&request, &form, &error), STATUS_OK);
    check_gradients(*state, &form);
}

/* Each sequence is a batch part, each position a position part: sums have as many parts as they can. */
static void gradients_whose_sums_are_cut_are_the_same(void **state)
{
    struct reduction_form form;
    struct error error;

    const struct reduction_request request = {.exact = true,
                                              .one_backward = true,
                                              .sequence = CASE_SEQUENCE,
                                              .global_batch = CASE_SEQUENCES,
                                              .micro_batch = CASE_SEQUENCES,
                                              .batch_parts = CASE_SEQUENCES};

    assert_int_equal(reduction_form_make(&request, &form, &error), STATUS_OK);
    check_gradients(*state, &form);
}

static void every_trainable_parameter_of_a_case_gets_a_gradient(void **state)
{
    const struct gradient_case *from = *state;
    int trainable = 0, gradients = 0;
    struct program program;
    struct error error;

    program_init(&program);
    gradient_case_build(from, &program);
    assert_int_equal(pass_backward(&program, &error), STATUS_OK);
    for (int64_t i = 0; i < program.value_count; i++) {
        trainable += program.values[i].kind == VALUE_PARAMETER && (program.values[i].flags & VALUE_TRAINABLE) != 0;
        gradients += program.values[i].kind == VALUE_GRADIENT;
    }
    assert_int_equal(gradients, trainable - from->without_influence);
    program_finish(&program);
}

static void every_op_with_a_backward_rule_has_a_case_that_uses_it(void **state)
{
    (void)state;
    for (uint16_t id = 0; id < LLMRUN_OPS; id++) {
        const struct op_info *info = op_info_find(id);
        bool used = false;

        if (info == NULL || strcmp(info->backward, "none") == 0)
            continue;
        for (int c = 0; !used && c < gradient_case_count; c++) {
            struct program program;

            if (gradient_cases[c].op != id)
                continue;
            program_init(&program);
            gradient_case_build(&gradient_cases[c], &program);
            for (int64_t i = 0; i < program.op_count; i++)
                used |= program.ops[i].op == id;
            program_finish(&program);
        }
        if (!used)
            fail_msg("%s has a backward rule and no case in tests/ops/cases.c", info->name);
    }
}

int main(void)
{
    struct CMUnitTest tests[128] = {cmocka_unit_test(every_op_with_a_backward_rule_has_a_case_that_uses_it)};
    int count = 1;

    exact = strcmp(GRADIENT_BACKEND, "cpu-ref") != 0;
    tolerance = exact ? 1e-3 : 5e-5;
    for (int i = 0; i < gradient_case_count; i++) {
        void *from = (void *)(uintptr_t)&gradient_cases[i];

        tests[count++] =
            (struct CMUnitTest){gradient_cases[i].name, gradients_are_those_of_finite_differences, NULL, NULL, from};
        tests[count++] =
            (struct CMUnitTest){gradient_cases[i].name, gradients_whose_sums_are_cut_are_the_same, NULL, NULL, from};
        tests[count++] = (struct CMUnitTest){gradient_cases[i].name,
                                             every_trainable_parameter_of_a_case_gets_a_gradient, NULL, NULL, from};
    }
    return _cmocka_run_group_tests("ops gradients", tests, (size_t)count, NULL, NULL);
}
