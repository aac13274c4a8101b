/* The op table against the generated header: layouts of attributes, ids, and what the rest of the core takes for
 * granted. */
#include "program/op_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* One function an op: `here` is its struct, an incomplete one where there are no attributes. */
#define OP_BEGIN(op, number, version, backward, flops, flags, summary)                                                 \
    static void check_##op(void)                                                                                       \
    {                                                                                                                  \
        typedef struct llmrun_##op##_attributes here;                                                                  \
        const struct op_info *info = op_info_find(number);                                                             \
        size_t bytes = 0;                                                                                              \
        uint32_t index = 0;                                                                                            \
        (void)(here *)NULL;
#define OPERAND(direction, operand, class, presence, axes)
#define ATTRIBUTE(wire_type, member, role, meaning)                                                                    \
    assert_int_equal(op_attribute_offset(info, index), offsetof(here, member));                                        \
    assert_int_equal(attribute_type_bytes(info->attributes[index].type), sizeof(((here *)NULL)->member));              \
    assert_string_equal(info->attributes[index].name, #member);                                                        \
    bytes = sizeof(here);                                                                                              \
    index++;
#define OP_END(op)                                                                                                     \
    assert_int_equal(op_attribute_bytes(info), bytes);                                                                 \
    assert_null(info->attributes[index].name);                                                                         \
    }
#include "program/ops.def"

static void attributes_lie_where_the_header_puts_them(void **state)
{
    (void)state;
#define OP_BEGIN(name, id, version, backward, flops, flags, summary) check_##name();
#define OPERAND(direction, name, class, presence, axes)
#define ATTRIBUTE(type, name, role, meaning)
#define OP_END(name)
#include "program/ops.def"
}

static void no_two_rows_have_one_id_or_name(void **state)
{
    int rows = 0, found = 0;

    (void)state;
#define OP_BEGIN(name, id, version, backward, flops, flags, summary) rows++;
#define OPERAND(direction, name, class, presence, axes)
#define ATTRIBUTE(type, name, role, meaning)
#define OP_END(name)
#include "program/ops.def"
    for (uint16_t id = 0; id < LLMRUN_OPS; id++) {
        const struct op_info *info = op_info_find(id);

        if (info == NULL)
            continue;
        found++;
        assert_int_equal(info->id, id);
        assert_ptr_equal(op_info_by_name(info->name, (int64_t)strlen(info->name)), info);
    }
    assert_int_equal(found, rows);
    assert_null(op_info_find(0));
    assert_null(op_info_find(LLMRUN_OPS));
    assert_null(op_info_by_name("matmu", 5));
    assert_null(op_info_by_name("matmulx", 7));
}

/* What a plugin that knows the lowest version alone can still be asked. */
static void the_lowest_version_that_suffices_is_asked_for(void **state)
{
    const struct op_info *info = op_info_find(LLMRUN_OP_DROPOUT);
    struct llmrun_dropout_attributes attributes = {.seq_len = 8, .probability = 0.5f};
    const struct llmrun_tensor tensors[LLMRUN_DROPOUT_OPERANDS] = {
        {.dtype = LLMRUN_F32}, {.dtype = LLMRUN_U32}, {.dtype = LLMRUN_F32}};
    const struct llmrun_op newest = {.version = info->version,
                                     .operand_count = LLMRUN_DROPOUT_OPERANDS,
                                     .operands = tensors,
                                     .attributes = &attributes,
                                     .attribute_bytes = sizeof attributes};
    struct llmrun_op op = newest;

    (void)state;
    op_lower(info, &op);
    assert_int_equal(op.version, 2);
    assert_int_equal(op.attribute_bytes, offsetof(struct llmrun_dropout_attributes, position_first));
    assert_int_equal(op.operand_count, LLMRUN_DROPOUT_OPERANDS);
    attributes.channels_full = 64;
    op = newest;
    op_lower(info, &op);
    assert_int_equal(op.version, 3);
    assert_int_equal(op.attribute_bytes, sizeof attributes);
    info = op_info_find(LLMRUN_OP_GELU);
    op = (struct llmrun_op){.version = 1, .operand_count = 2, .operands = tensors};
    op_lower(info, &op);
    assert_int_equal(op.version, 1);
    assert_int_equal(op.operand_count, 2);
}

/* An attribute of a later version stands behind all others, so that the older one is its beginning. */
static void additions_stand_last(void **state)
{
    (void)state;
    for (uint16_t id = 0; id < LLMRUN_OPS; id++) {
        const struct op_info *info = op_info_find(id);
        uint16_t since = 0, known = 0;

        for (uint32_t i = 0; info != NULL && info->attributes[i].name != NULL; i++) {
            assert_true(op_since(info, info->attributes[i].name) >= since);
            since = op_since(info, info->attributes[i].name);
            known += op_is_addition(info, info->attributes[i].name);
        }
        since = 0;
        for (uint32_t i = 0; info != NULL && info->operands[i].name != NULL; i++) {
            assert_true(op_since(info, info->operands[i].name) >= since);
            since = op_since(info, info->operands[i].name);
            known += op_is_addition(info, info->operands[i].name);
            assert_true(!op_is_addition(info, info->operands[i].name) || info->operands[i].optional);
        }
        for (uint32_t i = 0; info != NULL && info->additions[i].name != NULL; i++, known--)
            assert_true(info->additions[i].version <= info->version);
        assert_int_equal(known, 0);
    }
}

/* The committed list: what a plugin was compiled against stays what it was. */
static void ids_are_never_taken_away_or_given_to_another_op(void **state)
{
    bool listed[LLMRUN_OPS] = {false};
    FILE *file = fopen(OP_IDS, "r");
    unsigned id, version, last = 0;
    char name[64];

    (void)state;
    assert_non_null(file);
    while (fscanf(file, "%u %63s %u", &id, name, &version) == 3) {
        const struct op_info *info = op_info_find((uint16_t)id);

        assert_true(id > last); /* one line an id, in order */
        last = id;
        if (info == NULL)
            fail_msg("id %u was %s and is in the op table no more", id, name);
        assert_string_equal(info->name, name);
        assert_true(info->version >= version);
        listed[id] = true;
    }
    fclose(file);
    for (uint16_t i = 0; i < LLMRUN_OPS; i++)
        if (op_info_find(i) != NULL && !listed[i])
            fail_msg("%s has no line in op_ids.txt: add \"%u %s %u\"", op_info_find(i)->name, i, op_info_find(i)->name,
                     op_info_find(i)->version);
}

static void operands_stand_inputs_first_and_fit_the_contract(void **state)
{
    (void)state;
    for (uint16_t id = 0; id < LLMRUN_OPS; id++) {
        const struct op_info *info = op_info_find(id);
        enum operand_direction direction = OPERAND_IN;

        if (info == NULL)
            continue;
        assert_in_range(op_operand_count(info), 1, LLMRUN_MAX_OPERANDS);
        assert_in_range(op_attribute_bytes(info), 0, OP_MAX_ATTRIBUTE_BYTES);
        for (uint32_t i = 0; info->operands[i].name != NULL; i++) {
            assert_true(info->operands[i].direction >= direction);
            direction = info->operands[i].direction;
        }
        assert_int_not_equal(direction, OPERAND_IN); /* something is written */
    }
}

static void eight_byte_attributes_come_first(void **state)
{
    (void)state;
    for (uint16_t id = 0; id < LLMRUN_OPS; id++) {
        const struct op_info *info = op_info_find(id);
        uint32_t before = 8;

        for (uint32_t i = 0; info != NULL && info->attributes[i].name != NULL; i++) {
            assert_true(op_is_addition(info, info->attributes[i].name) ||
                        attribute_type_bytes(info->attributes[i].type) <= before);
            before = attribute_type_bytes(info->attributes[i].type);
        }
    }
}

/* What passes/recompute.c takes for granted of an op that sums up the residual stream. */
static void residual_ops_have_x_and_optional_residual_and_sum_of_its_shape(void **state)
{
    int found = 0;

    (void)state;
    for (uint16_t id = 0; id < LLMRUN_OPS; id++) {
        const struct op_info *info = op_info_find(id);
        struct op_residual at;

        if (info == NULL || !op_residual_find(info, &at))
            continue;
        found++;
        assert_in_range(at.x, 0, op_operand_count(info) - 1);
        assert_in_range(at.residual, 0, op_operand_count(info) - 1);
        assert_in_range(at.sum, 0, op_operand_count(info) - 1);
        assert_int_equal(info->operands[at.x].direction, OPERAND_IN);
        assert_int_equal(info->operands[at.residual].direction, OPERAND_IN);
        assert_int_equal(info->operands[at.sum].direction, OPERAND_OUT);
        assert_true(info->operands[at.residual].optional && info->operands[at.sum].optional);
        assert_string_equal(info->operands[at.residual].axes, info->operands[at.x].axes);
        assert_string_equal(info->operands[at.sum].axes, info->operands[at.x].axes);
        assert_int_equal(info->operands[at.sum].class, info->operands[at.x].class);
    }
    assert_int_equal(found, 2); /* layernorm and rmsnorm */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_lowest_version_that_suffices_is_asked_for),
        cmocka_unit_test(additions_stand_last),
        cmocka_unit_test(attributes_lie_where_the_header_puts_them),
        cmocka_unit_test(no_two_rows_have_one_id_or_name),
        cmocka_unit_test(ids_are_never_taken_away_or_given_to_another_op),
        cmocka_unit_test(operands_stand_inputs_first_and_fit_the_contract),
        cmocka_unit_test(eight_byte_attributes_come_first),
        cmocka_unit_test(residual_ops_have_x_and_optional_residual_and_sum_of_its_shape),
    };

    return cmocka_run_group_tests_name("op table", tests, NULL, NULL);
}
