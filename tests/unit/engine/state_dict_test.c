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

/* Rows 3 and 4 of five over two ranks of dp: three and two. */
static void what_a_rank_has_of_a_value_is_a_box_of_the_whole(void **state)
{
    struct program program;
    struct state_dict list;
    struct error error;
    struct value *w;

    (void)state;
    program_init(&program);
    program_add_value(&program, "w", VALUE_PARAMETER, LLMRUN_F32, 2, (const int64_t[]){2, 3});
    w = program.values;
    w->full[0] = 5;
    w->splits[w->split_count++] = (struct split){0, 0, MESH_DP, 2, 1};
    assert_int_equal(state_dict_make(&program, &list, &error), STATUS_OK);
    assert_int_equal(list.forms[0].shape.extent[0], 5);
    assert_int_equal(list.forms[0].shape.extent[1], 3);
    assert_int_equal(list.slices[0].box.first[0], 3);
    assert_int_equal(list.slices[0].box.extent[0], 2);
    assert_int_equal(list.slices[0].box.first[1], 0);
    assert_int_equal(list.slices[0].box.extent[1], 3);
    assert_int_equal(state_dict_box_bytes(&list, 0), 24);
    assert_int_equal(list.bytes, 24);
    state_dict_finish(&list);
    program.values[0].splits[0].factor = 1;
    assert_int_equal(state_dict_make(&program, &list, &error), STATUS_BUG);
    assert_non_null(strstr(error.message, "w is split along an inner factor"));
    program_finish(&program);
}

/* A view of a parameter is of its kind, and its elements are the parameter's. */
static void a_view_is_not_listed_beside_what_it_is_of(void **state)
{
    struct program program;
    struct state_dict list;
    struct error error;

    (void)state;
    make(&program, &list);
    state_dict_finish(&list);
    program.values[program_add_value(&program, "w.rows", VALUE_PARAMETER, LLMRUN_F32, 1, (const int64_t[]){3})].flags |=
        VALUE_VIEW;
    assert_int_equal(state_dict_make(&program, &list, &error), STATUS_OK);
    assert_int_equal(list.count, 2);
    state_dict_finish(&list);
    program_finish(&program);
}

/* Two by two ranks of tp and dp, and two stages: w is split over tp, w.mean over nothing. */
static void of_ranks_with_the_same_box_the_first_owns_it(void **state)
{
    struct mesh mesh = {.sizes = {[MESH_CP] = 1, [MESH_TP] = 2, [MESH_DP] = 2, [MESH_PP] = 2}};
    struct program program;
    struct state_dict list;

    (void)state;
    make(&program, &list);
    program.values[0].splits[program.values[0].split_count++] = (struct split){0, 0, MESH_TP, 2, 0};
    for (int32_t rank = 0; rank < 8; rank++) {
        mesh_place(&mesh, rank);
        state_dict_own(&list, &program, &mesh);
        assert_int_equal(list.slices[0].stored, mesh.index[MESH_DP] == 0);
        assert_int_equal(list.slices[1].stored, mesh.index[MESH_DP] == 0 && mesh.index[MESH_TP] == 0);
    }
    state_dict_finish(&list);
    program_finish(&program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_rank_has_of_a_value_is_a_box_of_the_whole),
        cmocka_unit_test(a_view_is_not_listed_beside_what_it_is_of),
        cmocka_unit_test(of_ranks_with_the_same_box_the_first_owns_it),
        cmocka_unit_test(parameters_and_state_are_listed_in_order),
        cmocka_unit_test(a_snapshot_with_any_number_that_is_not_finite_is_refused),
        cmocka_unit_test(the_largest_and_smallest_finite_numbers_pass),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
