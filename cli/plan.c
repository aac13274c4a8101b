#include <stdio.h>
#include <string.h>

#include "checkpoint/checkpoint.h"
#include "command.h"
#include "compile/traffic.h"
#include "engine/chosen_device.h"
#include "engine/layout.h"
#include "engine/request.h"
#include "options.h"
#include "passes/flops.h"
#include "plan_picture.h"
#include "plan_ranks.h"
#include "program/text.h"
#include "runtime/device_compile.h"

static const char *plural(int64_t count, const char *ending)
{
    return count == 1 ? "" : ending;
}

static void print_sums(const struct compiled *compiled, const struct compile_request *request)
{
    const struct reduction_form *form = &compiled->form;
    /* Those of all ranks. */
    const int64_t parts = form->batch_parts * form->groups * request->mesh.sizes[MESH_DP];

    if (form->exact)
        printf(
            "sums       exact: %lld batch part%s of %lld sequence%s, %lld position parts, up to %lld feature parts\n",
            (long long)parts, plural(parts, "s"), (long long)(request->global_batch / parts),
            plural(request->global_batch / parts, "s"), (long long)form->position_parts,
            (long long)form->feature_parts);
    else
        puts("sums       unordered");
}

/* Slots: how many microbatches wait in each pool, for the chunks together. */
static void print_schedule(const struct compiled *compiled, const struct compile_request *request)
{
    const struct pipeline_slots *slots = &compiled->pipeline.ranks[compiled->mesh.index[MESH_PP]].slots;

    printf("schedule   %s, %d %s of layers", pipeline_kind_name(request->schedule), compiled->pipeline.shape.chunks,
           compiled->pipeline.shape.chunks == 1 ? "chunk" : "chunks");
    if (compiled->flow.serial)
        puts(", one microbatch after the other");
    else if (pipeline_splits(request->schedule))
        printf(", activations of up to %d wait for B, of %d for W\n", slots->f_to_b, slots->f_to_w);
    else
        printf(", activations of up to %d wait for their backward\n", slots->f_to_b);
}

static bool is_cut(const struct value *value, enum mesh_axis axis)
{
    for (int i = 0; i < value->split_count; i++)
        if (value->splits[i].axis == axis)
            return true;
    return false;
}

/* Optimizer state that ZeRO cuts, and what it leaves whole because rows do not divide. */
static void print_zero(const struct compiled *compiled)
{
    const struct program *program = &compiled->program;
    int64_t bytes[2] = {0, 0};

    for (int64_t i = 0; i < program->value_count; i++)
        if (program->values[i].kind == VALUE_STATE)
            bytes[is_cut(&program->values[i], MESH_DP)] += value_bytes(&program->values[i]);
    printf("zero       optimizer state: %lld bytes are this one's of %d ranks' parts, %lld are whole on each%s\n",
           (long long)bytes[1], mesh_group_size(&compiled->mesh, MESH_SHARDS), (long long)bytes[0],
           bytes[0] > bytes[1] ? "; parallel.zero_group of fewer ranks divides more" : "");
}

/* What the rank has of the mesh, and what it sends. */
static void print_ranks(const struct compiled *compiled, const struct compile_request *request)
{
    const struct mesh *mesh = &compiled->mesh;
    struct traffic traffic;

    if (mesh_world(mesh) == 1)
        return;
    printf("ranks      %d: tp %d, pp %d, dp %d; this is rank %d (tp %d, pp %d, dp %d)\n", mesh_world(mesh),
           mesh->sizes[MESH_TP], mesh->sizes[MESH_PP], mesh->sizes[MESH_DP], mesh_rank(mesh), mesh->index[MESH_TP],
           mesh->index[MESH_PP], mesh->index[MESH_DP]);
    if (request->zero > 0)
        print_zero(compiled);
    puts("bytes that this rank sends in a step");
    traffic_count(compiled, JOB_STEP, &traffic);
    for (int axis = 0; axis < MESH_AXES; axis++)
        for (int kind = 0; kind < EXCHANGE_COPY; kind++)
            if (traffic.calls[axis][kind] > 0)
                printf("  %-3s %-16s %12lld   in %lld calls\n", mesh_axis_name((enum mesh_axis)axis),
                       exchange_kind_name((enum exchange_kind)kind), (long long)traffic.bytes[axis][kind],
                       (long long)traffic.calls[axis][kind]);
}

