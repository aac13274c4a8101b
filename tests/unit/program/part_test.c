/* What of a whole tensor a rank has, against numbers written out by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "program/builder.h"
#include "program/part.h"
#include "program/sharding.h"

#define MOST 16

struct part_case {
    const char *name;
    int64_t rows, columns; /* of the whole, whose element at row r, column c is 100 r + c */
    struct split splits[VALUE_MAX_SPLITS];
    int split_count;
    int64_t shape[2];
    int32_t wanted[MOST];
};

static const struct part_case cases[] = {
    {"whole", 2, 3, {{0}}, 0, {2, 3}, {0, 1, 2, 100, 101, 102}},
    {"rows, first half", 4, 2, {{0, 0, MESH_TP, 2, 0}}, 1, {2, 2}, {0, 1, 100, 101}},
    {"rows, second half", 4, 2, {{0, 0, MESH_TP, 2, 1}}, 1, {2, 2}, {200, 201, 300, 301}},
    {"columns, third of three", 2, 6, {{1, 0, MESH_TP, 3, 2}}, 1, {2, 2}, {4, 5, 104, 105}},
    {"five rows in two parts: three", 5, 1, {{0, 0, MESH_DP, 2, 0}}, 1, {3, 1}, {0, 100, 200}},
    {"and two", 5, 1, {{0, 0, MESH_DP, 2, 1}}, 1, {2, 1}, {300, 400}},
    {"two rows in three parts: the last is empty", 2, 2, {{0, 0, MESH_DP, 3, 2}}, 1, {0, 2}, {0}},
    {"rows over tp, what is left over dp", 8, 1, {{0, 0, MESH_TP, 2, 1}, {0, 0, MESH_DP, 2, 1}}, 2, {2, 1}, {600, 700}},
    {"rows over tp, columns over dp",
     4,
     4,
     {{0, 0, MESH_TP, 2, 0}, {1, 0, MESH_DP, 2, 1}},
     2,
     {2, 2},
     {2, 3, 102, 103}},
    {"three axes", 4, 4, {{0, 0, MESH_CP, 2, 1}, {1, 0, MESH_TP, 2, 0}, {0, 0, MESH_DP, 2, 0}}, 3, {1, 2}, {200, 201}},
};

static struct value value_of(const struct part_case *c)
{
    struct value value = {.name = c->name, .dtype = LLMRUN_I32, .rank = 2, .source = NO_VALUE};

    value.full[0] = c->rows;
    value.full[1] = c->columns;
    memcpy(value.shape, c->shape, sizeof c->shape);
    memcpy(value.splits, c->splits, sizeof c->splits);
    value.split_count = (uint8_t)c->split_count;
    return value;
}

static void a_rank_has_its_part_of_a_tensor(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct value value = value_of(&cases[i]);
        int32_t whole[64], part[MOST];
        struct error error = {0};

        for (int64_t r = 0; r < cases[i].rows; r++)
            for (int64_t c = 0; c < cases[i].columns; c++)
                whole[r * cases[i].columns + c] = (int32_t)(100 * r + c);
        memset(part, 0xee, sizeof part);
        assert_int_equal(sharding_check_value(&value, &error), STATUS_OK);
        assert_int_equal(value_whole_bytes(&value), 4 * cases[i].rows * cases[i].columns);
        if (value_take_part(&value, whole, part, &error) != STATUS_OK)
            fail_msg("%s: %s", cases[i].name, error.message);
        if (memcmp(part, cases[i].wanted, (size_t)value_bytes(&value)) != 0)
            fail_msg("%s: not the part that is wanted", cases[i].name);
        assert_int_equal(part[value_elements(&value)], (int32_t)0xeeeeeeee); /* and nothing more */
    }
}

static void the_parts_of_all_ranks_are_the_whole(void **state)
{
    (void)state;
    for (int32_t parts = 2; parts <= 9; parts++) {
        int64_t next = 0;

        for (int32_t index = 0; index < parts; index++) {
            struct value value = {.name = "w", .dtype = LLMRUN_F32, .rank = 1, .source = NO_VALUE, .split_count = 1};
            const int64_t each = (7 + parts - 1) / parts, rest = 7 - index * each;
            struct error error = {0};
            int64_t first;

            value.full[0] = 7;
            value.shape[0] = rest < 0 ? 0 : rest < each ? rest : each;
            value.splits[0] = (struct split){0, 0, MESH_DP, parts, index};
            assert_int_equal(value_part_begins(&value, 0, &first, &error), STATUS_OK);
            assert_int_equal(first, next);
            next += value.shape[0];
        }
        assert_int_equal(next, 7);
    }
}

static void a_split_of_an_inner_factor_is_no_run(void **state)
{
    struct value value = {.name = "w", .dtype = LLMRUN_F32, .rank = 1, .source = NO_VALUE, .split_count = 1};
    float whole[4] = {0}, part[4];
    struct error error = {0};

    (void)state;
    value.full[0] = 4;
    value.shape[0] = 2;
    value.splits[0] = (struct split){0, 1, MESH_TP, 2, 0};
    assert_int_equal(value_take_part(&value, whole, part, &error), STATUS_BUG);
    assert_non_null(strstr(error.message, "inner factor of dimension 0"));
}

/* Gradients, moments and copies are made from a parameter. */
static void what_has_the_shape_of_its_source_is_split_like_it(void **state)
{
    const int64_t shape[] = {4, 2}, other[] = {4};
    struct error error = {0};
    struct program program;
    struct builder builder;
    int32_t w, m, rows;

    (void)state;
    program_init(&program);
    builder_init(&builder, &program, &error);
    w = build_parameter(&builder, "w", 0, 2, shape);
    program.values[w].full[0] = 8;
    program.values[w].splits[program.values[w].split_count++] = (struct split){0, 0, MESH_TP, 2, 1};
    m = build_part(&builder, w, "m", VALUE_STATE, LLMRUN_F32, 2, shape);
    rows = build_part(&builder, w, "rows", VALUE_SCRATCH, LLMRUN_F32, 1, other);
    assert_int_equal(builder.status, STATUS_OK);
    assert_int_equal(program.values[m].full[0], 8);
    assert_int_equal(program.values[m].split_count, 1);
    assert_int_equal(program.values[m].splits[0].index, 1);
    assert_int_equal(program.values[rows].split_count, 0);
    assert_int_equal(program.values[rows].full[0], 4);
    program_finish(&program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rank_has_its_part_of_a_tensor),
        cmocka_unit_test(the_parts_of_all_ranks_are_the_whole),
        cmocka_unit_test(a_split_of_an_inner_factor_is_no_run),
        cmocka_unit_test(what_has_the_shape_of_its_source_is_split_like_it),
    };

    return cmocka_run_group_tests_name("program part", tests, NULL, NULL);
}
