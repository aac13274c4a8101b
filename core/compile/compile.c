#include "compile/compile.h"

#include <stdlib.h>
#include <string.h>

#include "compile/values.h"
#include "passes/backward.h"
#include "passes/flops.h"
#include "passes/precision.h"
#include "passes/reduction_order.h"
#include "program/op_table.h"
#include "program/verify.h"

static int build(const struct compile_request *request, struct program *program, struct error *error)
{
    struct builder builder;

    builder_init(&builder, program, error);
    builder_section(&builder, SECTION_INIT);
    builder.role = ROLE_UPDATE;
    model_build_init(&builder, &request->model, request->seed);
    builder.role = ROLE_FORWARD;
    if (request->train)
        values_build_train(&builder, request);
    if (request->eval_batch > 0)
        values_build_evaluate(&builder, request);
    if (request->generate)
        values_build_generate(&builder, request);
    return builder.status;
}

/* The passes in their order. Sharding comes after precision; the pipeline cut and data parallelism after recompute. */
static int run_passes(const struct compile_request *request, const struct reduction_form *form, struct program *program,
                      struct error *error)
{
    struct update_policy update = request->update;
    int status = STATUS_OK;

    update.exact = form->exact;
    if (request->train)
        status = pass_backward(program, error);
    if (status == STATUS_OK)
        status = pass_reduction_order(program, form, error);
    if (status == STATUS_OK && request->train)
        status = pass_update(program, &update, error);
    if (status == STATUS_OK)
        status = pass_precision(program, request->compute_dtype, error);
    if (status == STATUS_OK)
        status = pass_recompute(program, request->recompute, error);
    if (status == STATUS_OK)
        status = program_verify(program, error);
    if (status == STATUS_OK)
        status = flops_check(program, error);
    return status;
}

static int ask_workspace(const struct compile_request *request, const struct compiled *compiled, int64_t *largest,
                         struct error *error)
{
    *largest = 0;
    for (int64_t i = 0; i < compiled->program.op_count; i++) {
        struct llmrun_tensor tensors[LLMRUN_MAX_OPERANDS];
        struct llmrun_op op;
        int64_t bytes = 0;
        int status;

        compile_describe(compiled, &compiled->program.ops[i], tensors, &op);
        status = request->query(request->query_context, &op, &bytes, error);
        if (status != STATUS_OK)
            return status;
        *largest = bytes > *largest ? bytes : *largest;
    }
    return STATUS_OK;
}

static int plan(const struct compile_request *request, struct compiled *compiled, struct error *error)
{
    int64_t workspace;
    int status = memory_plan_make(&compiled->program, compiled->microbatches, 0, request->device_compiles,
                                  &compiled->plan, error);

    if (status != STATUS_OK || request->query == NULL)
        return status;
    status = ask_workspace(request, compiled, &workspace, error);
    if (status != STATUS_OK)
        return status;
    compiled->workspace_known = true;
    memory_plan_free(&compiled->plan);
    return memory_plan_make(&compiled->program, compiled->microbatches, workspace, request->device_compiles,
                            &compiled->plan, error);
}

static int check_sizes(const struct compile_request *request, struct error *error)
{
    if (request->train && request->global_batch < 1)
        return error_set(error, STATUS_USAGE, "train.global_batch is %lld; at least 1 is needed",
                         (long long)request->global_batch);
    if (request->train && (request->micro_batch < 1 || request->global_batch % request->micro_batch != 0))
        return error_set(error, STATUS_USAGE, "train.micro_batch %lld does not divide train.global_batch %lld",
                         (long long)request->micro_batch, (long long)request->global_batch);
    if (request->train && request->global_batch / request->micro_batch > INT32_MAX)
        return error_set(error, STATUS_USAGE, "train.global_batch %lld has more than %d microbatches of %lld",
                         (long long)request->global_batch, INT32_MAX, (long long)request->micro_batch);
    if (request->sequence < 1)
        return error_set(error, STATUS_USAGE, "data.seq_len is %lld; at least 1 is needed",
                         (long long)request->sequence);
    if (request->sequence > request->model.n_positions || request->eval_sequence > request->model.n_positions)
        return error_set(error, STATUS_USAGE, "data.seq_len %lld is longer than the model's context of %lld",
                         (long long)request->sequence, (long long)request->model.n_positions);
    return STATUS_OK;
}

