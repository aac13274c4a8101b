/* Each pass on a small program, line by line. mlp.txt: lookup, norm, MLP with a residual, tied head. block.txt: two
 * layers of GPT-2 with dropout. */
#include "golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "passes/backward.h"
#include "passes/combine.h"
#include "passes/cut.h"
#include "passes/optimizer.h"
#include "passes/pipeline_parallel.h"
#include "passes/precision.h"
#include "passes/recompute.h"
#include "passes/reduction_order.h"
#include "planned.h"

static const struct update_policy policy = {
    .beta1 = 0.9f, .beta2 = 0.95f, .epsilon = 1e-8f, .weight_decay = 0.1f, .clip = 1.0f};

static int run_backward(struct program *program, struct error *error)
{
    return pass_backward(program, error);
}

/* Two sequences of three positions in two batch parts. */
static int run_batch_parts(struct program *program, struct error *error)
{
    struct reduction_form form;
    const struct reduction_request request = {true, true, 3, 2, 2, 2, 0, 1};
    int status = reduction_form_make(&request, &form, error);

    if (status == STATUS_OK)
        status = pass_reduction_order(program, &form, error);
    return status == STATUS_OK ? pass_combine(program, &form, error) : status;
}

/* Microbatches of two sequences, a step of four batch parts of four: two microbatches a group. */
static int run_waiting_parts(struct program *program, struct error *error)
{
    struct reduction_form form;
    const struct reduction_request request = {true, true, 3, 16, 2, 4, 0, 1};
    int status = reduction_form_make(&request, &form, error);

    if (status == STATUS_OK)
        status = pass_reduction_order(program, &form, error);
    return status == STATUS_OK ? pass_combine(program, &form, error) : status;
}

static int run_unordered(struct program *program, struct error *error)
{
    struct reduction_form form;
    const struct reduction_request request = {false, true, 3, 16, 2, 4, 0, 1};
    int status = reduction_form_make(&request, &form, error);

    if (status == STATUS_OK)
        status = pass_reduction_order(program, &form, error);
    return status == STATUS_OK ? pass_combine(program, &form, error) : status;
}

static int run_update(struct program *program, struct error *error)
{
    return pass_optimizer(program, &policy, error);
}

static int run_bf16(struct program *program, struct error *error)
{
    return pass_precision(program, LLMRUN_BF16, error);
}

static int run_selective(struct program *program, struct error *error)
{
    return pass_recompute(program, RECOMPUTE_SELECTIVE, error);
}

static int run_full(struct program *program, struct error *error)
{
    return pass_recompute(program, RECOMPUTE_FULL, error);
}

/* Two sequences of three positions in two batch parts, on two ranks with a layer each. */
static int run_rank(struct program *program, int32_t rank, struct error *error)
{
    const struct reduction_request request = {true, false, 3, 4, 2, 4, 0, 1};
    const struct pipeline pipeline = {.shape = {.ranks = 2, .chunks = 1}};
    const struct pipeline_parallel_form form = {.pipeline = &pipeline, .rank = rank};
    struct reduction_form sums;
    struct stages stages = {0};
    const struct cut_form cut = {.stages = &stages, .pipeline = true};
    int status = reduction_form_make(&request, &sums, error);

    if (status == STATUS_OK)
        status = pass_reduction_order(program, &sums, error);
    if (status == STATUS_OK)
        status = pass_optimizer(program, &policy, error);
    if (status == STATUS_OK)
        status = stages_make(program, 2, 2, &stages, error);
    if (status == STATUS_OK)
        status = pass_cut(program, &cut, error);
    if (status == STATUS_OK)
        status = pass_combine(program, &sums, error);
    stages_finish(&stages);
    return status == STATUS_OK ? pass_pipeline_parallel(program, &form, NULL, error) : status;
}

static int run_first_rank(struct program *program, struct error *error)
{
    return run_rank(program, 0, error);
}

static int run_last_rank(struct program *program, struct error *error)
{
    return run_rank(program, 1, error);
}

