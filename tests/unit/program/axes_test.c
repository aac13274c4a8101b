#include "program/axes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void assert_factor(const struct factor *factor, char letter, char tied, bool whole, bool parts)
{
    assert_int_equal(factor->letter, letter);
    assert_int_equal(factor->tied, tied);
    assert_int_equal(factor->whole, whole);
    assert_int_equal(factor->parts, parts);
}

static void each_factor_keeps_its_letter_and_marks(void **state)
{
    struct annotation a;

    (void)state;
    axes_parse("(b s^) (g r^ d^)", &a);
    assert_int_equal(a.count, 2);
    assert_string_equal(a.axes[0].name, "b s");
    assert_int_equal(a.axes[0].factor_count, 2);
    assert_factor(&a.axes[0].factors[0], 'b', 'b', false, false);
    assert_factor(&a.axes[0].factors[1], 's', 's', true, false);
    assert_string_equal(a.axes[1].name, "g r d");
    assert_int_equal(a.axes[1].factor_count, 3);
    assert_factor(&a.axes[1].factors[0], 'g', 'g', false, false);
    assert_factor(&a.axes[1].factors[1], 'r', 'r', true, false);
    assert_factor(&a.axes[1].factors[2], 'd', 'd', true, false);
    assert_int_equal(a.removal_count, 0);

    axes_parse("(b^ s) k", &a); /* the other one of the two is whole */
    assert_true(a.axes[0].factors[0].whole);
    assert_false(a.axes[0].factors[1].whole || a.axes[1].factors[0].whole);

    axes_parse("p~n k", &a);
    assert_string_equal(a.axes[0].name, "p");
    assert_factor(&a.axes[0].factors[0], 'p', 'n', false, false);

    axes_parse("(s/ b/) c^", &a);
    assert_string_equal(a.axes[0].name, "s/ b/");
    assert_factor(&a.axes[0].factors[0], 's', 's', false, true);
    assert_factor(&a.axes[0].factors[1], 'b', 'b', false, true);
    assert_factor(&a.axes[1].factors[0], 'c', 'c', true, false);

    axes_parse("p? n | + u", &a);
    assert_int_equal(a.count, 2);
    assert_string_equal(a.axes[0].name, "p");
    assert_true(a.axes[0].optional);
    assert_false(a.axes[1].optional);
}

static void open_and_fixed_extents_are_no_letters(void **state)
{
    struct annotation a;

    (void)state;
    axes_parse("n ...", &a);
    assert_int_equal(a.count, 2);
    assert_string_equal(a.axes[1].name, "...");
    assert_true(axes_are_open(&a));
    axes_parse("16 c", &a);
    assert_int_equal(a.count, 2);
    assert_string_equal(a.axes[0].name, "16");
    assert_false(axes_are_open(&a));
    axes_parse("", &a);
    assert_int_equal(a.count, 0);
    assert_false(axes_are_open(&a));
}

