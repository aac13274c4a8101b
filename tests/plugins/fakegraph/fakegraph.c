/* A device that runs programs only, as graph compilers do: no op can be launched by itself. Its devices, memory,
 * streams and events are the CPU backend's, and so are the kernels that its programs run.
 *
 * It is as strict as such a compiler: what it cannot compile it says when the program is built, internal values are
 * written before they are read and hold garbage until then, and a bound value has an address in every launch. */
#include <llmrun/op_check.h>
#include <stdlib.h>
#include <string.h>

#include "wrapped/wrapped.h"

#define ALIGNMENT 64 /* of values and scratch in the workspace */

/* One op, ready to run. */
struct step {
    struct llmrun_kernel *kernel; /* of `inner` */
    uint32_t count;
    int32_t operands[LLMRUN_MAX_OPERANDS]; /* values, -1 where absent */
};

struct llmrun_program {
    struct step *steps;
    uint32_t step_count;
    uint32_t value_count;
    uint32_t *kinds;         /* of each value */
    int64_t *offsets;        /* of each internal value in the workspace */
    int64_t internal_bytes;  /* they take the first bytes of the workspace */
    int64_t workspace_bytes; /* behind them stands the scratch of the op that runs */
};

static int64_t aligned(int64_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void program_destroy(struct llmrun_program *program)
{
    if (program == NULL)
        return;
    for (uint32_t i = 0; i < program->step_count; i++)
        inner->kernel->destroy(program->steps[i].kernel);
    free(program->steps);
    free(program->kinds);
    free(program->offsets);
    free(program);
}

static int32_t program_query(struct llmrun_device *device, const struct llmrun_op *op, struct llmrun_op_support *answer,
                             struct llmrun_error *error)
{
    return inner->kernel->query(device, op, answer, error);
}

/* Refuses op `index` when it names a value that is not there or reads an internal one that nothing has written.
 * `written` is brought up to date. */
static int32_t check_values(const struct llmrun_program_desc *desc, uint32_t index, unsigned char *written,
                            struct llmrun_error *error)
{
    const struct llmrun_program_op *op = llmrun_item(desc->ops, desc->op_stride, index);
    const struct llmrun_op_row *row = llmrun_op_row_find(op->op);

    if (row == NULL)
        return wrapped_fail(error, LLMRUN_ERROR_UNSUPPORTED, "%s: op %u of the list has the unknown id %u", desc->name,
                            index, op->op);
    if (op->operand_count != llmrun_op_operand_count(row, op->version))
        return wrapped_fail(error, LLMRUN_ERROR_ARGUMENT, "%s: op %u of the list has %u operands", desc->name, index,
                            op->operand_count);
    for (uint32_t i = 0; i < op->operand_count; i++) {
        const int32_t value = op->operands[i];
        const int reads = strcmp(row->operands[i].direction, "in") == 0 || (op->accumulate >> i & 1) != 0;

        if (value == -1)
            continue;
        if (value < 0 || (uint32_t)value >= desc->value_count)
            return wrapped_fail(error, LLMRUN_ERROR_ARGUMENT,
                                "%s: op %u of the list, %s, has value %d as operand %u; there are %u", desc->name,
                                index, row->name, value, i, desc->value_count);
        if (reads && desc->kinds[value] == LLMRUN_VALUE_INTERNAL && !written[value])
            return wrapped_fail(error, LLMRUN_ERROR_ARGUMENT,
                                "%s: op %u of the list, %s, reads the internal value %d, which nothing has written",
                                desc->name, index, row->name, value);
        if (!reads)
            written[value] = 1;
    }
    return LLMRUN_OK;
}

/* Compiles op `index` into `step`; *scratch_bytes grows to what it needs. */
static int32_t build_step(struct llmrun_device *device, const struct llmrun_program_desc *desc, uint32_t index,
                          struct step *step, int64_t *scratch_bytes, struct llmrun_error *error)
{
    const struct llmrun_program_op *from = llmrun_item(desc->ops, desc->op_stride, index);
    struct llmrun_tensor operands[LLMRUN_MAX_OPERANDS] = {0};
    const struct llmrun_op op = {.size = sizeof op,
                                 .op = from->op,
                                 .version = from->version,
                                 .flags = from->flags,
                                 .accumulate = from->accumulate,
                                 .attribute_bytes = from->attribute_bytes,
                                 .operand_count = from->operand_count,
                                 .attributes = from->attributes,
                                 .operands = operands,
                                 .operand_stride = sizeof operands[0]};
    struct llmrun_op_support answer = {.size = sizeof answer};
    int32_t code;

    step->count = from->operand_count;
    for (uint32_t i = 0; i < from->operand_count; i++) {
        step->operands[i] = from->operands[i];
        if (from->operands[i] >= 0)
            llmrun_copy_struct(&operands[i], sizeof operands[i],
                               llmrun_item(desc->values, desc->value_stride, (uint32_t)from->operands[i]),
                               desc->value_stride);
    }
    code = inner->kernel->query(device, &op, &answer, error);
    if (code != LLMRUN_OK)
        return code;
    if (answer.support == LLMRUN_SUPPORT_NO)
        return wrapped_fail(error, LLMRUN_ERROR_UNSUPPORTED, "%s: op %u of the list: %s", desc->name, index,
                            answer.reason);
    if (answer.workspace_bytes > *scratch_bytes)
        *scratch_bytes = answer.workspace_bytes;
    return inner->kernel->prepare(device, &op, answer.workspace_bytes, &step->kernel, error);
}

/* Gives every internal value bytes of its own: a compiler would let those share that do not live at once. */
static int32_t place_values(const struct llmrun_program_desc *desc, struct llmrun_program *program,
                            struct llmrun_error *error)
{
    for (uint32_t i = 0; i < desc->value_count; i++) {
        if (desc->kinds[i] != LLMRUN_VALUE_BOUND && desc->kinds[i] != LLMRUN_VALUE_INTERNAL)
            return wrapped_fail(error, LLMRUN_ERROR_UNSUPPORTED, "%s: value %u is of the unknown kind %u", desc->name,
                                i, desc->kinds[i]);
        program->kinds[i] = desc->kinds[i];
        if (desc->kinds[i] == LLMRUN_VALUE_INTERNAL) {
            program->offsets[i] = program->internal_bytes;
            program->internal_bytes += aligned(wrapped_tensor_bytes(llmrun_item(desc->values, desc->value_stride, i)));
        }
    }
    return LLMRUN_OK;
}

static int32_t program_build(struct llmrun_device *device, const struct llmrun_program_desc *given,
                             struct llmrun_program **out, struct llmrun_error *error)
{
    struct llmrun_program_desc own;
    const struct llmrun_program_desc *desc = &own;
    struct llmrun_program *program = NULL;
    unsigned char *written = NULL;
    int64_t scratch_bytes = 0;
    int32_t code = llmrun_read(given, LLMRUN_PROGRAM_DESC_MIN, &own, sizeof own, "a program", error);

    if (code != LLMRUN_OK)
        return code;
    code = LLMRUN_ERROR_MEMORY;
    program = calloc(1, sizeof *program);
    written = calloc((size_t)desc->value_count + 1, 1);
    if (program == NULL || written == NULL)
        goto out;
    program->value_count = desc->value_count;
    program->steps = calloc((size_t)desc->op_count + 1, sizeof *program->steps);
    program->kinds = calloc((size_t)desc->value_count + 1, sizeof *program->kinds);
    program->offsets = calloc((size_t)desc->value_count + 1, sizeof *program->offsets);
    if (program->steps == NULL || program->kinds == NULL || program->offsets == NULL)
        goto out;
    code = place_values(desc, program, error);
    for (uint32_t i = 0; i < desc->op_count && code == LLMRUN_OK; i++) {
        code = check_values(desc, i, written, error);
        if (code == LLMRUN_OK)
            code = build_step(device, desc, i, &program->steps[i], &scratch_bytes, error);
        if (code == LLMRUN_OK)
            program->step_count++;
    }
    if (code != LLMRUN_OK)
        goto out;
    program->workspace_bytes = program->internal_bytes + aligned(scratch_bytes);
    *out = program;
    program = NULL;
out:
    if (code == LLMRUN_ERROR_MEMORY && program == NULL)
        wrapped_fail(error, code, "no memory for the program %s", desc->name);
    program_destroy(program);
    free(written);
    return code;
}

static int64_t program_workspace(const struct llmrun_program *program)
{
    return program->workspace_bytes;
}

static int32_t program_launch(struct llmrun_stream *stream, struct llmrun_program *program, const uint64_t *addresses,
                              uint32_t address_count, uint64_t workspace, struct llmrun_error *error)
{
    const uint64_t scratch = workspace + (uint64_t)program->internal_bytes;
    int32_t code = LLMRUN_OK;

    if (address_count != program->value_count)
        return wrapped_fail(error, LLMRUN_ERROR_ARGUMENT, "%u addresses for %u values", address_count,
                            program->value_count);
    if (workspace == 0 && program->workspace_bytes > 0)
        return wrapped_fail(error, LLMRUN_ERROR_ARGUMENT, "the program needs a workspace of %lld bytes",
                            (long long)program->workspace_bytes);
    if (workspace % ALIGNMENT != 0)
        return wrapped_fail(error, LLMRUN_ERROR_ARGUMENT, "the workspace is not aligned to %d bytes", ALIGNMENT);
    /* A launch that is refused enqueues nothing. */
    for (uint32_t i = 0; i < program->value_count; i++)
        if (program->kinds[i] != LLMRUN_VALUE_INTERNAL && addresses[i] == 0)
            return wrapped_fail(error, LLMRUN_ERROR_ARGUMENT, "value %u is bound, and came without an address", i);
    if (program->workspace_bytes > 0) /* NaN and -1: nothing survives from one launch to the next */
        code = inner->device->fill(stream, workspace, UINT32_MAX, program->workspace_bytes, error);
    for (uint32_t i = 0; i < program->step_count && code == LLMRUN_OK; i++) {
        const struct step *step = &program->steps[i];
        uint64_t operands[LLMRUN_MAX_OPERANDS] = {0};

        for (uint32_t k = 0; k < step->count; k++) {
            const int32_t value = step->operands[k];

            if (value < 0)
                continue;
            operands[k] = program->kinds[value] == LLMRUN_VALUE_INTERNAL ? workspace + (uint64_t)program->offsets[value]
                                                                         : addresses[value];
        }
        code = inner->kernel->launch(stream, step->kernel, operands, step->count,
                                     program->workspace_bytes > program->internal_bytes ? scratch : 0, error);
    }
    return code;
}

static const struct llmrun_program_table program_table = {
    .size = sizeof program_table,
    .query = program_query,
    .build = program_build,
    .workspace = program_workspace,
    .launch = program_launch,
    .destroy = program_destroy,
};

static struct llmrun_device_table device_table;

static int32_t device_info(int32_t index, struct llmrun_device_info *info, struct llmrun_error *error)
{
    int32_t code = inner->device->info(index, info, error);

    if (code == LLMRUN_OK && info->size >= offsetof(struct llmrun_device_info, domain))
        strcpy(info->architecture, "fakegraph");
    return code;
}

WRAPPED_PLUGIN("fakegraph", .device = &device_table, .program = &program_table)

const struct llmrun_backend *llmrun_backend_entry(const struct llmrun_host *host, struct llmrun_error *error)
{
    if (wrapped_open("fakegraph", host, error) == NULL)
        return NULL;
    device_table = *inner->device;
    device_table.info = device_info;
    return &backend;
}
