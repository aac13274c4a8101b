#include "passes/pipeline_parallel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "program/op_table.h"
#include "program/text.h"
#include "program/verify.h"

static void parse(const char *text, struct program *program)
{
    struct error error;

    program_init(program);
    if (program_parse(program, text, &error) != STATUS_OK)
        fail_msg("%s\n%s", error.message, text);
}

/* "gelu x -> y" a line, below its section. */
static void outline(const struct program *program, struct text *text)
{
    for (int64_t s = 0; s < program->section_count; s++) {
        program_print_section(&program->sections[s], text);
        text_add(text, "\n");
        for (int32_t n = 0; n < program->sections[s].op_count; n++) {
            const struct op *op = &program->ops[program->sections[s].first_op + n];
            const struct op_info *info = op_info_find(op->op);
            const int32_t *operands = program_operands(program, op);

            text_add(text, "  %s", info->name);
            for (uint32_t i = 0; info->operands[i].name != NULL; i++)
                text_add(text, " %s%s",
                         info->operands[i].direction == OPERAND_OUT && info->operands[i - 1].direction != OPERAND_OUT
                             ? "-> "
                             : "",
                         operands[i] != NO_VALUE ? program->values[operands[i]].name : "_");
            if (op->op == OP_SEND || op->op == OP_RECEIVE) {
                const struct transfer_attributes *attributes = program_attributes(program, op);

                text_add(text, " peer %u link %u", attributes->peer, attributes->link);
            }
            text_add(text, "\n");
        }
    }
}

static int run(struct program *program, int32_t ranks, int32_t chunks, enum pipeline_placement placement, int32_t rank,
               struct error *error)
{
    const struct pipeline pipeline = {.shape = {.ranks = ranks, .chunks = chunks}, .placement = placement};
    const struct pipeline_parallel_form form = {.pipeline = &pipeline, .rank = rank};

    return pass_pipeline_parallel(program, &form, NULL, error);
}