static void print_memory(const struct compiled *compiled)
{
    const struct memory_plan *plan = &compiled->plan;

    puts("memory of one rank, bytes");
    for (int r = 0; r < REGIONS; r++)
        if (r != REGION_WORKSPACE || compiled->workspace_known)
            printf("  %-16s %16lld\n", plan_region_name((enum plan_region)r), (long long)plan->region_bytes[r]);
    if (!compiled->workspace_known)
        puts("  workspace                 unknown   (asked of the backend when one can be opened)");
    printf("  %-16s %16lld   (%.2f GiB, %s)\n", "arena", (long long)plan->total_bytes,
           (double)plan->total_bytes / (double)(1 << 30),
           compiled->workspace_known ? "exact" : "exact but for workspace");
    if (plan->buffer_count > 1)
        printf("  in %lld buffers of at most %lld bytes, the largest allocation of the device\n",
               (long long)plan->buffer_count, (long long)plan->buffer_bytes);
}

static void print_flops(const struct compiled *compiled, const struct compile_request *request)
{
    const struct program *program = &compiled->program;
    double forward = program_flops(program, SECTION_FORWARD, true) * compiled->microbatches;
    double step = program_step_flops(program, true) * compiled->microbatches;
    double again = program_step_flops(program, false) * compiled->microbatches - step;
    double tokens = (double)(request->global_batch * request->sequence);

    printf("arithmetic of one step%s, a multiply-add counted as two; attention over its causal half\n",
           mesh_world(&compiled->mesh) > 1 ? " on this rank" : "");
    printf("  %-16s %16.6g\n  %-16s %16.6g\n  %-16s %16.6g   (not counted in MFU)\n", "forward", forward, "backward",
           step - forward, "recompute", again);
    printf("  %-16s %16.6g   %.6g a token\n", "step", step, step / tokens);
}

static void print_plan(const struct compiled *compiled, const struct compile_request *request)
{
    const struct model_config *model = &request->model;

    printf("model      %lld parameters: %lld layers, width %lld, %lld heads", (long long)model_parameters(model),
           (long long)model->n_layer, (long long)model->n_embd, (long long)model->n_head);
    if (model_kv_heads(model) != model->n_head)
        printf(" (%lld of keys and values)", (long long)model_kv_heads(model));
    printf(", vocabulary %lld (stored %lld)\n", (long long)model->vocab_size,
           (long long)model_padded_vocabulary(model));
    printf("step       %lld sequence%s of %lld tokens in %d microbatch%s%s, %s\n", (long long)request->global_batch,
           plural(request->global_batch, "s"), (long long)request->sequence, compiled->microbatches,
           plural(compiled->microbatches, "es"), request->mesh.sizes[MESH_DP] > 1 ? " of each rank of dp" : "",
           request->compute_dtype == LLMRUN_BF16 ? "bf16" : "fp32");
    print_schedule(compiled, request);
    print_sums(compiled, request);
    print_ranks(compiled, request);
    print_memory(compiled);
    print_flops(compiled, request);
}

static int print_text(const struct compiled *compiled, bool commands, struct error *error)
{
    struct text text = {0};
    int status = STATUS_OK;

    if (commands)
        commands_print(&compiled->program, &compiled->flow, &compiled->commands, &text);
    else
        program_print(&compiled->program, &text);
    if (text.failed)
        status = error_set(error, STATUS_MEMORY, "no memory to print the plan");
    else
        fputs(text.data, stdout);
    text_finish(&text);
    return status;
}

/* With a backend at hand its workspace is known; without one the plan stands all the same. */
static int compile_for(void *context, const struct compile_request *request, struct compiled *compiled,
                       struct error *error)
{
    const struct chosen_device *chosen = context;

