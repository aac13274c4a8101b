#include "program/axes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void an_annotation_is_split_into_its_axes_and_marks(void **state)
{
    struct axis axes[LLMRUN_MAX_RANK];

    (void)state;
    assert_int_equal(axes_parse("(b s) k+", axes), 2);
    assert_string_equal(axes[0].name, "b s");
    assert_false(axes[0].summed || axes[0].whole);
    assert_string_equal(axes[1].name, "k");
    assert_true(axes[1].summed);
    assert_false(axes[1].whole);

    assert_int_equal(axes_parse("(b s^) (h d^)", axes), 2);
    assert_string_equal(axes[0].name, "b s");
    assert_true(axes[0].whole);
    assert_string_equal(axes[1].name, "h d");

    assert_int_equal(axes_parse("(b+ s+)", axes), 1);
    assert_string_equal(axes[0].name, "b s");
    assert_true(axes[0].summed);

    assert_int_equal(axes_parse("n ...", axes), 2);
    assert_string_equal(axes[1].name, "...");
    assert_int_equal(axes_parse("4", axes), 1);
    assert_string_equal(axes[0].name, "4");
    assert_int_equal(axes_parse("", axes), 0);
}

/* Values by id, of f32 and the given shape. */
static int32_t add(struct program *program, uint32_t rank, int64_t a, int64_t b)
{
    return program_add_value(program, "v", VALUE_ACTIVATION, LLMRUN_F32, rank, (const int64_t[]){a, b});
}

static int bind(uint16_t op, const int32_t *operands, const void *attributes, const struct program *program,
                struct axes_binding *binding, struct error *error)
{
    return axes_bind(program, op_info_find(op), operands, attributes, binding, error);
}

static void outputs_get_their_shape_from_inputs_and_attributes(void **state)
{
    const struct llmrun_attention_attributes attention = {.sequence = 4, .heads = 3, .kv_heads = 1};
    const struct llmrun_linear_cross_entropy_attributes loss = {4, 10, 1, 1};
    struct axes_binding binding;
    struct program program;
    struct error error;
    int64_t shape[LLMRUN_MAX_RANK];
    uint32_t rank;

    (void)state;
    program_init(&program);
    {
        int32_t q = add(&program, 2, 8, 6), kv = add(&program, 2, 8, 2), starts = add(&program, 1, 8, 0);
        const int32_t operands[] = {q, kv, kv, starts, NO_VALUE, NO_VALUE, NO_VALUE};

        assert_int_equal(bind(LLMRUN_OP_ATTENTION, operands, &attention, &program, &binding, &error), STATUS_OK);
        assert_true(axes_shape(&binding, "(b s^) (h d^)", &rank, shape));
        assert_int_equal(rank, 2);
        assert_int_equal(shape[0], 8);
        assert_int_equal(shape[1], 6);
        assert_true(axes_shape(&binding, "(b s^) h", &rank, shape));
        assert_int_equal(shape[1], 3);
        assert_true(axes_shape(&binding, "g 4", &rank, shape));
        assert_int_equal(shape[0], 1);
        assert_int_equal(shape[1], 4);
        assert_false(axes_shape(&binding, "(b s) v", &rank, shape)); /* no operand says v */
    }
    {
        int32_t x = add(&program, 2, 8, 6), w = add(&program, 2, 16, 6), rows = add(&program, 1, 8, 0);
        const int32_t operands[] = {x, w, rows, rows, NO_VALUE, NO_VALUE, NO_VALUE, NO_VALUE};

        assert_int_equal(bind(LLMRUN_OP_LINEAR_CROSS_ENTROPY, operands, &loss, &program, &binding, &error), STATUS_OK);
        assert_true(axes_shape(&binding, "b", &rank, shape)); /* rows / sequence */
        assert_int_equal(shape[0], 2);
    }
    program_free(&program);
}

static void extents_that_disagree_are_named(void **state)
{
    const struct llmrun_matmul_attributes attributes = {0, 1};
    struct axes_binding binding;
    struct program program;
    struct error error;

    (void)state;
    program_init(&program);
    {
        int32_t x = add(&program, 2, 8, 6), w = add(&program, 2, 5, 7);
        const int32_t operands[] = {x, w, NO_VALUE, NO_VALUE, NO_VALUE};

        assert_int_equal(bind(LLMRUN_OP_MATMUL, operands, &attributes, &program, &binding, &error), STATUS_BUG);
        assert_string_equal(error.message, "matmul: operand w (value v.2) has extent 7 on axis 'k', wanted 6");
    }
    {
        int32_t x = add(&program, 1, 8, 0);
        const int32_t operands[] = {x, x, NO_VALUE, NO_VALUE, NO_VALUE};

        assert_int_equal(bind(LLMRUN_OP_MATMUL, operands, &attributes, &program, &binding, &error), STATUS_BUG);
        assert_string_equal(error.message, "matmul: operand x (value v.3) has rank 1, the op table says '(b s) k+'");
    }
    program_free(&program);
}

static void open_annotations_ask_for_one_shape_of_any_rank(void **state)
{
    struct axes_binding binding;
    struct program program;
    struct error error;

    (void)state;
    program_init(&program);
    {
        int32_t a = add(&program, 2, 3, 4), b = add(&program, 2, 3, 4), c = add(&program, 2, 3, 5),
                none = add(&program, 0, 0, 0);

        assert_int_equal(bind(LLMRUN_OP_CAST, (const int32_t[]){a, b}, NULL, &program, &binding, &error), STATUS_OK);
        assert_int_equal(bind(LLMRUN_OP_CAST, (const int32_t[]){a, c}, NULL, &program, &binding, &error), STATUS_BUG);
        assert_string_equal(error.message, "cast: operand y (value v.3) has extent 5 on axis '#1', wanted 4");
        assert_int_equal(bind(LLMRUN_OP_CAST, (const int32_t[]){none, none}, NULL, &program, &binding, &error),
                         STATUS_BUG);
        assert_string_equal(error.message, "cast: operand x (value v.4) has rank 0, the op table says 'n ...'");
    }
    program_free(&program);
}

static void ranks_of_an_open_annotation_must_be_equal(void **state)
{
    struct axes_binding binding;
    struct program program;
    struct error error;

    (void)state;
    program_init(&program);
    {
        int32_t a = add(&program, 1, 3, 0), b = add(&program, 2, 3, 4);

        assert_int_equal(bind(LLMRUN_OP_CAST, (const int32_t[]){a, b}, NULL, &program, &binding, &error), STATUS_BUG);
        assert_string_equal(error.message, "cast: operand y (value v.2) has rank 2, wanted 1");
        assert_int_equal(bind(LLMRUN_OP_CAST, (const int32_t[]){b, a}, NULL, &program, &binding, &error), STATUS_BUG);
    }
    program_free(&program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_annotation_is_split_into_its_axes_and_marks),
        cmocka_unit_test(outputs_get_their_shape_from_inputs_and_attributes),
        cmocka_unit_test(extents_that_disagree_are_named),
        cmocka_unit_test(open_annotations_ask_for_one_shape_of_any_rank),
        cmocka_unit_test(ranks_of_an_open_annotation_must_be_equal),
    };

    return cmocka_run_group_tests_name("program axes", tests, NULL, NULL);
}
