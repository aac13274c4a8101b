/* What of a program is saved, and what is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "engine/state_dict.h"

/* 2 x 3 of a parameter, an activation, 4 of optimizer state, a gradient. */
static void make(struct program *program, struct state_dict *list)
{
    struct error error = {0};

    program_init(program);
    program_add_value(program, "w", VALUE_PARAMETER, LLMRUN_F32, 2, (const int64_t[]){2, 3});
    program_add_value(program, "x", VALUE_ACTIVATION, LLMRUN_F32, 1, (const int64_t[]){8});
    program_add_value(program, "w.mean", VALUE_STATE, LLMRUN_F32, 1, (const int64_t[]){4});
    program_add_value(program, "w.grad", VALUE_GRADIENT, LLMRUN_F32, 2, (const int64_t[]){2, 3});
    assert_int_equal(state_dict_make(program, list, &error), STATUS_OK);
}

static void parameters_and_state_are_listed_in_order(void **state)
{
    struct program program;
    struct state_dict list;

    (void)state;
    make(&program, &list);
    assert_int_equal(list.count, 2);
    assert_int_equal(list.bytes, (6 + 4) * 4);
    assert_string_equal(list.forms[0].name, "w");
    assert_int_equal(list.values[0], 0);
    assert_int_equal(shape_elements(&list.forms[0].shape), 6);
    assert_string_equal(list.forms[1].name, "w.mean");
    assert_int_equal(list.values[1], 2);
    state_dict_finish(&list);
    program_finish(&program);
}

static void a_snapshot_with_any_number_that_is_not_finite_is_refused(void **state)
{
    const float bad[] = {INFINITY, -INFINITY, NAN, -NAN};
    struct program program;
    struct state_dict list;
    struct error error;

    (void)state;
    make(&program, &list);
    for (int at = 0; at < 10; at++)
        for (int kind = 0; kind < 4; kind++) {
            float memory[10] = {0};

            memory[at] = bad[kind];
            assert_int_equal(state_dict_check_finite(&list, memory, &error), STATUS_NONFINITE);
            assert_non_null(strstr(error.message, at < 6 ? "tensor w holds" : "tensor w.mean holds"));
        }
    state_dict_finish(&list);
    program_finish(&program);
}

static void the_largest_and_smallest_finite_numbers_pass(void **state)
{
    const float memory[10] = {3.40282347e38f, -3.40282347e38f, 1e-45f, -0.0f, 0, 1, -1, 1.17549435e-38f, 2, 3};
    struct program program;
    struct state_dict list;
    struct error error;

    (void)state;
    make(&program, &list);
    assert_int_equal(state_dict_check_finite(&list, memory, &error), STATUS_OK);
    state_dict_finish(&list);
    program_finish(&program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_and_state_are_listed_in_order),
        cmocka_unit_test(a_snapshot_with_any_number_that_is_not_finite_is_refused),
        cmocka_unit_test(the_largest_and_smallest_finite_numbers_pass),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
