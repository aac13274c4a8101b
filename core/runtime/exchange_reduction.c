#include "runtime/exchange_reduction.h"

#include <llmrun/ops.h>

static int create_program(struct device *device, const struct llmrun_op *op, struct device_program *program,
                          struct error *error)
{
    const int32_t operands[LLMRUN_REDUCE_ROWS_OPERANDS] = {LLMRUN_REDUCE_ROWS_X, LLMRUN_REDUCE_ROWS_Y};
    const uint32_t kinds[LLMRUN_REDUCE_ROWS_OPERANDS] = {LLMRUN_VALUE_BOUND, LLMRUN_VALUE_BOUND};
    const struct llmrun_program_op one = {.op = op->op,
                                          .version = op->version,
                                          .flags = op->flags,
                                          .operands = operands,
                                          .operand_count = op->operand_count};
    const struct llmrun_program_desc desc = {.size = sizeof desc,
                                             .op_count = 1,
                                             .ops = &one,
                                             .op_stride = sizeof one,
                                             .values = op->operands,
                                             .kinds = kinds,
                                             .value_count = op->operand_count,
                                             .value_stride = op->operand_stride,
                                             .name = "reduce"};

    return device_program_create(device, &desc, program, error);
}

int exchange_reduction_create(struct device *device, const struct compiled *compiled, const struct exchange *exchange,
                              int step, int64_t max_workspace, struct exchange_reduction *reduction,
                              struct error *error)
{
    struct llmrun_tensor tensors[LLMRUN_MAX_OPERANDS];
    struct llmrun_op op;

    *reduction = (struct exchange_reduction){.kernel = {.handle = NULL}};
    if (exchange->steps[step].kind != EXCHANGE_REDUCE || exchange->steps[step].count == 0)
        return STATUS_OK;
    exchange_describe_reduce(exchange, &exchange->steps[step], compiled_alignment(compiled), compiled->form.exact,
                             tensors, &op);
    return device->backend->has_kernel ? device_kernel_create(device, &op, max_workspace, &reduction->kernel, error)
                                       : create_program(device, &op, &reduction->program, error);
}

void exchange_reduction_destroy(struct exchange_reduction *reduction)
{
    if (reduction->kernel.handle != NULL)
        device_kernel_destroy(&reduction->kernel);
    if (reduction->program.handle != NULL)
        device_program_destroy(&reduction->program);
    *reduction = (struct exchange_reduction){.kernel = {.handle = NULL}};
}

int64_t exchange_reduction_workspace(const struct exchange_reduction *reduction)
{
    return reduction->kernel.handle != NULL ? reduction->kernel.workspace_bytes : reduction->program.workspace_bytes;
}

int exchange_reduction_launch(const struct exchange_reduction *reduction, const struct stream *stream, uint64_t terms,
                              uint64_t sum, uint64_t workspace, struct error *error)
{
    const uint64_t addresses[LLMRUN_REDUCE_ROWS_OPERANDS] = {
        [LLMRUN_REDUCE_ROWS_X] = terms, [LLMRUN_REDUCE_ROWS_Y] = sum};

    if (reduction->kernel.handle != NULL)
        return stream_launch_kernel(stream, &reduction->kernel, addresses, LLMRUN_REDUCE_ROWS_OPERANDS, workspace,
                                    error);
    if (reduction->program.handle != NULL)
        return stream_launch_program(stream, &reduction->program, addresses, LLMRUN_REDUCE_ROWS_OPERANDS, workspace,
                                     error);
    return STATUS_OK;
}
