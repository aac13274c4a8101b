#include "compile/compile.h"

#include <stdlib.h>
#include <string.h>

#include "compile/values.h"
#include "passes/backward.h"
#include "passes/combine.h"
#include "passes/cut.h"
#include "passes/data_parallel.h"
#include "passes/flops.h"
#include "passes/pipeline_parallel.h"
#include "passes/precision.h"
#include "passes/reduction_order.h"
#include "passes/segments.h"
#include "passes/shard.h"
#include "program/text.h"
#include "program/verify.h"

static struct mesh mesh_of(const struct compile_request *request)
{
    return request->mesh.sizes[0] > 0 ? request->mesh : mesh_single();
}

static int32_t chunks_of(const struct compile_request *request)
{
    return request->chunks != 0 ? request->chunks : 1;
}

/* Chunks of a rank that trains; evaluation and generation alone have one. */
static int32_t step_chunks(const struct compile_request *request)
{
    return request->train ? chunks_of(request) : 1;
}

static int32_t pipeline_ranks(const struct compile_request *request)
{
    return mesh_of(request).sizes[MESH_PP];
}

static int build(const struct compile_request *request, struct program *program, struct io_values *io,
                 struct error *error)
{
    struct builder builder;

    builder_init(&builder, program, error);
    builder_section(&builder, SECTION_INIT);
    builder.role = ROLE_UPDATE;
    model_build_init(&builder, &request->model, request->seed);
    builder.role = ROLE_FORWARD;
    if (request->train) {
        values_build_train(&builder, request, io);
        if (builder.status == STATUS_OK)
            builder.status = pass_backward(program, error);
    }
    if (request->eval_batch > 0)
        values_build_evaluate(&builder, request, io);
    if (request->generate)
        values_build_generate(&builder, request, io);
    return builder.status;
}

static int run_cut(const struct compile_request *request, struct program *program, struct error *error)
{
    struct stages stages;
    const struct cut_form cut = {
        .stages = &stages, .split = pipeline_splits(request->schedule), .pipeline = pipeline_ranks(request) > 1};
    int status = stages_make(program, (int32_t)request->model.n_layer, pipeline_ranks(request) * step_chunks(request),
                             &stages, error);

    if (status == STATUS_OK)
        status = pass_cut(program, &cut, error);
    stages_finish(&stages);
    return status;
}

/* The ids of `io` are those of values that the pass gives new numbers. */
static int run_pipeline(const struct compile_request *request, struct program *program, struct io_values *io,
                        struct error *error)
{
    const struct pipeline layout = {.shape = {.ranks = pipeline_ranks(request), .chunks = step_chunks(request)},
                                    .placement = pipeline_placement_of(request->schedule, step_chunks(request))};
    const struct pipeline_parallel_form form = {.pipeline = &layout, .rank = request->mesh.index[MESH_PP]};
    int32_t *new_ids = malloc(((size_t)program->value_count + 1) * sizeof *new_ids);
    int status = new_ids != NULL ? pass_pipeline_parallel(program, &form, new_ids, error)
                                 : error_set(error, STATUS_MEMORY, "no memory for the values of the program");

    if (status == STATUS_OK)
        values_renumber(io, new_ids);
    free(new_ids);
    return status;
}

static int run_shard(const struct compile_request *request, const struct reduction_form *sums, struct program *program,
                     struct error *error)
{
    const struct shard_form form = {.mesh = mesh_of(request),
                                    .sequence_parallel = request->sequence_parallel,
                                    .loss_chunk = request->loss_chunk,
                                    .sums = sums};

    return pass_shard(program, &form, error);
}

