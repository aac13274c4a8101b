#include "passes/optimizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <llmrun/ops.h>

#include "golden.h"
#include "passes/precision.h"

static const struct update_policy policy = {
    .beta1 = 0.9f, .beta2 = 0.95f, .epsilon = 1e-8f, .weight_decay = 0.1f, .clip = 1.0f};

static void an_update_needs_gradients(void **state)
{
    struct program program;
    struct error error;

    (void)state;
    golden_read("mlp", &program);
    assert_int_equal(pass_optimizer(&program, &policy, &error), STATUS_USAGE);
    assert_string_equal(error.message, "no parameter is trainable, so there is nothing to train");
    program_finish(&program);
}

/* Every gradient has slots of its own, which a line of the table of slot_tree names. */
static void every_gradient_counts_once_in_the_norm(void **state)
{
    bool taken[4096] = {false};
    struct update_policy cut = policy;
    struct program program;
    struct error error;
    const struct value *table;
    const int32_t *line;
    int64_t slots;
    int written = 0;

    (void)state;
    cut.exact = true;
    golden_read("mlp_backward", &program);
    assert_int_equal(pass_optimizer(&program, &cut, &error), STATUS_OK);
    slots = program.values[program_find(&program, "grad_squares")].shape[0];
    table = &program.values[program_find(&program, "grad_slots")];
    line = table->contents;
    for (int64_t i = 0; i < program.op_count; i++) {
        const struct op *op = &program.ops[i];

        if (op->op == LLMRUN_OP_SUM_SQUARES) {
            const struct llmrun_sum_squares_attributes *squares = program_attributes(&program, op);

            for (int64_t slot = squares->slot; slot < squares->slot + squares->row_parts * squares->column_parts;
                 slot++) {
                assert_in_range(slot, 0, slots - 1);
                assert_false(taken[slot]);
                taken[slot] = true;
                written++;
            }
            assert_int_equal(line[0], squares->slot);
            assert_int_equal(line[1], squares->row_parts);
            assert_int_equal(line[2], squares->column_parts);
            line += 3;
        }
    }
    assert_ptr_equal(line, table->contents + value_elements(table));
    assert_int_equal(written, slots);
    program_finish(&program);
}

/* The copies are made where the masters change: by AdamW for what is trained, by cast_weights for all. */
static void copies_follow_their_masters(void **state)
{
    struct program program;
    struct error error;
    int copies = 0, updated = 0, refreshed = 0;

    (void)state;
    golden_read("mlp_update", &program);
    assert_int_equal(pass_precision(&program, LLMRUN_BF16, &error), STATUS_OK);
    for (int64_t i = 0; i < program.value_count; i++)
        copies += program.values[i].kind == VALUE_CAST;
    for (int64_t i = 0; i < program.op_count; i++) {
        const int32_t *operands = program_operands(&program, &program.ops[i]);

        if (program.ops[i].op == LLMRUN_OP_ADAMW && operands[LLMRUN_ADAMW_COPY] != NO_VALUE) {
            assert_int_equal(program.values[operands[LLMRUN_ADAMW_COPY]].source, operands[LLMRUN_ADAMW_PARAMETER]);
            updated++;
        }
        if (program.ops[i].op == LLMRUN_OP_CAST) {
            assert_int_equal(program.values[operands[LLMRUN_CAST_Y]].source, operands[LLMRUN_CAST_X]);
            refreshed++;
        }
    }
    assert_int_equal(copies, 3); /* wte, fc and out; norms and biases stay fp32 */
    assert_int_equal(updated, copies);
    assert_int_equal(refreshed, copies);
    program_finish(&program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_update_needs_gradients),
        cmocka_unit_test(every_gradient_counts_once_in_the_norm),
        cmocka_unit_test(copies_follow_their_masters),
    };

    return cmocka_run_group_tests_name("passes update", tests, NULL, NULL);
}