static int make_form(const struct compile_request *request, struct reduction_form *form, struct error *error)
{
    const struct reduction_request sums = {.exact = request->exact,
                                           .sequence = request->sequence,
                                           .global_batch = request->train ? request->global_batch : 1,
                                           .micro_batch = request->train ? request->micro_batch : 1,
                                           .batch_parts = request->train ? request->batch_parts : 1,
                                           .position_parts = request->position_parts};

    if (request->train && request->exact && request->compute_dtype == LLMRUN_BF16 && request->sequence % 2 != 0)
        return error_set(
            error, STATUS_USAGE,
            "data.seq_len is %lld; with numerics.exact and precision.compute bf16 it must be even, so that "
            "no pair of tokens has one in the next sequence",
            (long long)request->sequence);
    return reduction_form_make(&sums, form, error);
}

int compile_step(const struct compile_request *request, struct compiled *compiled, struct error *error)
{
    int status = model_check(&request->model, error);

    memset(compiled, 0, sizeof *compiled);
    if (status == STATUS_OK)
        status = check_sizes(request, error);
    if (status == STATUS_OK)
        status = make_form(request, &compiled->form, error);
    if (status != STATUS_OK)
        return status;
    compiled->alignment = request->alignment > 0 ? request->alignment : PLAN_ALIGNMENT;
    compiled->microbatches = request->train ? (int32_t)(request->global_batch / request->micro_batch) : 1;
    status = build(request, &compiled->program, error);
    if (status == STATUS_OK)
        status = run_passes(request, &compiled->form, &compiled->program, error);
    if (status == STATUS_OK && request->train)
        status = schedule_accumulate(compiled->microbatches, (int32_t)compiled->form.groups, compiled->form.accumulate,
                                     &compiled->schedule, error);
    if (status == STATUS_OK && request->train)
        status = schedule_check(&compiled->schedule, error);
    if (status == STATUS_OK)
        status = plan(request, compiled, error);
    if (status != STATUS_OK)
        compiled_free(compiled);
    return status;
}

void compiled_free(struct compiled *compiled)
{
    program_free(&compiled->program);
    schedule_free(&compiled->schedule);
    memory_plan_free(&compiled->plan);
}

int64_t compile_alignment(const struct compiled *compiled, int32_t value)
{
    const struct placement *at = &compiled->plan.placements[value];
    int64_t alignment = at->placed ? at->alignment : PLAN_ALIGNMENT;

    return alignment < compiled->alignment ? alignment : compiled->alignment;
}

void compile_describe(const struct compiled *compiled, const struct op *op, struct llmrun_tensor *tensors,
                      struct llmrun_op *out)
{
    const struct program *program = &compiled->program;
    const struct op_info *info = op_info_find(op->op);
    const int32_t *operands = program_operands(program, op);

    memset(out, 0, sizeof *out);
    out->size = sizeof *out;
    out->op = op->op;
    out->version = op->version;
    out->flags = LLMRUN_OP_DETERMINISTIC | (compiled->form.exact ? LLMRUN_OP_EXACT : 0);
    out->accumulate = op->accumulate;
    out->attributes = program_attributes(program, op);
    out->attribute_bytes = op_attribute_bytes(info);
    out->operand_count = op_operand_count(info);
    out->operands = tensors;
    for (uint32_t i = 0; i < out->operand_count; i++)
        program_tensor(program, operands[i], operands[i] != NO_VALUE ? compile_alignment(compiled, operands[i]) : 0,
                       &tensors[i]);
}
