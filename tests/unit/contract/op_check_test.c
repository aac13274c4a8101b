/* llmrun/op_check.h: every op of the table has a form that passes, and each rule refuses what breaks it. */
#include <llmrun/op_check.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "op_form.h"

#define EACH_ROW(row)                                                                                                  \
    for (const struct llmrun_op_row *row = llmrun_op_rows;                                                             \
         row < llmrun_op_rows + sizeof llmrun_op_rows / sizeof llmrun_op_rows[0]; row++)

/* The form with all options, to be spoiled. */
static struct op_form *form_of(const struct llmrun_op_row *row)
{
    static struct op_form form;

    assert_true(op_form_make(op_info_find(row->op), LLMRUN_BF16, true, LLMRUN_OP_EXACT, &form));
    return &form;
}

static void assert_passes(const struct op_form *form)
{
    char reason[256] = "";

    if (llmrun_op_check(&form->op, reason, sizeof reason) != LLMRUN_OK)
        fail_msg("%s", reason);
}

/* The sentence begins with the op and holds what the format makes. */
__attribute__((format(printf, 3, 4))) static void assert_refused(const struct op_form *form, int32_t code,
                                                                 const char *format, ...)
{
    const char *name = llmrun_op_name(form->op.op);
    char reason[256] = "", words[128];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    if (llmrun_op_check(&form->op, reason, sizeof reason) != code || strncmp(reason, name, strlen(name)) != 0 ||
        strstr(reason, words) == NULL)
        fail_msg("%s: '%s' was wanted, the reason is '%s'", name, words, reason);
}

static void every_op_passes_in_its_form(void **state)
{
    struct op_form form;

    (void)state;
    EACH_ROW(row)
    for (int i = 0; i < 6; i++) {
        static const uint32_t types[] = {LLMRUN_F64, LLMRUN_F32, LLMRUN_BF16};

        assert_true(op_form_make(op_info_find(row->op), types[i / 2], i % 2, LLMRUN_OP_DETERMINISTIC, &form));
        assert_passes(&form);
    }
}

static void heads_of_descriptions_are_checked(void **state)
{
    (void)state;
    EACH_ROW(row)
    {
        struct op_form *form = form_of(row);

        form->op.version = row->version + 1;
        assert_refused(form, LLMRUN_ERROR_UNSUPPORTED, "version %d is unknown; versions %d to %d are known",
                       row->version + 1, row->oldest, row->version);
        form->op.version = row->oldest - 1;
        assert_refused(form, LLMRUN_ERROR_UNSUPPORTED, "version %d is unknown", row->oldest - 1);
        form = form_of(row);
        form->op.flags |= 1u << 31;
        assert_refused(form, LLMRUN_ERROR_UNSUPPORTED, "with flags 0x80000001 is unknown; flags 0x3 are known");
        form = form_of(row);
        form->op.operand_count--;
        assert_refused(form, LLMRUN_ERROR_ARGUMENT, "has %u operands and %u bytes of attributes, not %u",
                       form->op.operand_count + 1, form->op.attribute_bytes, form->op.operand_count);
        form = form_of(row);
        form->op.attribute_bytes += 4;
        assert_refused(form, LLMRUN_ERROR_ARGUMENT, "and %u", form->op.attribute_bytes);
        form = form_of(row);
        form->op.operands = NULL;
        assert_refused(form, LLMRUN_ERROR_ARGUMENT, "has operands, not NULL");
        form = form_of(row);
        form->op.attributes = NULL;
        if (form->op.attribute_bytes > 0)
            assert_refused(form, LLMRUN_ERROR_ARGUMENT, "has attributes, not NULL");
    }
}

static void only_outputs_are_added_to(void **state)
{
    (void)state;
    EACH_ROW(row)
    {
        struct op_form *form = form_of(row);

        for (uint32_t i = 0; i < form->op.operand_count; i++) {
            form->op.accumulate = 1u << i;
            if (strcmp(row->operands[i].direction, "out") == 0)
                assert_passes(form);
            else
                assert_refused(form, LLMRUN_ERROR_ARGUMENT, "cannot add into operand %s: only into outputs",
                               row->operands[i].name);
        }
        form->op.accumulate = 1u << form->op.operand_count;
        assert_refused(form, LLMRUN_ERROR_ARGUMENT, "only into outputs");
    }
}

