#include "runtime/device_compile.h"

#include "program/op_table.h"
#include "runtime/section_program.h"

static int query_op(void *context, const struct llmrun_op *op, int64_t *workspace_bytes, struct error *error)
{
    struct llmrun_answer answer = {.size = sizeof answer};
    struct device *device = context;
    int status = capability_query(device, op, &answer, error);

    if (status != STATUS_OK)
        return status;
    if (answer.support == LLMRUN_SUPPORT_NO)
        return error_set(error, STATUS_BACKEND, "backend %s cannot do op %s: %s", device->backend->name,
                         op_info_find(op->op)->name, answer.reason);
    *workspace_bytes = answer.workspace_bytes;
    return STATUS_OK;
}

/* A compiling device tells its workspace only when it has built the sections: plan again with what it said. */
static int plan_for_programs(struct device *device, struct compiled *compiled, struct error *error)
{
    int64_t workspace;
    int status = section_program_workspace(device, compiled, &workspace, error);

    if (status != STATUS_OK)
        return status;
    memory_plan_free(&compiled->plan);
    compiled->workspace_known = true;
    return memory_plan_make(&compiled->program, compiled->microbatches, workspace, true, &compiled->plan, error);
}

int device_compile(struct device *device, const struct compile_request *request, struct compiled *compiled,
                   struct error *error)
{
    struct compile_request own = *request;
    int status;

    own.query = query_op;
    own.query_context = device;
    own.device_compiles = !device->backend->has_kernel;
    own.alignment = device->info.alignment;
    status = compile_step(&own, compiled, error);
    if (status == STATUS_OK && own.device_compiles) {
        status = plan_for_programs(device, compiled, error);
        if (status != STATUS_OK)
            compiled_free(compiled);
    }
    return status;
}
