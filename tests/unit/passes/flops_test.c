#include "passes/flops.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "golden.h"
#include "model/model.h"

static void a_small_program_has_the_count_by_hand(void **state)
{
    struct program program;

    (void)state;
    golden_read("mlp_backward", &program);
    /* fc and out: 2 * 6 rows * 4 * 8 each */
    assert_true(program_flops(&program, SECTION_FORWARD, true) == 2 * 384);
    /* the loss: x w^T, dx and dw over 15 tokens of the vocabulary; weight and input gradients of both */
    assert_true(program_flops(&program, SECTION_BACKWARD, true) == 3 * 2 * 6 * 4 * 15 + 4 * 384);
    assert_true(program_step_flops(&program, true) == 6 * 384 + 3 * 2 * 6 * 4 * 15);
    program_finish(&program);
}

static void what_is_computed_again_is_not_useful(void **state)
{
    struct program kept, again;

    (void)state;
    golden_read("block_backward", &kept);
    golden_read("block_full", &again);
    assert_true(program_flops(&again, SECTION_BACKWARD, true) == program_flops(&kept, SECTION_BACKWARD, true));
    /* Twice a layer of 4 matmuls [6, 4] x [4, 4], one of [8, 4], and attention of 2 * 2 * 6 * 4 * 2: c_proj of the MLP
     * is not needed again. */
    assert_true(program_flops(&again, SECTION_BACKWARD, false) - program_flops(&kept, SECTION_BACKWARD, false) ==
                2 * (4 * 192 + 384 + 192));
    assert_true(program_step_flops(&again, true) == program_step_flops(&kept, true));
    assert_true(program_step_flops(&again, false) - program_step_flops(&kept, false) == 2 * (4 * 192 + 384 + 192));
    program_finish(&kept);
    program_finish(&again);
}

static void an_op_that_the_table_does_not_cover_is_a_bug(void **state)
{
    struct program program;
    struct error error;

    (void)state;
    golden_read("block_backward", &program);
    assert_int_equal(flops_check(&program, &error), STATUS_OK);
    program.ops[1].op = 99;
    assert_int_equal(flops_check(&program, &error), STATUS_BUG);
    assert_string_equal(error.message, "op 99 is not in the op table, so its FLOPs cannot be counted");
    program_finish(&program);
}

/* The head of GPT-2's usual estimate: 2 flops a parameter of the matmuls and token forward, and the causal half of
 * attention. */
static void gpt2_has_two_flops_a_weight_and_token(void **state)
{
    const int64_t rows = 1024, sequence = 1024;
    struct model_batch batch = {.sequences = 1, .sequence = sequence, .random = NO_VALUE};
    struct model_config config;
    struct program program;
    struct builder b;
    struct error error;

    (void)state;
    assert_int_equal(model_preset("gpt2", &config, &error), STATUS_OK);
    program_init(&program);
    builder_init(&b, &program, &error);
    builder_section(&b, SECTION_FORWARD);
    batch.tokens = build_value(&b, "tokens", VALUE_INPUT, 0, LLMRUN_I32, 1, &rows);
    batch.positions = build_value(&b, "positions", VALUE_INPUT, 0, LLMRUN_I32, 1, &rows);
    batch.segment_starts = build_value(&b, "segment_starts", VALUE_INPUT, 0, LLMRUN_I32, 1, &rows);
    model_build_hidden(&b, &config, &batch);
    assert_int_equal(b.status, STATUS_OK);
    /* 12 layers of 12 c^2 weights; q k^T and p v over T (T + 1) / 2 pairs, 2 c flops each a pair. */
    assert_true(program_flops(&program, SECTION_FORWARD, true) ==
                12.0 * (2.0 * 1024 * 12 * 768 * 768 + 2 * 2.0 * 768 * 1024 * 1025 / 2));
    program_finish(&program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_program_has_the_count_by_hand),
        cmocka_unit_test(what_is_computed_again_is_not_useful),
        cmocka_unit_test(an_op_that_the_table_does_not_cover_is_a_bug),
        cmocka_unit_test(gpt2_has_two_flops_a_weight_and_token),
    };

    return cmocka_run_group_tests_name("passes flops", tests, NULL, NULL);
}
