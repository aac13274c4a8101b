#include "runtime/section_program.h"

#include <stdlib.h>
#include <string.h>

#include "passes/segments.h"
#include "program/op_table.h"

/* A section in the contract's words. */
struct description {
    struct llmrun_program_op *ops;
    struct llmrun_tensor *values;
    uint32_t *kinds;
    int32_t *operands; /* of all ops, local value numbers */
    int32_t *local;    /* program value -> local number, -1 */
    int32_t *global;   /* local number -> program value */
    uint32_t value_count;
    int64_t operand_count;
};

static void description_free(struct description *description)
{
    free(description->ops);
    free(description->values);
    free(description->kinds);
    free(description->operands);
    free(description->local);
    free(description->global);
}

static int description_allocate(struct description *description, const struct program *program,
                                const struct section *section, struct error *error)
{
    size_t values = (size_t)program->value_count + 1, ops = (size_t)section->op_count + 1;

    memset(description, 0, sizeof *description);
    description->ops = calloc(ops, sizeof *description->ops);
    description->values = calloc(values, sizeof *description->values);
    description->kinds = calloc(values, sizeof *description->kinds);
    description->operands = calloc(ops * LLMRUN_MAX_OPERANDS, sizeof *description->operands);
    description->local = malloc(values * sizeof *description->local);
    description->global = calloc(values, sizeof *description->global);
    if (description->ops == NULL || description->values == NULL || description->kinds == NULL ||
        description->operands == NULL || description->local == NULL || description->global == NULL)
        return error_set(error, STATUS_MEMORY, "no memory to describe a section");
    for (size_t i = 0; i < values; i++)
        description->local[i] = -1;
    return STATUS_OK;
}

static int32_t local_value(struct description *description, const struct compiled *compiled, int32_t value)
{
    if (value == NO_VALUE)
        return -1;
    if (description->local[value] < 0) {
        const bool internal =
            compiled->program.values[value].kind == VALUE_ACTIVATION && compiled->flow.section[value] >= 0;
        uint32_t local = description->value_count++;

        description->local[value] = (int32_t)local;
        description->global[local] = value;
        description->kinds[local] = internal ? LLMRUN_VALUE_INTERNAL : LLMRUN_VALUE_BOUND;
        program_tensor(&compiled->program, value, compiled_alignment(compiled), &description->values[local]);
    }
    return description->local[value];
}

static void describe_op(struct description *description, const struct compiled *compiled, const struct op *op,
                        struct llmrun_program_op *out)
{
    const int32_t *operands = program_operands(&compiled->program, op);
    struct llmrun_tensor tensors[LLMRUN_MAX_OPERANDS];
    struct llmrun_op single;

    compiled_describe(compiled, op, tensors, &single);
    *out = (struct llmrun_program_op){.op = single.op,
                                      .version = single.version,
                                      .flags = single.flags,
                                      .accumulate = single.accumulate,
                                      .attribute_bytes = single.attribute_bytes,
                                      .attributes = single.attributes,
                                      .operands = description->operands + description->operand_count,
                                      .operand_count = single.operand_count};
    for (uint32_t i = 0; i < single.operand_count; i++)
        description->operands[description->operand_count++] = local_value(description, compiled, operands[i]);
}

static int build(struct device *device, const struct compiled *compiled, const struct section *section,
                 struct description *description, struct device_program *program, struct error *error)
{
    struct llmrun_program_desc desc = {.size = sizeof desc};
    int status = description_allocate(description, &compiled->program, section, error);

    if (status != STATUS_OK)
        return status;
    for (int32_t i = 0; i < section->op_count; i++)
        describe_op(description, compiled, &compiled->program.ops[section->first_op + i], &description->ops[i]);
    desc.op_count = (uint32_t)section->op_count;
    desc.ops = description->ops;
    desc.values = description->values;
    desc.kinds = description->kinds;
    desc.value_count = description->value_count;
    desc.op_stride = sizeof *description->ops;
    desc.value_stride = sizeof *description->values;
    desc.name = section_kind_name(section->kind);
    return device_program_create(device, &desc, program, error);
}

static int bind(const struct compiled *compiled, const struct description *description, const struct arena *arena,
                struct prepared_section *prepared, struct error *error)
{
    size_t count = description->value_count;

    prepared->addresses = calloc(count + 1, sizeof *prepared->addresses);
    prepared->bindings = calloc(count + 1, sizeof *prepared->bindings);
    prepared->scratch = calloc(count + 1, sizeof *prepared->scratch);
    if (prepared->addresses == NULL || prepared->bindings == NULL || prepared->scratch == NULL)
        return error_set(error, STATUS_MEMORY, "no memory to prepare a section");
    prepared->address_count = (int64_t)count;
    for (size_t i = 0; i < count; i++)
        prepared->bindings[i] = binding_of(compiled, description->global[i], arena);
    return STATUS_OK;
}

int section_program_create(struct device *device, const struct compiled *compiled, const struct section *section,
                           const struct arena *arena, struct prepared_section *prepared, struct error *error)
{
    struct description description;
    int status = build(device, compiled, section, &description, &prepared->program, error);

    if (status == STATUS_OK) {
        prepared->compiled = true;
        status = bind(compiled, &description, arena, prepared, error);
    }
    if (status == STATUS_OK && prepared->program.workspace_bytes > compiled->plan.region_bytes[REGION_WORKSPACE])
        status = error_set(error, STATUS_BACKEND,
                           "%s: section %s, built again, needs %lld bytes of workspace, not at most %lld as before",
                           device->backend->name, section_kind_name(section->kind),
                           (long long)prepared->program.workspace_bytes,
                           (long long)compiled->plan.region_bytes[REGION_WORKSPACE]);
    description_free(&description);
    return status;
}

int section_program_workspace(struct device *device, const struct compiled *compiled, int64_t *bytes,
                              struct error *error)
{
    for (int64_t s = 0; s < compiled->program.section_count; s++) {
        struct description description;
        struct device_program program;
        int status;

        if (segment_communication(&compiled->program, &compiled->program.sections[s]) != NULL)
            continue;
        status = build(device, compiled, &compiled->program.sections[s], &description, &program, error);

        description_free(&description);
        if (status != STATUS_OK)
            return status;
        if (program.workspace_bytes > *bytes)
            *bytes = program.workspace_bytes;
        device_program_destroy(&program);
    }
    return STATUS_OK;
}