static void an_output_says_how_it_loses_letters(void **state)
{
    struct annotation a;

    (void)state;
    axes_parse("v c | + b select s max w", &a);
    assert_int_equal(a.count, 2);
    assert_string_equal(a.axes[1].name, "c");
    assert_int_equal(a.removal_count, 3);
    assert_int_equal(a.removals[0].letter, 'b');
    assert_int_equal(a.removals[0].reduction, REDUCTION_SUM);
    assert_int_equal(a.removals[1].letter, 's');
    assert_int_equal(a.removals[1].reduction, REDUCTION_SELECT);
    assert_int_equal(a.removals[2].letter, 'w');
    assert_int_equal(a.removals[2].reduction, REDUCTION_MAX);
    axes_parse("b | same v max s", &a);
    assert_int_equal(a.removal_count, 2);
    assert_int_equal(a.removals[0].letter, 'v');
    assert_true(a.removals[0].same && !a.removals[1].same);
    assert_int_equal(a.removals[0].reduction, REDUCTION_NONE);
    axes_parse("t | slot .", &a);
    assert_int_equal(a.removals[0].letter, '.');
    assert_int_equal(a.removals[0].reduction, REDUCTION_SLOT);
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
    const struct llmrun_attention_attributes attention = {.seq_len = 4, .keys = 4, .heads = 3, .kv_heads = 1};
    const struct llmrun_linear_cross_entropy_attributes loss = {4, 10, 1, 1, 1, 0};
    struct axes_binding binding;
    struct program program;
    struct error error;
    int64_t shape[LLMRUN_MAX_RANK];
    uint32_t rank;

    (void)state;
    program_init(&program);
    {
        int32_t q = add(&program, 2, 8, 6), kv = add(&program, 2, 8, 2), starts = add(&program, 1, 8, 0);
        const int32_t operands[] = {q, kv, kv, starts, NO_VALUE, NO_VALUE, NO_VALUE, NO_VALUE};

        assert_int_equal(bind(LLMRUN_OP_ATTENTION, operands, &attention, &program, &binding, &error), STATUS_OK);
        assert_true(axes_shape(&binding, "(b s) (g r^ d^)", &rank, shape));
        assert_int_equal(rank, 2);
        assert_int_equal(shape[0], 8);
        assert_int_equal(shape[1], 6);
        assert_true(axes_shape(&binding, "(b s) (g r^)", &rank, shape));
        assert_int_equal(shape[1], 3);
        assert_true(axes_shape(&binding, "g 4", &rank, shape));
        assert_int_equal(shape[0], 1);
        assert_int_equal(shape[1], 4);
        assert_false(axes_shape(&binding, "(b s) v", &rank, shape)); /* no operand says v */
        assert_true(axes_shape(&binding, "b j", &rank, shape));
        assert_int_equal(shape[0], 2);
    }
    { /* two sequences of queries, and three of keys */
        int32_t q = add(&program, 2, 8, 6), kv = add(&program, 2, 12, 2);
        const int32_t operands[] = {q, kv, kv, NO_VALUE, NO_VALUE, NO_VALUE, NO_VALUE, NO_VALUE};

        assert_int_equal(bind(LLMRUN_OP_ATTENTION, operands, &attention, &program, &binding, &error), STATUS_BUG);
        assert_string_equal(error.message, "attention: an extent is not the product of its factors");
    }
    {
        int32_t x = add(&program, 2, 8, 6), w = add(&program, 2, 16, 6), rows = add(&program, 1, 8, 0);
        const int32_t operands[] = {x, w, rows, rows, NO_VALUE, NO_VALUE, NO_VALUE, NO_VALUE};

        assert_int_equal(bind(LLMRUN_OP_LINEAR_CROSS_ENTROPY, operands, &loss, &program, &binding, &error), STATUS_OK);
        assert_true(axes_shape(&binding, "b", &rank, shape)); /* rows / sequence */
        assert_int_equal(shape[0], 2);
    }
    {
        const struct llmrun_loss_statistics_attributes statistics = {4, 0, 10, 10, 2, 0};
        const int32_t operands[] = {add(&program, 2, 8, 10), add(&program, 1, 8, 0), NO_VALUE};

        assert_int_equal(bind(LLMRUN_OP_LOSS_STATISTICS, operands, &statistics, &program, &binding, &error), STATUS_OK);
        assert_true(axes_shape(&binding, "v/ 3 (b s)", &rank, shape));
        assert_int_equal(rank, 3);
        assert_memory_equal(shape, ((const int64_t[]){2, 3, 8}), 3 * sizeof *shape);
    }
    program_finish(&program);
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
        assert_string_equal(error.message, "matmul: operand x (value v.3) has rank 1, the op table says '(b s) k'");
    }
    program_finish(&program);
}