/* The passes in their order; the first one, backward, ran when forward was built. */
static int run_passes(const struct compile_request *request, struct compiled *compiled, struct error *error)
{
    const struct reduction_form *form = &compiled->form;
    struct program *program = &compiled->program;
    struct update_policy update = request->update;
    int status;

    /* Ranks that share a tensor have slots of their own in its norm. */
    update.exact = form->exact || mesh_of(request).sizes[MESH_TP] > 1 || request->zero > 0;
    status = pass_reduction_order(program, form, error);
    if (status == STATUS_OK && request->train)
        status = pass_optimizer(program, &update, error);
    if (status == STATUS_OK)
        status = pass_precision(program, request->compute_dtype, error);
    if (status == STATUS_OK && request->no_f64)
        pass_narrow(program);
    if (status == STATUS_OK)
        compiled->logical_hash = program_hash(program);
    if (status == STATUS_OK)
        status = run_shard(request, form, program, error);
    if (status == STATUS_OK)
        status = pass_recompute(program, request->recompute, error);
    if (status == STATUS_OK)
        status = pass_data_parallel(
            program, &(const struct data_parallel_form){.mesh = compiled->mesh, .zero = request->zero, .sums = form},
            error);
    if (status == STATUS_OK)
        status = run_cut(request, program, error);
    if (status == STATUS_OK && request->train)
        status = pass_combine(program, form, error);
    if (status == STATUS_OK)
        status = run_pipeline(request, program, &compiled->io, error);
    if (status == STATUS_OK)
        status = program_verify(program, error);
    if (status == STATUS_OK)
        status = pass_segments(program, error);
    if (status == STATUS_OK)
        status = flops_check(program, error);
    return status;
}

/* Values that passes add. */
static void find_added(const struct program *program, struct io_values *io)
{
    io->learning_rate = program_find(program, "learning_rate");
    io->bias_correction = program_find(program, "bias_correction");
    io->grad_norm = program_find(program, "grad_norm");
    io->found_inf = program_find(program, "found_inf");
    if (program_find(program, "eval.losses." DATA_PARALLEL_ALL) != NO_VALUE)
        io->evaluate_losses = program_find(program, "eval.losses." DATA_PARALLEL_ALL);
}

static int make_schedule(const struct compile_request *request, struct compiled *compiled, struct error *error)
{
    const struct pipeline_shape shape = {.ranks = pipeline_ranks(request),
                                         .chunks = chunks_of(request),
                                         .microbatches = compiled->microbatches,
                                         .groups = (int32_t)compiled->form.groups,
                                         .zero = compiled->form.accumulate};
    int status = pipeline_of_kind(request->schedule, &shape, &compiled->pipeline, error);

    return status == STATUS_OK ? pipeline_check(&compiled->pipeline, error) : status;
}

/* Sequences of this rank in the rows of a section. */
static int64_t batch_of(const struct compile_request *request, const struct compiled *compiled, enum section_kind kind)
{
    switch (kind) {
    case SECTION_EVALUATE:
        return request->eval_batch / compiled->mesh.sizes[MESH_DP];
    case SECTION_PREFILL:
    case SECTION_DECODE:
        return 1;
    default:
        return request->micro_batch;
    }
}

/* Their scratch is *workspace bytes at most; reductions need more beside it, as the device says. */
static int make_exchanges(const struct compile_request *request, struct compiled *compiled, int64_t *workspace,
                          struct error *error)
{
    const struct program *program = &compiled->program;
    int status = STATUS_OK;

    for (int64_t s = 0; status == STATUS_OK && s < program->section_count; s++) {
        const struct op *op = segment_communication(program, &program->sections[s]);

        if (op == NULL)
            continue;
        if (compiled->exchanges == NULL)
            compiled->exchanges = calloc((size_t)program->section_count, sizeof *compiled->exchanges);
        if (compiled->exchanges == NULL)
            return error_set(error, STATUS_MEMORY, "no memory for the exchanges of a step");
        status = exchange_make(program, op, &compiled->mesh,
                               batch_of(request, compiled, (enum section_kind)program->sections[s].kind),
                               compiled->form.exact, &compiled->exchanges[s], error);
        if (status == STATUS_OK && compiled->exchanges[s].terms_bytes > *workspace)
            *workspace = compiled->exchanges[s].terms_bytes;
    }
    return status;
}

int compile_plan(const struct compile_request *request, struct compiled *compiled, struct error *error)
{
    const struct pipeline_rank *rank = NULL;
    int64_t workspace = 0, asked = 0;
    int status = make_exchanges(request, compiled, &workspace, error);

    if (status == STATUS_OK && request->train)
        status = make_schedule(request, compiled, error);
    if (compiled->pipeline.ranks != NULL)
        rank = &compiled->pipeline.ranks[compiled->mesh.index[MESH_PP]];
    if (status == STATUS_OK)
        status = flow_make(&compiled->program, &compiled->pipeline.shape, rank, &compiled->flow, error);
    if (status == STATUS_OK)
        status = commands_make(&compiled->program, &compiled->pipeline.shape, rank, &compiled->flow,
                               compiled->io.microbatch_losses, &compiled->commands, error);
    if (status == STATUS_OK && request->query != NULL)
        status = request->query(request->query_context, compiled, &asked, error);
    workspace = asked > workspace || asked < 0 ? asked : workspace;
    compiled->workspace_known = request->query != NULL;
    if (status == STATUS_OK)
        status = memory_plan_make(&compiled->program, &compiled->flow, compiled->microbatches, workspace,
                                  request->device_compiles, request->largest_allocation, &compiled->plan, error);
    return status;
}

