/* Views: values that lie in the memory of another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "program/builder.h"
#include "program/text.h"
#include "program/verify.h"

/* A source of 4 rows of 6, and one view of it. */
struct view_case {
    const char *name;
    uint32_t rank;
    int64_t shape[2];
    struct view view;
    uint32_t dtype;
    const char *refused; /* NULL: right */
};

static const struct view_case cases[] = {
    {"rows 1 and 2", 2, {2, 6}, {6, 6}, LLMRUN_F32, NULL},
    {"columns 2 to 4 of all rows", 2, {4, 3}, {2, 6}, LLMRUN_F32, NULL},
    {"the last element", 1, {1}, {23, 1}, LLMRUN_F32, NULL},
    {"every second row", 2, {2, 6}, {6, 12}, LLMRUN_F32, NULL},
    {"a row too many", 2, {2, 6}, {18, 6}, LLMRUN_F32, "does not lie within w"},
    {"columns beyond the last row", 2, {4, 3}, {4, 6}, LLMRUN_F32, "does not lie within w"},
    {"rows that overlap", 2, {2, 6}, {0, 5}, LLMRUN_F32, "does not lie within w"},
    {"before the first element", 1, {2}, {-1, 1}, LLMRUN_F32, "does not lie within w"},
    {"another type", 2, {2, 6}, {0, 6}, LLMRUN_BF16, "another element type"},
};

static int32_t add_view(struct program *program, const struct view_case *c, int32_t source)
{
    int32_t id = program_add_value(program, "part", VALUE_SCRATCH, c->dtype, c->rank, c->shape);

    program->values[id].source = source;
    program->values[id].flags |= VALUE_VIEW;
    program->values[id].view = c->view;
    return id;
}

static void a_view_lies_within_its_source(void **state)
{
    const int64_t shape[] = {4, 6};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error error = {0};
        struct program program;
        int status;

        program_init(&program);
        program_add_value(&program, "w", VALUE_SCRATCH, LLMRUN_F32, 2, shape);
        add_view(&program, &cases[i], 0);
        status = program_verify(&program, &error);
        if (status != (cases[i].refused == NULL ? STATUS_OK : STATUS_BUG))
            fail_msg("%s: status %d, %s", cases[i].name, status, error.message);
        if (cases[i].refused != NULL && strstr(error.message, cases[i].refused) == NULL)
            fail_msg("%s: said %s", cases[i].name, error.message);
        program_finish(&program);
    }
}

static void a_view_has_the_strides_and_alignment_of_its_place(void **state)
{
    static const struct {
        size_t which;
        int64_t strides[2], alignment;
    } wanted[] = {{0, {6, 1}, 8}, {1, {6, 1}, 8}, {2, {1, 0}, 4}, {3, {12, 1}, 8}};
    const int64_t shape[] = {4, 6};

    (void)state;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        struct llmrun_tensor tensor;
        struct program program;
        int32_t view;

        program_init(&program);
        program_add_value(&program, "w", VALUE_SCRATCH, LLMRUN_F32, 2, shape);
        view = add_view(&program, &cases[wanted[i].which], 0);
        program_tensor(&program, view, 256, &tensor);
        assert_int_equal(tensor.stride[0], wanted[i].strides[0]);
        assert_int_equal(tensor.stride[1], wanted[i].strides[1]);
        assert_int_equal(tensor.alignment, wanted[i].alignment);
        program_finish(&program);
    }
}

static void a_view_of_a_view_has_the_memory_of_the_first(void **state)
{
    const int64_t shape[] = {4, 6}, rows[] = {2, 6}, row[] = {6};
    struct error error = {0};
    struct program program;
    struct builder builder;
    int32_t w, a, b;

    (void)state;
    program_init(&program);
    builder_init(&builder, &program, &error);
    w = build_value(&builder, "w", VALUE_SCRATCH, 0, LLMRUN_F32, 2, shape);
    a = build_view(&builder, w, "a", 12, 2, rows);
    b = build_view(&builder, a, "b", 6, 1, row);
    assert_int_equal(builder.status, STATUS_OK);
    assert_int_equal(program_verify(&program, &error), STATUS_OK);
    assert_int_equal(program_root(&program, b), w);
    assert_int_equal(program_root_offset(&program, b), 18);
    assert_int_equal(program_root_offset(&program, w), 0);
    /* But not of rows that lie apart: its pitch would be that of the source too. */
    program.values[a].view.pitch = 12;
    program.values[a].view.offset = 0;
    assert_int_equal(program_verify(&program, &error), STATUS_BUG);
    assert_non_null(strstr(error.message, "whose rows lie apart"));
    program_finish(&program);
}

static void the_text_form_has_views(void **state)
{
    const int64_t shape[] = {4, 6};
    struct text text = {0}, again = {0};
    struct error error = {0};
    struct program program, parsed;

    (void)state;
    program_init(&program);
    program_add_value(&program, "w", VALUE_SCRATCH, LLMRUN_F32, 2, shape);
    add_view(&program, &cases[1], 0);
    program_print(&program, &text);
    assert_non_null(strstr(text.data, "%1 = scratch f32[4,3] \"part\" of %0 view 2 pitch 6\n"));
    program_init(&parsed);
    assert_int_equal(program_parse(&parsed, text.data, &error), STATUS_OK);
    program_print(&parsed, &again);
    assert_string_equal(text.data, again.data);
    text_finish(&text);
    text_finish(&again);
    program_finish(&program);
    program_finish(&parsed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_view_lies_within_its_source),
        cmocka_unit_test(a_view_has_the_strides_and_alignment_of_its_place),
        cmocka_unit_test(a_view_of_a_view_has_the_memory_of_the_first),
        cmocka_unit_test(the_text_form_has_views),
    };

    return cmocka_run_group_tests_name("program view", tests, NULL, NULL);
}