static void rows_of_groups_are_a_multiple_of_the_groups(void **state)
{
    struct axes_binding binding;
    struct program program;
    struct error error;
    int64_t shape[LLMRUN_MAX_RANK];
    uint32_t rank;

    (void)state;
    program_init(&program);
    {
        int32_t x = add(&program, 2, 12, 3), y = add(&program, 2, 4, 3), vector = add(&program, 1, 3, 0),
                odd = add(&program, 2, 5, 3);

        assert_int_equal(bind(LLMRUN_OP_REDUCE_ROWS, (const int32_t[]){x, y}, NULL, &program, &binding, &error),
                         STATUS_OK);
        assert_true(axes_shape(&binding, "u/ p", &rank, shape));
        assert_int_equal(shape[0], 3);
        assert_int_equal(shape[1], 4);
        /* Without the dimension in front all rows are one group. */
        assert_int_equal(bind(LLMRUN_OP_REDUCE_ROWS, (const int32_t[]){x, vector}, NULL, &program, &binding, &error),
                         STATUS_OK);
        assert_true(axes_shape(&binding, "u/", &rank, shape));
        assert_int_equal(shape[0], 12);
        assert_int_equal(bind(LLMRUN_OP_REDUCE_ROWS, (const int32_t[]){x, odd}, NULL, &program, &binding, &error),
                         STATUS_BUG);
        assert_string_equal(error.message, "reduce_rows: an extent is not the product of its factors");
    }
    program_finish(&program);
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
    program_finish(&program);
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
    program_finish(&program);
}

static void a_letter_is_found_by_its_place_and_a_place_by_its_letter(void **state)
{
    int dimension = -1, factor = -1;
    struct annotation a;

    (void)state;
    axes_parse("(b s) (g r^ d^)", &a);
    assert_int_equal(axes_letter(&a, 0, 1), 's');
    assert_int_equal(axes_letter(&a, 1, 0), 'g');
    assert_int_equal(axes_letter(&a, 0, 2), 0); /* one factor too many */
    assert_true(axes_find_letter(&a, 'r', &dimension, &factor));
    assert_int_equal(dimension, 1);
    assert_int_equal(factor, 1);
    assert_false(axes_has_letter(&a, 'k'));
    assert_true(axes_is_whole(&a, 'd'));
    assert_false(axes_is_whole(&a, 'g'));
    axes_parse("p~n 3", &a); /* by the letter that it splits together with; a fixed extent is none */
    assert_int_equal(axes_letter(&a, 0, 0), 'n');
    assert_false(axes_has_letter(&a, 'p'));
    assert_int_equal(axes_letter(&a, 1, 0), 0);
    axes_parse("n ...", &a); /* by its place alone */
    assert_int_equal(axes_letter(&a, 2, 0), AXES_OPEN_LETTER + 2 * AXIS_MAX_FACTORS);
    assert_true(axes_find_letter(&a, AXES_OPEN_LETTER + AXIS_MAX_FACTORS + 1, &dimension, &factor));
    assert_int_equal(dimension, 1);
    assert_int_equal(factor, 1);
    assert_false(axes_has_letter(&a, 'n'));
    axes_parse("(b s) n | + k", &a);
    assert_int_equal(axes_removal(&a, 'k').reduction, REDUCTION_SUM);
    assert_int_equal(axes_removal(&a, 'n').reduction, REDUCTION_NONE);
    axes_parse("t | slot .", &a);
    assert_int_equal(axes_removal(&a, AXES_OPEN_LETTER + 5).reduction, REDUCTION_SLOT);
    assert_int_equal(axes_removal(&a, 't').reduction, REDUCTION_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_factor_keeps_its_letter_and_marks),
        cmocka_unit_test(open_and_fixed_extents_are_no_letters),
        cmocka_unit_test(a_letter_is_found_by_its_place_and_a_place_by_its_letter),
        cmocka_unit_test(an_output_says_how_it_loses_letters),
        cmocka_unit_test(outputs_get_their_shape_from_inputs_and_attributes),
        cmocka_unit_test(extents_that_disagree_are_named),
        cmocka_unit_test(rows_of_groups_are_a_multiple_of_the_groups),
        cmocka_unit_test(open_annotations_ask_for_one_shape_of_any_rank),
        cmocka_unit_test(ranks_of_an_open_annotation_must_be_equal),
    };

    return cmocka_run_group_tests_name("program axes", tests, NULL, NULL);
}