/* Presence, element type, rank and size, of each operand. */
static void operands_are_checked_by_themselves(void **state)
{
    (void)state;
    EACH_ROW(row)
    for (uint32_t i = 0; i < llmrun_op_operand_count(row, row->version); i++) {
        const char *name = row->operands[i].name;
        struct op_form *form = form_of(row);
        struct llmrun_tensor *tensor = &form->operands[i];

        memset(tensor, 0, sizeof *tensor);
        if (strcmp(row->operands[i].presence, "required") == 0)
            assert_refused(form, LLMRUN_ERROR_ARGUMENT, ": operand %s is absent", name);
        else
            assert_passes(form);
        form_of(row);
        tensor->dtype = LLMRUN_U8;
        if (strcmp(row->operands[i].type, "any") != 0)
            assert_refused(form, LLMRUN_ERROR_ARGUMENT, ": operand %s has the element type u8 and must have ", name);
        tensor->dtype = LLMRUN_DTYPES;
        assert_refused(form, LLMRUN_ERROR_UNSUPPORTED, ": operand %s has the unknown element type 13", name);
        form_of(row);
        tensor->rank = LLMRUN_MAX_RANK + 1;
        assert_refused(form, LLMRUN_ERROR_ARGUMENT, ": operand %s has rank 6; the most is 5", name);
        form_of(row);
        tensor->shape[0] = -1;
        assert_refused(form, LLMRUN_ERROR_ARGUMENT, ": operand %s has -1 elements in dimension 0", name);
        tensor->shape[0] = (int64_t)1 << 60;
        assert_refused(form, LLMRUN_ERROR_ARGUMENT, ": operand %s has more elements than", name);
        form_of(row);
        tensor->rank = 0;
        assert_refused(form, LLMRUN_ERROR_ARGUMENT, ": operand %s has rank 0 and must have", name);
    }
}

/* In how many places of the operands and attributes of a form a letter stands. */
static int places_of(const struct op_form *form, const struct llmrun_op_row *row, char letter)
{
    int places = 0;

    for (uint32_t i = 0; i < form->op.operand_count; i++)
        for (const char *at = row->operands[i].axes; *at != '\0' && *at != '|'; at++)
            places += form->operands[i].dtype != LLMRUN_NONE && *at == letter && at[1] != '/';
    for (uint32_t i = 0; i < llmrun_op_attribute_count(row, row->version); i++)
        if (llmrun_op_role(&row->attributes[i], "extent") != NULL)
            places += strchr(llmrun_op_role(&row->attributes[i], "extent"), letter) != NULL;
    return places;
}

/* One element more in any dimension breaks the form, unless none of its letters stands elsewhere. */
static void extents_fit_each_other(void **state)
{
    (void)state;
    EACH_ROW(row)
    for (uint32_t i = 0; i < llmrun_op_operand_count(row, row->version); i++) {
        struct op_form *form = form_of(row);
        const char *axis, *end;

        for (uint32_t d = 0; (axis = llmrun_op_axis(row->operands[i].axes, d, &end)) != NULL && *axis != '.'; d++) {
            bool alone = true;

            form->operands[i].shape[d]++;
            for (; axis < end; axis++)
                alone &= !(*axis >= '0' && *axis <= '9') && axis[1] != '/' &&
                         (*axis < 'a' || places_of(form, row, *axis) == 1);
            if (alone)
                assert_passes(form);
            else
                assert_refused(form, LLMRUN_ERROR_ARGUMENT, "and must");
            form->operands[i].shape[d]--;
        }
    }
}

static void open_operands_have_one_shape(void **state)
{
    (void)state;
    EACH_ROW(row)
    {
        struct op_form *form = form_of(row);
        uint32_t open[LLMRUN_MAX_OPERANDS], count = 0;

        for (uint32_t i = 0; i < form->op.operand_count; i++)
            if (strstr(row->operands[i].axes, "...") != NULL) {
                open[count++] = i;
                form->operands[i].rank = 3;
                form->operands[i].shape[1] = form->operands[i].shape[2] = 7;
            }
        assert_passes(form);
        for (uint32_t i = 1; i < count; i++) {
            form->operands[open[i]].shape[2]++;
            assert_refused(form, LLMRUN_ERROR_ARGUMENT, ": operand %s has 8 elements in dimension 2 and must have 7",
                           row->operands[open[i]].name);
            form->operands[open[i]].shape[2]--;
            form->operands[open[i]].rank--;
            assert_refused(form, LLMRUN_ERROR_ARGUMENT, ": operand %s has rank 2 and must have 3",
                           row->operands[open[i]].name);
            form->operands[open[i]].rank++;
        }
    }
}