static const struct golden {
    const char *from, *to;
    int (*pass)(struct program *program, struct error *error);
} cases[] = {
    {"mlp", "mlp_backward", run_backward},
    {"mlp_frozen", "mlp_frozen_backward", run_backward},
    {"mlp_backward", "mlp_batch_parts", run_batch_parts},
    {"mlp_backward", "mlp_waiting_parts", run_waiting_parts},
    {"mlp_backward", "mlp_unordered", run_unordered},
    {"mlp_backward", "mlp_update", run_update},
    {"mlp_update", "mlp_bf16", run_bf16},
    {"mlp_frozen", "mlp_frozen_bf16", run_bf16},
    {"block", "block_backward", run_backward},
    {"block_backward", "block_selective", run_selective},
    {"block_backward", "block_full", run_full},
    {"block_backward", "block_first_rank", run_first_rank},
    {"block_backward", "block_last_rank", run_last_rank},
};

static void a_pass_makes_of_a_program_the_committed_one(void **state)
{
    const struct golden *golden = *state;
    struct program program;
    struct error error;

    golden_read(golden->from, &program);
    if (golden->pass(&program, &error) != STATUS_OK)
        fail_msg("%s: %s", golden->to, error.message);
    golden_compare_program(golden->to, &program);
    program_finish(&program);
}

static void passes_that_have_nothing_to_do_change_nothing(void **state)
{
    struct program program;
    struct error error;

    (void)state;
    golden_read("mlp_update", &program);
    assert_int_equal(pass_precision(&program, LLMRUN_F32, &error), STATUS_OK);
    assert_int_equal(pass_recompute(&program, RECOMPUTE_NONE, &error), STATUS_OK);
    golden_compare_program("mlp_update", &program);
    program_finish(&program);
}

static void the_memory_plan_of_two_microbatches_is_the_committed_one(void **state)
{
    struct planned planned;
    struct program program;
    struct text text = {0};
    struct error error;

    (void)state;
    golden_read("mlp_bf16", &program);
    assert_int_equal(planned_make(&program, 2, 1000, false, &planned, &error), STATUS_OK);
    for (int i = 0; i < REGIONS; i++)
        text_add(&text, "%s: %lld bytes at %lld\n", plan_region_name((enum plan_region)i),
                 (long long)planned.plan.region_bytes[i], (long long)planned.plan.region_offset[i]);
    text_add(&text, "total: %lld\n", (long long)planned.plan.total_bytes);
    for (int64_t i = 0; i < program.value_count; i++) {
        const struct placement *at = &planned.plan.placements[i];

        text_add(&text, "%s: %s + %lld, %lld bytes", program.values[i].name, plan_region_name(at->region),
                 (long long)at->offset, (long long)value_bytes(&program.values[i]));
        for (int32_t k = 0; at->pool != NO_POOL && k < planned.flow.group_slots[planned.flow.group[at->pool]]; k++)
            text_add(&text, "%s %lld", k == 0 ? ", slots at" : "", (long long)at->steps[k]);
        text_add(&text, "\n");
    }
    golden_compare("mlp_plan", &text);
    planned_finish(&planned);
    program_finish(&program);
}

int main(void)
{
    enum { COUNT = sizeof cases / sizeof cases[0] };
    struct CMUnitTest tests[COUNT + 2];

    for (int i = 0; i < COUNT; i++)
        tests[i] = (struct CMUnitTest){cases[i].to, a_pass_makes_of_a_program_the_committed_one, NULL, NULL,
                                       (void *)(uintptr_t)&cases[i]};
    tests[COUNT] = (struct CMUnitTest)cmocka_unit_test(passes_that_have_nothing_to_do_change_nothing);
    tests[COUNT + 1] = (struct CMUnitTest)cmocka_unit_test(the_memory_plan_of_two_microbatches_is_the_committed_one);
    return cmocka_run_group_tests_name("passes golden", tests, NULL, NULL);
}
