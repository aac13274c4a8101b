#include "runtime/device_compile.h"

#include "base/checked.h"
#include "passes/segments.h"
#include "program/op_table.h"
#include "runtime/exchange_reduction.h"
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

/* Scratch of a communication op: the terms of a sum, and what adding them needs. */
static int query_exchange(struct device *device, const struct compiled *compiled, const struct exchange *exchange,
                          int64_t *workspace_bytes, struct error *error)
{
    int64_t most = 0;
    int status = STATUS_OK;

    for (int i = 0; status == STATUS_OK && i < exchange->count; i++) {
        struct exchange_reduction reduction;

        status = exchange_reduction_create(device, compiled, exchange, i, INT64_MAX, &reduction, error);
        if (status == STATUS_OK && exchange_reduction_workspace(&reduction) > most)
            most = exchange_reduction_workspace(&reduction);
        if (status == STATUS_OK)
            exchange_reduction_destroy(&reduction);
    }
    *workspace_bytes = round_up(exchange->terms_bytes, compiled_alignment(compiled)) + most;
    return status;
}

static int query_section(struct device *device, const struct compiled *compiled, int64_t s, int64_t *most,
                         struct error *error)
{
    const struct section *section = &compiled->program.sections[s];
    int64_t bytes = 0;
    int status = STATUS_OK;

    if (segment_communication(&compiled->program, section) != NULL) {
        status = query_exchange(device, compiled, &compiled->exchanges[s], &bytes, error);
        *most = bytes > *most ? bytes : *most;
        return status;
    }
    for (int32_t i = 0; status == STATUS_OK && i < section->op_count; i++) {
        struct llmrun_tensor tensors[LLMRUN_MAX_OPERANDS];
        struct llmrun_op op;

        bytes = 0;
        compiled_describe(compiled, &compiled->program.ops[section->first_op + i], tensors, &op);
        status = query_op(device, &op, &bytes, error);
        *most = bytes > *most ? bytes : *most;
    }
    return status;
}

/* A compiling device tells the workspace of a section only when it has built it. */
static int query(void *context, const struct compiled *compiled, int64_t *workspace_bytes, struct error *error)
{
    struct device *device = context;
    int status = STATUS_OK;

    *workspace_bytes = 0;
    for (int64_t s = 0; status == STATUS_OK && s < compiled->program.section_count; s++)
        status = query_section(device, compiled, s, workspace_bytes, error);
    if (status == STATUS_OK && !device->backend->has_kernel)
        status = section_program_workspace(device, compiled, workspace_bytes, error);
    return status;
}

/* What the device has to say to a request. */
static struct compile_request asked_of(struct device *device, const struct compile_request *request)
{
    struct compile_request own = *request;

    own.query = query;
    own.query_context = device;
    own.device_compiles = !device->backend->has_kernel;
    own.no_f64 = device->info.dtypes != 0 && (device->info.dtypes & UINT64_C(1) << LLMRUN_F64) == 0;
    own.alignment = device->info.alignment;
    own.largest_allocation = device->info.largest_allocation_bytes;
    return own;
}

int device_compile(struct device *device, const struct compile_request *request, struct compiled *compiled,
                   struct error *error)
{
    const struct compile_request own = asked_of(device, request);

    return compile_step(&own, compiled, error);
}

int device_compile_plan(struct device *device, const struct compile_request *request, struct compiled *compiled,
                        struct error *error)
{
    const struct compile_request own = asked_of(device, request);

    return compile_plan(&own, compiled, error);
}