    return chosen != NULL ? device_compile(chosen->device, request, compiled, error)
                          : compile_step(request, compiled, error);
}

struct plan_options {
    const char *dump;    /* NULL: a summary */
    const char *picture; /* file; NULL: none */
    int64_t world;       /* ranks; 0: as few as the config's layout has */
    int64_t rank;
};

static int plan_for(const struct chosen_device *chosen, const struct compile_request *request,
                    const struct plan_options *options, struct error *error)
{
    struct compiled compiled;
    int status = compile_for((void *)chosen, request, &compiled, error);

    if (status != STATUS_OK)
        return status;
    if (options->dump != NULL) {
        status = print_text(&compiled, strcmp(options->dump, "commands") == 0, error);
    } else {
        print_plan(&compiled, request);
        status = plan_ranks_print(request, compile_for, (void *)chosen, error);
    }
    compiled_finish(&compiled);
    if (status == STATUS_OK && options->picture != NULL)
        status = plan_picture_write(request, compile_for, (void *)chosen, options->picture, error);
    return status;
}

static int plan(const struct config *config, const struct plan_options *options, struct error *error)
{
    const bool evaluates = config->data.valid.count > 0 || config->data.valid_split > 0;
    const int64_t world = options->world > 0 ? options->world : layout_smallest_world(config);
    const struct request_work work = {.uses = USE_TRAIN | (evaluates ? USE_EVALUATE : 0),
                                      .world = (int32_t)(world <= INT32_MAX ? world : INT32_MAX),
                                      .rank = (int32_t)options->rank};
    struct compile_request request;
    struct chosen_device chosen;
    struct error none;
    int status = options->rank < world ? STATUS_OK
                                       : error_set(error, STATUS_USAGE, "--rank is %lld; there are ranks 0 to %lld",
                                                   (long long)options->rank, (long long)world - 1);

    if (status == STATUS_OK)
        status = request_make(checkpoint_files_anywhere(), config, 0, &work, &request, error);
    if (status != STATUS_OK)
        return status;
    if (chosen_device_open(&chosen, config, &none) != STATUS_OK) {
        request.exact = config->numerics.exact == CONFIG_EXACT_TRUE;
        return plan_for(NULL, &request, options, error);
    }
    request.exact = chosen.exact;
    status = plan_for(&chosen, &request, options, error);
    chosen_device_close(&chosen);
    return status;
}

int command_plan(int argc, char **argv, struct error *error)
{
    struct plan_options chosen = {.rank = 0};
    const struct command_option options[] = {
        {"dump", OPTION_TEXT, "step|commands", "print the rank's program in its text form, or the commands of each job",
         .target = &chosen.dump},
        {"world", OPTION_INTEGER, "N", "ranks of the run; default: parallel.tp x parallel.pp, the fewest",
         "[1, 1048576]", .target = &chosen.world},
        {"rank", OPTION_INTEGER, "R", "the rank whose part is printed, default 0", "[0, 1048575]",
         .target = &chosen.rank},
        {"picture", OPTION_TEXT, "FILE.svg", "also draw a step: what each rank does, when, and what it sends",
         .target = &chosen.picture},
    };
    const struct usage usage = {"plan",
                                "Memory, arithmetic and communication of a run, before anything runs",
                                .takes_config_file = true,
                                .takes_keys = true,
                                .keys_of = CONFIG_COMMAND_PLAN,
                                .options = options,
                                .option_count = 4};
    struct arguments arguments;
    struct config config;
    int status = options_parse(&usage, argc, argv, &arguments, error);

    if (status == STATUS_OK && !arguments.done && chosen.dump != NULL && strcmp(chosen.dump, "step") != 0 &&
        strcmp(chosen.dump, "commands") != 0)
        status = error_set(error, STATUS_USAGE, "--dump is '%.40s'; it can be step or commands", chosen.dump);
    if (status == STATUS_OK && !arguments.done) {
        status = arguments_load_config(&arguments, &config, error);
        if (status == STATUS_OK) {
            status = plan(&config, &chosen, error);
            config_finish(&config);
        }
    }
    arguments_finish(&arguments);
    return status;
}
