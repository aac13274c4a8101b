#include "runtime/section.h"

#include <stdlib.h>
#include <string.h>

#include "program/op_table.h"
#include "runtime/section_program.h"

static int prepare_op(struct device *device, const struct compiled *compiled, const struct op *op,
                      const struct arena *arena, struct prepared_section *prepared, struct launch *launch,
                      struct error *error)
{
    const int32_t *operands = program_operands(&compiled->program, op);
    struct llmrun_tensor tensors[LLMRUN_MAX_OPERANDS];
    struct llmrun_op description;

    compiled_describe(compiled, op, tensors, &description);
    launch->op = (int32_t)(op - compiled->program.ops);
    launch->first_address = (int32_t)prepared->address_count;
    launch->count = description.operand_count;
    for (uint32_t i = 0; i < launch->count; i++) {
        int64_t at = prepared->address_count++;

        prepared->bindings[at].pool = NO_POOL;
        if (operands[i] == NO_VALUE)
            continue;
        prepared->bindings[at] = binding_of(compiled, operands[i], arena);
        if (prepared->bindings[at].address == 0)
            return error_set(error, STATUS_BUG, "%s: its operand %s has no place in the memory plan",
                             op_info_find(op->op)->name, compiled->program.values[operands[i]].name);
        prepared->addresses[at] = prepared->bindings[at].address;
        launch->slots |= prepared->bindings[at].pool != NO_POOL;
    }
    return device_kernel_create(device, &description, compiled->plan.region_bytes[REGION_WORKSPACE], &launch->kernel,
                                error);
}

static int prepare_kernels(struct device *device, const struct compiled *compiled, const struct section *section,
                           const struct arena *arena, struct prepared_section *prepared, struct error *error)
{
    int64_t operands = 0;

    for (int32_t i = 0; i < section->op_count; i++)
        operands += op_operand_count(op_info_find(compiled->program.ops[section->first_op + i].op));
    prepared->launches = calloc((size_t)section->op_count + 1, sizeof *prepared->launches);
    prepared->addresses = calloc((size_t)operands + 1, sizeof *prepared->addresses);
    prepared->bindings = calloc((size_t)operands + 1, sizeof *prepared->bindings);
    prepared->scratch = calloc(LLMRUN_MAX_OPERANDS, sizeof *prepared->scratch);
    if (prepared->launches == NULL || prepared->addresses == NULL || prepared->bindings == NULL ||
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
                            const struct arena *arena, struct prepared_section *prepared, struct error *error)
{
    int status;

    memset(prepared, 0, sizeof *prepared);
    prepared->name = section_kind_name(section->kind);
    prepared->arena = arena;
    prepared->workspace = arena_address(arena, compiled->plan.region_offset[REGION_WORKSPACE]);
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
    free(prepared->bindings);
    free(prepared->scratch);
    memset(prepared, 0, sizeof *prepared);
}

static const uint64_t *slot_addresses(const struct prepared_section *prepared, int64_t first, int64_t count,
                                      const int32_t *slots)
{
    for (int64_t i = 0; i < count; i++) {
        const struct binding *binding = &prepared->bindings[first + i];

        prepared->scratch[i] = binding->address;
        if (binding->pool != NO_POOL)
            prepared->scratch[i] =
                arena_address(prepared->arena, binding->offset + binding->steps[slots[binding->pool]]);
    }
    return prepared->scratch;
}

int prepared_section_launch(const struct prepared_section *prepared, const struct stream *stream, const int32_t *slots,
                            struct error *error)
{
    int status = STATUS_OK;

    if (prepared->compiled) {
        status = timeline_mark(prepared->timeline, stream, prepared->name, -1, error);
        if (status != STATUS_OK)
            return status;
        return stream_launch_program(stream, &prepared->program,
                                     slot_addresses(prepared, 0, prepared->address_count, slots),
                                     (uint32_t)prepared->address_count, prepared->workspace, error);
    }
    for (int64_t i = 0; status == STATUS_OK && i < prepared->launch_count; i++) {
        const struct launch *launch = &prepared->launches[i];
        const uint64_t *addresses = prepared->addresses + launch->first_address;

        if (launch->slots)
            addresses = slot_addresses(prepared, launch->first_address, launch->count, slots);
        status = timeline_mark(prepared->timeline, stream, NULL, launch->op, error);
        if (status == STATUS_OK)
            status =
                stream_launch_kernel(stream, &launch->kernel, addresses, launch->count, prepared->workspace, error);
    }
    return status;
}
