#include "plan_ranks.h"

#include <stdio.h>

#include "compile/traffic.h"
#include "passes/flops.h"

#define COST_UNITS 1e6 /* of pipeline_time in a microbatch's work on a stage */

/* FLOPs of a microbatch, recomputation with them. */
struct work {
    double forward, backward, weight;
};

static void add_work(const struct program *program, struct work *work)
{
    work->forward += program_flops(program, SECTION_FORWARD, false);
    work->backward += program_flops(program, SECTION_BACKWARD_INPUT, false);
    work->weight += program_flops(program, SECTION_BACKWARD_WEIGHT, false);
    /* Where B and W are one, only their sum counts. */
    work->backward += program_flops(program, SECTION_BACKWARD, false);
}

static int64_t bytes_sent(const struct compiled *compiled)
{
    struct traffic traffic;
    int64_t bytes = 0;

    traffic_count(compiled, JOB_STEP, &traffic);
    for (int axis = 0; axis < MESH_AXES; axis++)
        for (int kind = 0; kind < EXCHANGE_COPY; kind++)
            bytes += traffic.bytes[axis][kind];
    return bytes;
}

static void print_stage(const struct compiled *compiled)
{
    const int64_t *bytes = compiled->plan.region_bytes;

    printf("  %4d %8d %15lld %15lld %15lld %15lld %15lld %11.4g\n", compiled->mesh.index[MESH_PP],
           mesh_rank(&compiled->mesh), (long long)(bytes[REGION_PARAMETERS] + bytes[REGION_STATE] + bytes[REGION_CAST]),
           (long long)(bytes[REGION_GRADIENTS] + bytes[REGION_PENDING]),
           (long long)(bytes[REGION_ACTIVATIONS] + bytes[REGION_FLIGHT]), (long long)compiled->plan.total_bytes,
           (long long)bytes_sent(compiled), program_step_flops(&compiled->program, false) * compiled->microbatches);
}

/* Of all ranks' time, what they wait: were stages alike and transfers free, each of the mean work of all. */
static int print_bubble(const struct pipeline *pipeline, const struct work *work, struct error *error)
{
    const double all = work->forward + work->backward + work->weight, stages = pipeline->shape.chunks;
    struct pipeline_costs costs = {0};
    struct pipeline_times times;
    int status;

    if (pipeline->shape.ranks == 1 || all <= 0)
        return STATUS_OK;
    costs.f = (int64_t)(work->forward / all / stages * COST_UNITS + 0.5);
    costs.b = (int64_t)(work->backward / all / stages * COST_UNITS + 0.5);
    costs.w = (int64_t)(work->weight / all / stages * COST_UNITS + 0.5);
    status = pipeline_time(pipeline, &costs, &times, error);
    if (status == STATUS_OK)
        printf("bubble     %.2f %% of a step, were stages alike and transfers free\n",
               100.0 * (double)times.bubble / (double)times.makespan);
    return status;
}

int plan_ranks_print(const struct compile_request *request, plan_compile *compile, void *context, struct error *error)
{
    const struct mesh *mesh = &request->mesh;
    const int32_t stages = mesh->sizes[MESH_PP];
    struct work work = {0};
    int status = STATUS_OK;

    if (mesh_world(mesh) <= 1)
        return STATUS_OK;
    puts("ranks of each stage of the pipeline: the first one, none needs more; bytes, and operations of a step");
    printf("  %4s %8s %15s %15s %15s %15s %15s %11s\n", "pp", "rank", "weights+moments", "gradients+sums",
           "activations", "arena", "sent", "operations");
    for (int32_t stage = 0; status == STATUS_OK && stage < stages; stage++) {
        struct compile_request own = *request;
        struct compiled compiled;

        own.mesh.index[MESH_CP] = own.mesh.index[MESH_TP] = own.mesh.index[MESH_DP] = 0;
        own.mesh.index[MESH_PP] = stage;
        status = compile(context, &own, &compiled, error);
        if (status != STATUS_OK)
            break;
        print_stage(&compiled);
        add_work(&compiled.program, &work);
        if (stage + 1 == stages)
            status = print_bubble(&compiled.pipeline, &work, error);
        compiled_finish(&compiled);
    }
    return status;
}
