/* The reference in fp64, and in the defined order, against PyTorch (tests/golden/make_attention.py), and against finite
 * differences of itself. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "attention_case.h"

/* ---- PyTorch
 * --------------------------------------------------------------------------------------------------------- */

static int64_t integer(json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static float number(json_t *object, const char *name)
{
    return (float)json_number_value(json_object_get(object, name));
}

/* Adds an operand of the case and, for an input, its numbers. */
static void fill(struct op_case *op, int index, uint32_t dtype, const int64_t *extents, json_t *object,
                 const char *name)
{
    void *data = op_case_operand(op, index, dtype, extents, NUMBERS_USUAL);
    json_t *numbers = json_object_get(object, name);

    assert_int_equal(json_array_size(numbers), op_case_elements(op, index));
    for (size_t i = 0; i < json_array_size(numbers); i++) {
        json_t *value = json_array_get(numbers, i);

        if (dtype == LLMRUN_F32)
            ((float *)data)[i] = (float)json_number_value(value);
        else if (dtype == LLMRUN_F64)
            ((double *)data)[i] = json_number_value(value);
        else
            ((uint32_t *)data)[i] = (uint32_t)json_integer_value(value);
    }
}

static void assert_near(const struct op_case *op, int index, json_t *object, const char *name, double tolerance)
{
    json_t *numbers = json_object_get(object, name);

    for (size_t i = 0; i < json_array_size(numbers); i++) {
        double expected = json_number_value(json_array_get(numbers, i));
        double found = op_case_value(op, index, (int64_t)i);

        if (!(fabs(found - expected) <= tolerance * (1 + fabs(expected))))
            fail_msg("case %lld: %s[%zu] is %.9g and not %.9g", (long long)integer(object, "seed"), name, i, found,
                     expected);
    }
}

static void check_attention(json_t *object, int exact, double tolerance)
{
    int64_t tokens = integer(object, "sequences") * integer(object, "sequence"), width = integer(object, "width");
    int64_t heads = integer(object, "heads"), kv_heads = integer(object, "kv_heads");
    const int64_t *queries = EXTENTS(tokens, heads * width), *keys = EXTENTS(tokens, kv_heads * width);
    struct llmrun_attention_attributes attributes = {.seq_len = integer(object, "sequence"),
                                                     .keys = integer(object, "sequence"),
                                                     .heads = (uint32_t)heads,
                                                     .kv_heads = (uint32_t)kv_heads,
                                                     .scale = number(object, "scale"),
                                                     .dropout = number(object, "dropout")};
    struct llmrun_attention_grad_attributes grad_attributes;
    struct op_case op, grad;

    memcpy(&grad_attributes, &attributes, sizeof(grad_attributes));
    op_case_begin(&op, LLMRUN_OP_ATTENTION, &attributes, 1);
    op_case_begin(&grad, LLMRUN_OP_ATTENTION_GRAD, &grad_attributes, 1);
    for (int i = 0; i < 2; i++) {
        struct op_case *to = i == 0 ? &op : &grad;

        fill(to, LLMRUN_ATTENTION_Q, LLMRUN_F32, queries, object, "q");
        fill(to, LLMRUN_ATTENTION_K, LLMRUN_F32, keys, object, "k");
        fill(to, LLMRUN_ATTENTION_V, LLMRUN_F32, keys, object, "v");
        fill(to, LLMRUN_ATTENTION_SEGMENT_STARTS, LLMRUN_I32, EXTENTS(tokens), object, "segment_starts");
        if (attributes.dropout > 0.0f)
            fill(to, LLMRUN_ATTENTION_RNG_STATE, LLMRUN_U32, EXTENTS(5), object, "random");
        fill(to, LLMRUN_ATTENTION_O, LLMRUN_F32, queries, object, "o");
        fill(to, LLMRUN_ATTENTION_LSE, LLMRUN_F32, EXTENTS(tokens, heads), object, "lse");
    }
    fill(&grad, LLMRUN_ATTENTION_GRAD_DO, LLMRUN_F32, queries, object, "do");
    op_case_operand(&grad, LLMRUN_ATTENTION_GRAD_DQ, LLMRUN_F32, queries, NUMBERS_USUAL);
    op_case_operand(&grad, LLMRUN_ATTENTION_GRAD_DK, LLMRUN_F32, keys, NUMBERS_USUAL);
    op_case_operand(&grad, LLMRUN_ATTENTION_GRAD_DV, LLMRUN_F32, keys, NUMBERS_USUAL);
    memset(op.data[LLMRUN_ATTENTION_O], 0, (size_t)(tokens * heads * width) * sizeof(float));
    memset(op.data[LLMRUN_ATTENTION_LSE], 0, (size_t)(tokens * heads) * sizeof(float));
    assert_true(op_case_run(&op, case_reference(LLMRUN_OP_ATTENTION, exact), 1));
    assert_true(op_case_run(&grad, case_reference(LLMRUN_OP_ATTENTION_GRAD, exact), 1));
    assert_near(&op, LLMRUN_ATTENTION_O, object, "o", tolerance);
    assert_near(&op, LLMRUN_ATTENTION_LSE, object, "lse", tolerance);
    assert_near(&grad, LLMRUN_ATTENTION_GRAD_DQ, object, "dq", tolerance);
    assert_near(&grad, LLMRUN_ATTENTION_GRAD_DK, object, "dk", tolerance);
    assert_near(&grad, LLMRUN_ATTENTION_GRAD_DV, object, "dv", tolerance);
    op_case_end(&op);
    op_case_end(&grad);
}

static void check_loss_in_parts(json_t *object, uint32_t parts, int exact, double tolerance)
{
    int64_t tokens = integer(object, "sequences") * integer(object, "sequence"), width = integer(object, "width");
    const int64_t *inputs = EXTENTS(tokens, width), *rows = EXTENTS(integer(object, "rows"), width);
    struct llmrun_linear_cross_entropy_attributes attributes = {
        integer(object, "sequence"), integer(object, "vocabulary"), 1, parts, 1, 0};
    struct op_case op;

    op_case_begin(&op, LLMRUN_OP_LINEAR_CROSS_ENTROPY, &attributes, 1);
    fill(&op, LLMRUN_LINEAR_CROSS_ENTROPY_X, LLMRUN_F32, inputs, object, "x");
    fill(&op, LLMRUN_LINEAR_CROSS_ENTROPY_W, LLMRUN_F32, rows, object, "w");
    fill(&op, LLMRUN_LINEAR_CROSS_ENTROPY_TARGETS, LLMRUN_I32, EXTENTS(tokens), object, "targets");
    fill(&op, LLMRUN_LINEAR_CROSS_ENTROPY_LOSS_WEIGHTS, LLMRUN_F32, EXTENTS(tokens), object, "weights");
    *(float *)op_case_operand(&op, LLMRUN_LINEAR_CROSS_ENTROPY_SCALE, LLMRUN_F32, EXTENTS(1), NUMBERS_USUAL) =
        number(object, "scale");
    op_case_operand(&op, LLMRUN_LINEAR_CROSS_ENTROPY_LOSSES, LLMRUN_F64, EXTENTS(integer(object, "sequences")),
                    NUMBERS_USUAL);
    op_case_operand(&op, LLMRUN_LINEAR_CROSS_ENTROPY_DX, LLMRUN_F32, inputs, NUMBERS_USUAL);
    op_case_operand(&op, LLMRUN_LINEAR_CROSS_ENTROPY_DW, LLMRUN_F32, rows, NUMBERS_USUAL);
    assert_true(op_case_run(&op, case_reference(LLMRUN_OP_LINEAR_CROSS_ENTROPY, exact), 1));
    assert_near(&op, LLMRUN_LINEAR_CROSS_ENTROPY_LOSSES, object, "losses", tolerance);
    assert_near(&op, LLMRUN_LINEAR_CROSS_ENTROPY_DX, object, "dx", tolerance);
    assert_near(&op, LLMRUN_LINEAR_CROSS_ENTROPY_DW, object, "dw", tolerance);
    op_case_end(&op);
}

/* Whatever the number of parts of the vocabulary, it is the same loss. */
static void check_loss(json_t *object, int exact, double tolerance)
{
    const uint32_t rows = (uint32_t)integer(object, "rows");

    for (uint32_t parts = 1; rows % parts == 0; parts *= 2)
        check_loss_in_parts(object, parts, exact, tolerance);
}

static void check_golden(const char *name, void (*check)(json_t *object, int exact, double tolerance))
{
    json_error_t error;
    json_t *root = json_load_file(LLMRUN_SOURCE_DIR "/tests/golden/attention.json", 0, &error), *object;
    size_t i;

    if (root == NULL)
        fail_msg("attention.json, line %d: %s", error.line, error.text);
    assert_int_not_equal(json_array_size(json_object_get(root, name)), 0);
    json_array_foreach(json_object_get(root, name), i, object)
    {
        check(object, 0, 2e-7);
        check(object, 1, 2e-6);
    }
    json_decref(root);
}

static void attention_and_its_gradient_are_those_of_pytorch(void **state)
{
    (void)state;
    check_golden("attention", check_attention);
}

static void the_loss_and_its_gradient_are_those_of_pytorch(void **state)
{
    (void)state;
    check_golden("loss", check_loss);
}

/* ---- finite differences
 * ---------------------------------------------------------------------------------------------- */

/* Sum of o do by the reference in fp64. */
static double weighted_output(struct attention_case *attention)
{
    double sum = 0;

    assert_true(op_case_run(&attention->forward, case_reference(LLMRUN_OP_ATTENTION, 0), 1));
    for (int64_t i = 0; i < op_case_elements(&attention->forward, LLMRUN_ATTENTION_O); i++)
        sum += op_case_value(&attention->forward, LLMRUN_ATTENTION_O, i) *
               op_case_value(&attention->grad, LLMRUN_ATTENTION_GRAD_DO, i);
    return sum;
}

static void gradients_of_attention_are_its_finite_differences(void **state)
{
    static const struct attention_shape shape = {2, 6, 4, 2, 3, 2, 0.25f};
    static const int inputs[] = {LLMRUN_ATTENTION_Q, LLMRUN_ATTENTION_K, LLMRUN_ATTENTION_V};
    static const int gradients[] = {LLMRUN_ATTENTION_GRAD_DQ, LLMRUN_ATTENTION_GRAD_DK, LLMRUN_ATTENTION_GRAD_DV};
    const float step = 0x1p-7f;
    struct attention_case attention;

    (void)state;
    attention_case_begin(&attention, &shape, LLMRUN_F32, 9, 0);
    assert_true(op_case_run(&attention.grad, case_reference(LLMRUN_OP_ATTENTION_GRAD, 0), 1));
    for (int n = 0; n < 3; n++)
        for (int64_t i = 0; i < op_case_elements(&attention.forward, inputs[n]); i++) {
            float *input = (float *)attention.forward.data[inputs[n]] + i, value = *input;
            double up, down, found = op_case_value(&attention.grad, gradients[n], i), width;

            *input = value + step;
            up = weighted_output(&attention);
            width = (double)*input;
            *input = value - step;
            down = weighted_output(&attention);
            width -= (double)*input;
            *input = value;
            if (!(fabs((up - down) / width - found) < 2e-3))
                fail_msg("operand %d, element %lld: gradient %g, differences %g", inputs[n], (long long)i, found,
                         (up - down) / width);
        }
    attention_case_end(&attention);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_and_its_gradient_are_those_of_pytorch),
        cmocka_unit_test(the_loss_and_its_gradient_are_those_of_pytorch),
        cmocka_unit_test(gradients_of_attention_are_its_finite_differences),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