static void attributes_with_a_role_are_in_range(void **state)
{
    (void)state;
    EACH_ROW(row)
    for (uint32_t i = 0; i < llmrun_op_attribute_count(row, row->version); i++) {
        struct op_form *form = form_of(row);
        const char *name = row->attributes[i].name;
        const bool valid = llmrun_op_role(&row->attributes[i], "valid") != NULL;

        if (!valid && llmrun_op_role(&row->attributes[i], "extent") == NULL &&
            llmrun_op_role(&row->attributes[i], "parts") == NULL)
            continue;
        op_attribute_set(op_info_find(row->op), i, form->attributes, valid ? -1 : 0);
        assert_refused(form, LLMRUN_ERROR_ARGUMENT, ": attribute %s is %d and must be at least %d", name, -valid,
                       !valid);
        op_attribute_set(op_info_find(row->op), i, form->attributes, valid ? 513 : 3);
        assert_refused(form, LLMRUN_ERROR_ARGUMENT, "and must");
        op_attribute_set(op_info_find(row->op), i, form->attributes, UINT32_MAX);
        assert_refused(form, LLMRUN_ERROR_ARGUMENT, "and must");
    }
}

/* Whole sentences: an extent of an operand, or an attribute (dimension -1), is set. */
static void a_sentence_names_the_op_the_thing_the_value_found_and_the_value_wanted(void **state)
{
    static const struct {
        uint16_t op;
        int dimension;
        uint32_t index;
        int64_t value;
        const char *sentence;
    } cases[] = {
        {LLMRUN_OP_ATTENTION, -1, 3, 3, "attention: attribute heads is 3 and must be 4"},
        {LLMRUN_OP_ATTENTION, 1, LLMRUN_ATTENTION_V, 64,
         "attention: operand v has 64 elements in dimension 1 and must have 128 ('(b j^) (g d^)')"},
        {LLMRUN_OP_ATTENTION, 0, LLMRUN_ATTENTION_RNG_STATE, 4,
         "attention: operand rng_state has 4 elements in dimension 0 and must have 5 ('5')"},
        {LLMRUN_OP_DROPOUT, -1, 0, 100,
         "dropout: operand x has 128 elements in dimension 0 and must have a multiple of 100 ('(b s) c')"},
        {LLMRUN_OP_BIAS_GRAD, 0, LLMRUN_BIAS_GRAD_DBIAS, 4,
         "bias_grad: operand dbias has 4 elements in dimension 0 and must have 8 ('(s/ b/) n')"},
        {LLMRUN_OP_MATMUL_INPUT_GRAD, -1, 0, 512,
         "matmul_input_grad: attribute feature_parts is 512 and must divide 256, p of operand dy1 ('(b s) p~n')"},
        {LLMRUN_OP_LINEAR_CROSS_ENTROPY, -1, 1, 513,
         "linear_cross_entropy: attribute vocabulary is 513 and must be at most 512, v of operand w ('v c')"},
        {LLMRUN_OP_REDUCE_ROWS, 0, LLMRUN_REDUCE_ROWS_Y, 3,
         "reduce_rows: operand x has 2048 elements in dimension 0 and must have a multiple of 3 ('(p u/) n')"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct op_form *form = form_of(llmrun_op_row_find(cases[i].op));

        if (cases[i].dimension >= 0)
            form->operands[cases[i].index].shape[cases[i].dimension] = cases[i].value;
        else
            op_attribute_set(op_info_find(cases[i].op), cases[i].index, form->attributes, cases[i].value);
        assert_refused(form, LLMRUN_ERROR_ARGUMENT, "%s", cases[i].sentence);
    }
}

static void compute_operands_have_one_float_type(void **state)
{
    struct op_form *form = form_of(llmrun_op_row_find(LLMRUN_OP_ADD));

    (void)state;
    form->operands[LLMRUN_ADD_B].dtype = LLMRUN_F64;
    assert_refused(form, LLMRUN_ERROR_ARGUMENT,
                   "add: operand b has the element type f64 and must have bf16, the compute type");
    for (int i = 0; i < 3; i++)
        form->operands[i].dtype = LLMRUN_I32;
    assert_refused(form, LLMRUN_ERROR_ARGUMENT, "add: operand a has the element type i32 and must have a float type");
    form = form_of(llmrun_op_row_find(LLMRUN_OP_LAYERNORM));
    form->operands[LLMRUN_LAYERNORM_WEIGHT].dtype = LLMRUN_BF16;
    assert_refused(form, LLMRUN_ERROR_ARGUMENT,
                   "layernorm: operand weight has the element type bf16 and must have f32");
}

static void a_dimension_that_is_absent_is_one_everywhere(void **state)
{
    struct op_form *form = form_of(llmrun_op_row_find(LLMRUN_OP_REDUCE_ROWS));
    struct llmrun_tensor *y = &form->operands[LLMRUN_REDUCE_ROWS_Y];

    (void)state;
    y->rank = 1;
    y->shape[0] = y->shape[1];
    assert_passes(form);
    y->shape[0]++;
    assert_refused(form, LLMRUN_ERROR_ARGUMENT, "operand y has 513 elements in dimension 0 and must have 512");
}

static void unknown_ops_have_neither_name_nor_form(void **state)
{
    struct op_form form = *form_of(llmrun_op_rows);
    char reason[64];

    (void)state;
    assert_null(llmrun_op_name(0));
    assert_null(llmrun_op_name(LLMRUN_OPS));
    form.op.op = 4000;
    assert_int_equal(llmrun_op_check(&form.op, reason, sizeof reason), LLMRUN_ERROR_UNSUPPORTED);
    assert_string_equal(reason, "op 4000 is unknown");
    form.op.size = 8;
    assert_int_equal(llmrun_op_check(&form.op, reason, sizeof reason), LLMRUN_ERROR_ARGUMENT);
    assert_string_equal(reason, "an op description of 8 bytes is too short; it has 48");
}

/* An op whose second version has an operand and an attribute more. */
static void older_versions_have_fewer_operands_and_attributes(void **state)
{
    static const struct llmrun_op_row row = {"scaled",
                                             7,
                                             1,
                                             2,
                                             {{"x", "in", "f32", "required", "n", 0},
                                              {"y", "out", "f32", "required", "n", 0},
                                              {"rows", "out", "i32", "optional", "1", 2}},
                                             {{"first", "u32", "parts n", 0, 0}, {"second", "u32", "", 4, 2}}};
    const struct llmrun_tensor n = {LLMRUN_F32, 1, {6}, {1}, 4}, operands[3] = {n, n};
    const uint32_t attributes[2] = {3, 0};
    struct llmrun_op op = {sizeof op, 7, 1, 0, 0, 4, 2, attributes, operands, sizeof operands[0], 0};
    char reason[128];

    (void)state;
    assert_int_equal(llmrun_op_check_row(&op, &row, reason, sizeof reason), LLMRUN_OK);
    op.version = 2;
    assert_int_equal(llmrun_op_check_row(&op, &row, reason, sizeof reason), LLMRUN_ERROR_ARGUMENT);
    assert_string_equal(reason, "scaled has 3 operands and 8 bytes of attributes, not 2 and 4");
    op.operand_count = 3;
    op.attribute_bytes = 8;
    assert_int_equal(llmrun_op_check_row(&op, &row, reason, sizeof reason), LLMRUN_OK);
    op.version = 3;
    assert_int_equal(llmrun_op_check_row(&op, &row, reason, sizeof reason), LLMRUN_ERROR_UNSUPPORTED);
    assert_string_equal(reason, "scaled version 3 is unknown; versions 1 to 2 are known");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_passes_in_its_form),
        cmocka_unit_test(heads_of_descriptions_are_checked),
        cmocka_unit_test(only_outputs_are_added_to),
        cmocka_unit_test(operands_are_checked_by_themselves),
        cmocka_unit_test(extents_fit_each_other),
        cmocka_unit_test(open_operands_have_one_shape),
        cmocka_unit_test(attributes_with_a_role_are_in_range),
        cmocka_unit_test(a_sentence_names_the_op_the_thing_the_value_found_and_the_value_wanted),
        cmocka_unit_test(compute_operands_have_one_float_type),
        cmocka_unit_test(a_dimension_that_is_absent_is_one_everywhere),
        cmocka_unit_test(unknown_ops_have_neither_name_nor_form),
        cmocka_unit_test(older_versions_have_fewer_operands_and_attributes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
