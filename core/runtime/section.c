#include "runtime/section.h"

#include <stdlib.h>
#include <string.h>

#include "program/op_table.h"
#include "runtime/section_program.h"

/* Where an operand is in microbatch 0. */
static int bind_operand(const struct compiled *compiled, const struct op *op, int32_t value, uint64_t arena,
                        uint64_t *address, struct error *error)
{
    const struct placement *at = &compiled->plan.placements[value];

    if (!at->placed)
        return error_set(error, STATUS_BUG, "%s: its operand %s has no place in the memory plan",
                         op_info_find(op->op)->name, compiled->program.values[value].name);
    *address = arena + (uint64_t)compiled->plan.region_offset[at->region] + (uint64_t)at->offset;
    return STATUS_OK;
}

static int prepare_op(struct device *device, const struct compiled *compiled, const struct op *op, uint64_t arena,
                      struct prepared_section *prepared, struct launch *launch, struct error *error)
{
    const int32_t *operands = program_operands(&compiled->program, op);
    struct llmrun_tensor tensors[LLMRUN_MAX_OPERANDS];
    struct llmrun_op description;

    compile_describe(compiled, op, tensors, &description);
    launch->op = (int32_t)(op - compiled->program.ops);
    launch->first_address = (int32_t)prepared->address_count;
    launch->count = description.operand_count;
    for (uint32_t i = 0; i < launch->count; i++) {
        int64_t at = prepared->address_count++;
        int status;

        if (operands[i] == NO_VALUE)
            continue;
        status = bind_operand(compiled, op, operands[i], arena, &prepared->addresses[at], error);
        if (status != STATUS_OK)
            return status;
        prepared->strides[at] = compiled->plan.placements[operands[i]].stride;
        launch->per_microbatch |= prepared->strides[at] != 0;
    }
    return device_kernel_create(device, &description, compiled->plan.region_bytes[REGION_WORKSPACE], &launch->kernel,
                                error);
}

static int prepare_kernels(struct device *device, const struct compiled *compiled, const struct section *section,
                           uint64_t arena, struct prepared_section *prepared, struct error *error)
{
    int64_t operands = 0;

    for (int32_t i = 0; i < section->op_count; i++)
        operands += op_operand_count(op_info_find(compiled->program.ops[section->first_op + i].op));
    prepared->launches = calloc((size_t)section->op_count + 1, sizeof *prepared->launches);
    prepared->addresses = calloc((size_t)operands + 1, sizeof *prepared->addresses);
    prepared->strides = calloc((size_t)operands + 1, sizeof *prepared->strides);
    prepared->scratch = calloc(LLMRUN_MAX_OPERANDS, sizeof *prepared->scratch);
    if (prepared->launches == NULL || prepared->addresses == NULL || prepared->strides == NULL ||
        prepared->scratch == NULL)
        return error_set(error, STATUS_MEMORY, "no memory to prepare a section");
    for (int32_t i = 0; i < section->op_count; i++) {
        int status = prepare_op(device, compiled, &compiled->program.ops[section->first_op + i], arena, prepared,
                                &prepared->launches[i], error);

        if (status != STATUS_OK)
            return status;
        prepared->launch_count++;
    }
    return STATUS_OK;
}

int prepared_section_create(struct device *device, const struct compiled *compiled, const struct section *section,
                            uint64_t arena, struct prepared_section *prepared, struct error *error)
{
    int status;

    memset(prepared, 0, sizeof *prepared);
    prepared->name = section_kind_name(section->kind);
    prepared->workspace = arena + (uint64_t)compiled->plan.region_offset[REGION_WORKSPACE];
    if (device->backend->has_kernel)
        status = prepare_kernels(device, compiled, section, arena, prepared, error);
    else
        status = section_program_create(device, compiled, section, arena, prepared, error);
    if (status != STATUS_OK)
        prepared_section_destroy(prepared);
    return status;
}

void prepared_section_destroy(struct prepared_section *prepared)
{
    for (int64_t i = 0; i < prepared->launch_count; i++)
        device_kernel_destroy(&prepared->launches[i].kernel);
    if (prepared->compiled)
        device_program_destroy(&prepared->program);
    free(prepared->launches);
    free(prepared->addresses);
    free(prepared->strides);
    free(prepared->scratch);
    memset(prepared, 0, sizeof *prepared);
}

static const uint64_t *microbatch_addresses(const struct prepared_section *prepared, int64_t first, int64_t count,
                                            int32_t microbatch)
{
    for (int64_t i = 0; i < count; i++)
        prepared->scratch[i] = prepared->addresses[first + i] + (uint64_t)(prepared->strides[first + i] * microbatch);
    return prepared->scratch;
}

int prepared_section_launch(const struct prepared_section *prepared, const struct stream *stream, int32_t microbatch,
                            struct error *error)
{
    int status = STATUS_OK;

    if (prepared->compiled) {
        status = timeline_mark(prepared->timeline, stream, prepared->name, -1, error);
        if (status != STATUS_OK)
            return status;
        return stream_launch_program(stream, &prepared->program,
                                     microbatch_addresses(prepared, 0, prepared->address_count, microbatch),
                                     (uint32_t)prepared->address_count, prepared->workspace, error);
    }
    for (int64_t i = 0; status == STATUS_OK && i < prepared->launch_count; i++) {
        const struct launch *launch = &prepared->launches[i];
        const uint64_t *addresses = prepared->addresses + launch->first_address;

        if (launch->per_microbatch)
            addresses = microbatch_addresses(prepared, launch->first_address, launch->count, microbatch);
        status = timeline_mark(prepared->timeline, stream, NULL, launch->op, error);
        if (status == STATUS_OK)
            status =
                stream_launch_kernel(stream, &launch->kernel, addresses, launch->count, prepared->workspace, error);
    }
    return status;
}