static void becomes(const char *from, int32_t ranks, int32_t chunks, enum pipeline_placement placement, int32_t rank,
                    const char *wanted)
{
    struct text text = {0};
    struct program program;
    struct error error;

    parse(from, &program);
    if (run(&program, ranks, chunks, placement, rank, &error) != STATUS_OK ||
        program_verify(&program, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    outline(&program, &text);
    assert_string_equal(text.data, wanted);
    text_finish(&text);
    program_finish(&program);
}

static void refused(const char *from, const char *message)
{
    struct program program;
    struct error error = {0};
    struct text before = {0}, after = {0};

    parse(from, &program);
    program_print(&program, &before);
    assert_int_equal(run(&program, 3, 1, PIPELINE_LOOP, 0, &error), STATUS_BUG);
    assert_string_equal(error.message, message);
    program_print(&program, &after);
    assert_string_equal(after.data, before.data);
    text_finish(&before);
    text_finish(&after);
    program_finish(&program);
}

#define VALUES                                                                                                         \
    "llmrun-program 1\n"                                                                                               \
    "%0 = parameter f32[8,4] \"x\"\n"                                                                                  \
    "%1 = parameter f32[4] \"n\"\n"                                                                                    \
    "%2 = activation f32[8,4] \"stream\"\n"                                                                            \
    "%3 = activation f32[8,4] \"branch\"\n"                                                                            \
    "%4 = activation f32[8,4] \"sum\"\n"                                                                               \
    "%5 = activation f32[8,4] \"y\"\n"                                                                                 \
    "%6 = activation f32[8,1] \"rstd\"\n"                                                                              \
    "%7 = activation f32[8,4] \"dy\"\n"                                                                                \
    "%8 = activation f32[8,4] \"d\"\n"                                                                                 \
    "%9 = activation f32[8,4] \"e\"\n"                                                                                 \
    "%10 = activation f32[8,4] \"f\"\n"
#define NORM "  rmsnorm(%3, %2, %1 -> %5, %4, %6) {epsilon: 1, reserved: 0} F layer 1\n"

/* Two layers, a boundary between them at which the stream and a branch are alive. */
#define RESIDUAL                                                                                                       \
    VALUES "section forward 0 layer 0\n"                                                                               \
           "  gelu(%0 -> %2) F layer 0\n"                                                                              \
           "  gelu(%2 -> %3) F layer 0\n"                                                                              \
           "section forward 1 layer 1\n" NORM "section backward 1 layer 1\n"                                           \
           "  gelu(%5 -> %7) B layer 1\n"                                                                              \
           "  gelu_grad(%7, %4 -> %8) B layer 1\n"                                                                     \
           "section backward 0 layer 0\n"                                                                              \
           "  gelu_grad(%8, %3 -> %9) B layer 0\n"                                                                     \
           "  gelu_grad(%8, %9 -> %10) B layer 0\n"

static void the_sender_adds_the_branch_to_the_stream(void **state)
{
    (void)state;
    becomes(RESIDUAL, 2, 1, PIPELINE_LOOP, 0,
            "forward 0 layer 0\n"
            "  gelu x -> stream\n"
            "  gelu stream -> branch\n"
            "  add branch stream -> sum\n"
            "  send sum -> sum.sent peer 1 link 0\n"
            "backward 0 layer 0\n"
            "  receive d.received -> d peer 1 link 1\n"
            "  gelu_grad d branch -> e\n"
            "  gelu_grad d e -> f\n");
    becomes(RESIDUAL, 2, 1, PIPELINE_LOOP, 1,
            "forward 0 layer 1\n"
            "  receive sum.received -> sum peer 0 link 0\n"
            "  rmsnorm sum _ n -> y _ rstd\n"
            "backward 0 layer 1\n"
            "  gelu y -> dy\n"
            "  gelu_grad dy sum -> d\n"
            "  send d -> d.sent peer 0 link 1\n");
}

/* Down ranks 0 and 1, and up again: stages 1 and 2 are on one rank. */
static void nothing_is_sent_between_two_stages_of_one_rank(void **state)
{
    static const char stages[] = VALUES "section forward 0 layer 0\n"
                                        "  gelu(%0 -> %10) F layer 0\n"
                                        "section forward 1 layer 1\n"
                                        "  gelu(%10 -> %2) F layer 1\n"
                                        "  gelu(%10 -> %3) F layer 1\n"
                                        "section forward 2 layer 2\n"
                                        "  rmsnorm(%3, %2, %1 -> %5, %4, %6) {epsilon: 1, reserved: 0} F layer 2\n"
                                        "section forward 3 layer 3\n"
                                        "  gelu(%5 -> %7) F layer 3\n";

    (void)state;
    becomes(stages, 2, 2, PIPELINE_V, 1,
            "forward 0 layer 1\n"
            "  receive f.received -> f peer 0 link 0\n"
            "  gelu f -> stream\n"
            "  gelu f -> branch\n"
            "forward 1 layer 2\n"
            "  rmsnorm branch stream n -> y sum rstd\n"
            "  send y -> y.sent peer 0 link 4\n");
    becomes(stages, 2, 2, PIPELINE_LOOP, 1,
            "forward 0 layer 1\n"
            "  receive f.received -> f peer 0 link 0\n"
            "  gelu f -> stream\n"
            "  gelu f -> branch\n"
            "  add branch stream -> sum\n"
            "  send sum -> sum.sent peer 0 link 2\n"
            "forward 1 layer 3\n"
            "  receive y.received -> y peer 0 link 4\n"
            "  gelu y -> dy\n");
}

/* B and W apart: W of the lower stage uses what B received, and the gradient is sent before W. */
static void b_sends_before_w_runs(void **state)
{
    static const char split[] = VALUES "%11 = gradient f32[4,4] \"g\" of %1\n"
                                       "section backward_input 1 layer 1\n"
                                       "  gelu(%0 -> %8) B layer 1\n"
                                       "section backward_input 0 layer 0\n"
                                       "  gelu(%8 -> %9) B layer 0\n"
                                       "section backward_weight 1 layer 1\n"
                                       "  gelu(%8 -> %10) W layer 1\n"
                                       "section backward_weight 0 layer 0\n"
                                       "  matmul_weight_grad(%8, %9 -> %11) {batch_parts: 1, reserved: 0} W layer 0\n";

    (void)state;
    becomes(split, 2, 1, PIPELINE_LOOP, 1,
            "backward_input 0 layer 1\n"
            "  gelu x -> d\n"
            "  send d -> d.sent peer 0 link 1\n"
            "backward_weight 0 layer 1\n"
            "  gelu d -> f\n");
    becomes(split, 2, 1, PIPELINE_LOOP, 0,
            "backward_input 0 layer 0\n"
            "  receive d.received -> d peer 1 link 1\n"
            "  gelu d -> e\n"
            "backward_weight 0 layer 0\n"
            "  matmul_weight_grad d e -> g\n");
}

/* The head's term, of the last stage, and the lookup's, of the first one; other parameters are where they are used. */
static void terms_of_a_tied_weight_are_exchanged(void **state)
{
    static const char tied[] = "llmrun-program 1\n"
                               "%0 = parameter f32[8,4] \"tied\" trainable\n"
                               "%1 = parameter f32[8,4] \"own\" trainable\n"
                               "%2 = activation f32[8,4] \"x\"\n"
                               "%3 = activation f32[8,4] \"y\"\n"
                               "%4 = gradient f32[8,4] \"tied.grad\" of %0\n"
                               "%5 = partial_rows f32[8,4] \"tied.use2\" of %4\n"
                               "%6 = gradient f32[8,4] \"own.grad\" of %1\n"
                               "%7 = activation f64[2] \"squares\"\n"
                               "%8 = constant i32[2,3] \"table\"\n"
                               "%9 = activation f64[2] \"roots\"\n"
                               "section forward 0 layer 0\n"
                               "  gelu(%0 -> %2) F layer 0\n"
                               "section forward 1 layer 1\n"
                               "  add(%2, %1 -> %3) F layer 1\n"
                               "section backward 1 layer 1\n"
                               "  gelu_grad(%3, %0 -> %4) W layer 1\n"
                               "  gelu_grad(%3, %1 -> %6) W layer 1\n"
                               "section backward 0 layer 0\n"
                               "  gelu_grad(%2, %0 -> %5) W layer 0\n"
                               "section reduce 0 layer 0\n"
                               "  reduce(%4, %5 -> %4) U layer 0\n"
                               "section update 0\n"
                               "  sum_squares(%4, %7) {slot: 0, row_parts: 1, column_parts: 1} U\n"
                               "  sum_squares(%6, %7) {slot: 1, row_parts: 1, column_parts: 1} U\n"
                               "  slot_tree(%7, %8 -> %9) U\n";

    (void)state;
    becomes(tied, 2, 1, PIPELINE_LOOP, 0,
            "forward 0 layer 0\n"
            "  gelu tied -> x\n"
            "  send x -> x.sent peer 1 link 0\n"
            "backward 0 layer 0\n"
            "  gelu_grad x tied -> tied.use2\n"
            "reduce 0 layer 0\n"
            "  send tied.use2 -> _ peer 1 link 5\n"
            "  receive _ -> tied.grad peer 1 link 4\n"
            "  reduce tied.grad tied.use2 -> tied.grad\n"
            "update 0\n"
            "  sum_squares tied.grad squares.stage\n"
            "  all_reduce squares.stage -> squares\n"
            "  slot_tree squares table -> roots\n");
    becomes(tied, 2, 1, PIPELINE_LOOP, 1,
            "forward 0 layer 1\n"
            "  receive x.received -> x peer 0 link 0\n"
            "  add x own -> y\n"
            "backward 0 layer 1\n"
            "  gelu_grad y tied -> tied.grad\n"
            "  gelu_grad y own -> own.grad\n"
            "reduce 0 layer 0\n"
            "  send tied.grad -> _ peer 0 link 4\n"
            "  receive _ -> tied.use2 peer 0 link 5\n"
            "  reduce tied.grad tied.use2 -> tied.grad\n"
            "update 0\n"
            "  sum_squares tied.grad squares.stage\n"
            "  sum_squares own.grad squares.stage\n"
            "  all_reduce squares.stage -> squares\n"
            "  slot_tree squares table -> roots\n");
    for (int32_t rank = 0; rank < 2; rank++) {
        struct program program;
        struct error error;

        parse(tied, &program);
        assert_int_equal(run(&program, 2, 1, PIPELINE_LOOP, rank, &error), STATUS_OK);
        for (int64_t i = 0; i < program.op_count; i++) {
            const struct llmrun_sum_squares_attributes *attributes = program_attributes(&program, &program.ops[i]);

            if (program.ops[i].op == LLMRUN_OP_SUM_SQUARES)
                assert_int_equal(attributes->replica, rank == 1 && attributes->slot == 0);
        }
        program_finish(&program);
    }
}

/* Where nothing meets in reduce, the update takes what the one holder has. */
static void a_gradient_of_one_term_reaches_both_holders(void **state)
{
    static const char shared[] = "llmrun-program 1\n"
                                 "%0 = parameter f32[8,4] \"tied\" trainable\n"
                                 "%1 = activation f32[8,4] \"x\"\n"
                                 "%2 = gradient f32[8,4] \"tied.grad\" of %0\n"
                                 "%3 = activation f64[1] \"squares\"\n"
                                 "section forward 0 layer 0\n"
                                 "  gelu(%0 -> %1) F layer 0\n"
                                 "section update 0\n"
                                 "  sum_squares(%2, %3) {slot: 0, row_parts: 1, column_parts: 1} U\n"
                                 "section backward 1 layer 1\n"
                                 "  gelu_grad(%0, %0 -> %2) W layer 1\n";

    (void)state;
    becomes(shared, 2, 1, PIPELINE_LOOP, 0,
            "forward 0 layer 0\n"
            "  gelu tied -> x\n"
            "update 0\n"
            "  receive _ -> tied.grad peer 1 link 4\n"
            "  sum_squares tied.grad squares.stage\n"
            "  all_reduce squares.stage -> squares\n");
    becomes(shared, 2, 1, PIPELINE_LOOP, 1,
            "backward 0 layer 1\n"
            "  gelu_grad tied tied -> tied.grad\n"
            "update 0\n"
            "  send tied.grad -> _ peer 0 link 4\n"
            "  sum_squares tied.grad squares.stage\n"
            "  all_reduce squares.stage -> squares\n");
}

/* Losses of a microbatch, of the last stage. */
static void results_of_a_stage_reach_all_ranks(void **state)
{
    static const char results[] = "llmrun-program 1\n"
                                  "%0 = parameter f32[1,4] \"x\"\n"
                                  "%1 = activation f32[1,4] \"y\"\n"
                                  "%2 = result f32[1,4] \"logits\"\n"
                                  "section prefill 0 layer 0\n"
                                  "  gelu(%0 -> %1) F layer 0\n"
                                  "section prefill 1 layer 1\n"
                                  "  cast(%1 -> %2) F layer 1\n";

    (void)state;
    becomes(results, 2, 1, PIPELINE_LOOP, 0,
            "prefill 0 layer 0\n"
            "  gelu x -> y\n"
            "  send y -> y.sent peer 1 link 0\n"
            "  all_reduce logits.stage -> logits\n");
    becomes(results, 2, 1, PIPELINE_LOOP, 1,
            "prefill 0 layer 1\n"
            "  receive y.received -> y peer 0 link 0\n"
            "  cast y -> logits.stage\n"
            "  all_reduce logits.stage -> logits\n");
}

static void values_get_new_numbers(void **state)
{
    const struct pipeline pipeline = {.shape = {.ranks = 2, .chunks = 1}};
    struct program program;
    struct error error;
    int32_t ids[11];

    (void)state;
    for (int32_t rank = 0; rank < 2; rank++) {
        static const char *const names[] = {"x", "n", "stream", "branch", "sum", "y", "rstd", "dy", "d", "e", "f"};
        const struct pipeline_parallel_form form = {.pipeline = &pipeline, .rank = rank};

        parse(RESIDUAL, &program);
        assert_int_equal(pass_pipeline_parallel(&program, &form, ids, &error), STATUS_OK);
        for (int i = 0; i < 11; i++)
            assert_int_equal(ids[i], program_find(&program, names[i]));
        assert_int_equal(ids[0] == NO_VALUE, rank == 1);
        assert_int_equal(ids[1] == NO_VALUE, rank == 0);
        program_finish(&program);
    }
}

static void what_cannot_cross_is_named(void **state)
{
    (void)state;
    refused(VALUES "section forward 0\n  gelu(%0 -> %2) F\nsection forward 1\nsection forward 2\n  gelu(%2 -> %3) F\n",
            "stream is made in stage 0 and used in stage 2, which it is not sent to");
    refused(VALUES "section forward 0\n  gelu(%0 -> %2) F\nsection forward 1\nsection backward 1\n  gelu(%2 -> %3) B\n"
                   "section backward 0\n",
            "stream is made in stage 0 and used in stage 1, which it is not sent to");
    refused(VALUES "section forward 0\n  gelu(%0 -> %2) F\n  gelu(%0 -> %3) F\n  gelu(%0 -> %4) F\n"
                   "section forward 1\n  add(%2, %3 -> %5) F\n  gelu(%4 -> %7) F\n",
            "stream, branch and sum cross from stage 0 to 1, where one tensor can");
    refused(VALUES "section forward 0\n  gelu(%0 -> %2) F\n  gelu(%0 -> %3) F\n"
                   "section forward 1\n  add(%2, %3 -> %5) F\n",
            "stream and branch cross to stage 1, where no op takes them as branch and residual stream alone");
    refused(VALUES "section forward 0\n  gelu(%0 -> %2) F\n  gelu(%0 -> %3) F\n"
                   "section forward 1\n" NORM "  gelu(%3 -> %7) F\n",
            "branch and stream cross to stage 1, where no op takes them as branch and residual stream alone");
    refused(VALUES "section forward 0\n  gelu(%0 -> %2) F\nsection forward 1\n  gelu(%0 -> %3) F\n"
                   "section forward 2\n  gelu(%0 -> %4) F\n",
            "ranks 0, 1 and 2 of the pipeline use x, where two can");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sender_adds_the_branch_to_the_stream),
        cmocka_unit_test(nothing_is_sent_between_two_stages_of_one_rank),
        cmocka_unit_test(b_sends_before_w_runs),
        cmocka_unit_test(terms_of_a_tied_weight_are_exchanged),
        cmocka_unit_test(a_gradient_of_one_term_reaches_both_holders),
        cmocka_unit_test(results_of_a_stage_reach_all_ranks),
        cmocka_unit_test(values_get_new_numbers),
        cmocka_unit_test(what_cannot_cross_is_named),
    };

    return cmocka_run_group_tests_name("passes pipeline parallel", tests, NULL, NULL);
}
