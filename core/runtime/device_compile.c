#include "runtime/device_compile.h"

#include "program/op_table.h"
#include "runtime/section_program.h"

static int query_op(struct device *device, const struct llmrun_op *op, int64_t *workspace_bytes, struct error *error)
{
    struct llmrun_op_support answer = {.size = sizeof answer};
    int status = capability_query(device, op, &answer, error);

    if (status != STATUS_OK)
        return status;
    if (answer.support == LLMRUN_SUPPORT_NO)
        return error_set(error, STATUS_BACKEND, "backend %s cannot do op %s: %s", device->backend->name,
                         op_info_find(op->op)->name, answer.reason);
    *workspace_bytes = answer.workspace_bytes;
    return STATUS_OK;
}

/* A compiling device tells the workspace of a section only when it has built it. */
static int query(void *context, const struct compiled *compiled, int64_t *workspace_bytes, struct error *error)
{
    struct device *device = context;
    int status = STATUS_OK;

    *workspace_bytes = 0;
    for (int64_t i = 0; status == STATUS_OK && i < compiled->program.op_count; i++) {
        struct llmrun_tensor tensors[LLMRUN_MAX_OPERANDS];
        struct llmrun_op op;
        int64_t bytes = 0;

        compiled_describe(compiled, &compiled->program.ops[i], tensors, &op);
        status = query_op(device, &op, &bytes, error);
        if (bytes > *workspace_bytes)
            *workspace_bytes = bytes;
    }
    if (status == STATUS_OK && !device->backend->has_kernel)
        status = section_program_workspace(device, compiled, workspace_bytes, error);
    return status;
}

int device_compile(struct device *device, const struct compile_request *request, struct compiled *compiled,
                   struct error *error)
{
    struct compile_request own = *request;

    own.query = query;
    own.query_context = device;
    own.device_compiles = !device->backend->has_kernel;
    own.no_f64 = device->info.dtypes != 0 && (device->info.dtypes & UINT64_C(1) << LLMRUN_F64) == 0;
    own.alignment = device->info.alignment;
    own.largest_allocation = device->info.largest_allocation_bytes;
    return compile_step(&own, compiled, error);
}