static int check_sizes(const struct compile_request *request, struct error *error)
{
    const int32_t dp = mesh_of(request).sizes[MESH_DP];

    if (request->train && request->global_batch < 1)
        return error_set(error, STATUS_USAGE, "train.global_batch is %lld; at least 1 is needed",
                         (long long)request->global_batch);
    if (request->train && request->global_batch % dp != 0)
        return error_set(error, STATUS_USAGE,
                         "train.global_batch %lld is no multiple of the %d ranks of data parallelism",
                         (long long)request->global_batch, dp);
    if (request->train && (request->micro_batch < 1 || request->global_batch / dp % request->micro_batch != 0))
        return error_set(error, STATUS_USAGE, "train.micro_batch %lld does not divide train.global_batch %lld%s",
                         (long long)request->micro_batch, (long long)request->global_batch / dp,
                         dp > 1 ? " of a rank of data parallelism" : "");
    if (request->train && request->global_batch / dp / request->micro_batch > INT32_MAX)
        return error_set(error, STATUS_USAGE, "train.global_batch %lld has more than %d microbatches of %lld",
                         (long long)request->global_batch, INT32_MAX, (long long)request->micro_batch);
    if (pipeline_ranks(request) > 1 &&
        (step_chunks(request) < 1 || step_chunks(request) > request->model.n_layer / pipeline_ranks(request)))
        return error_set(error, STATUS_USAGE,
                         "parallel.pp %d with parallel.chunks %d has more stages than the model's %lld layers; fewer "
                         "ranks or chunks are needed",
                         pipeline_ranks(request), step_chunks(request), (long long)request->model.n_layer);
    if (request->train && (chunks_of(request) < 1 || chunks_of(request) > request->model.n_layer))
        return error_set(error, STATUS_USAGE, "parallel.chunks is %d; a model of %lld layers has 1 to %lld",
                         request->chunks, (long long)request->model.n_layer, (long long)request->model.n_layer);
    if (request->sequence < 1)
        return error_set(error, STATUS_USAGE, "data.seq_len is %lld; at least 1 is needed",
                         (long long)request->sequence);
    if (request->sequence > model_context(&request->model) || request->eval_sequence > model_context(&request->model))
        return error_set(error, STATUS_USAGE, "data.seq_len %lld is longer than the model's %s of %lld",
                         (long long)request->sequence,
                         model_context(&request->model) < request->model.n_positions ? "window" : "context",
                         (long long)model_context(&request->model));
    return STATUS_OK;
}

static int make_form(const struct compile_request *request, struct reduction_form *form, struct error *error)
{
    const struct reduction_request sums = {.exact = request->exact,
                                           .one_backward = pipeline_ranks(request) * chunks_of(request) == 1 &&
                                                           !pipeline_splits(request->schedule),
                                           .dp = request->train ? mesh_of(request).sizes[MESH_DP] : 1,
                                           .sequence = request->sequence,
                                           .global_batch = request->train ? request->global_batch : 1,
                                           .micro_batch = request->train ? request->micro_batch : 1,
                                           .batch_parts = request->train ? request->batch_parts : 1,
                                           .position_parts = request->position_parts};

    if (request->exact && request->no_f64)
        return error_set(error, STATUS_BACKEND,
                         "the device has no f64, in which numerics.exact sums losses and norms; numerics.exact false "
                         "sums them in f32");
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
    compiled->mesh = mesh_of(request);
    compiled->alignment = request->alignment > 0 ? request->alignment : PLAN_ALIGNMENT;
    compiled->microbatches =
        request->train ? (int32_t)(request->global_batch / compiled->mesh.sizes[MESH_DP] / request->micro_batch) : 1;
    values_none(&compiled->io);
    status = build(request, &compiled->program, &compiled->io, error);
    if (status == STATUS_OK)
        status = run_passes(request, compiled, error);
    if (status == STATUS_OK) {
        find_added(&compiled->program, &compiled->io);
        status = compile_plan(request, compiled, error);
    }
    if (status != STATUS_OK)
        compiled_finish(compiled);
    return status;
}
