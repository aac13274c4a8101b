#include <llmrun/op_check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/check.h"
#include "runtime/runtime.h"

static const struct kernel_set *kernel_set;

void runtime_use_kernels(const struct kernel_set *set)
{
    kernel_set = set;
}

const struct kernel_set *runtime_kernel_set(void)
{
    return kernel_set;
}

/* The first kernel of the set that takes `op` within max_workspace bytes. NULL with the last reason when none does. */
static const struct kernel *choose(const struct llmrun_device *device, const struct llmrun_op *op,
                                   int64_t max_workspace, int64_t *workspace_bytes, char *reason, size_t reason_bytes)
{
    const struct kernel *const *candidates = device->set->candidates(op->op, (int)device->isa, op->flags);

    snprintf(reason, reason_bytes, "%s has no kernel for %s", device->set->name, llmrun_op_name(op->op));
    for (; candidates != NULL && *candidates != NULL; candidates++) {
        *workspace_bytes = 0;
        if (!(*candidates)->query(op, pool_threads(device->pool), workspace_bytes, reason, reason_bytes))
            continue;
        if (*workspace_bytes <= max_workspace)
            return *candidates;
        snprintf(reason, reason_bytes, "%s needs a workspace of %lld bytes; %lld are allowed", (*candidates)->name,
                 (long long)*workspace_bytes, (long long)max_workspace);
    }
    return NULL;
}

static int32_t kernel_query(struct llmrun_device *device, const struct llmrun_op *given,
                            struct llmrun_op_support *answer, struct llmrun_error *error)
{
    struct llmrun_op_support found = {.support = LLMRUN_SUPPORT_NO};
    struct llmrun_tensor tensors[LLMRUN_MAX_OPERANDS];
    uint64_t attributes[LLMRUN_OP_MAX_ATTRIBUTE_BYTES / 8];
    struct llmrun_op op;
    int32_t code = llmrun_check_size(answer, LLMRUN_OP_SUPPORT_MIN, "an answer", error);

    if (code == LLMRUN_OK)
        code = llmrun_read_op(given, &op, tensors, error);
    if (code != LLMRUN_OK)
        return code;
    code = check_op(&op, found.reason, sizeof(found.reason));
    if (code != LLMRUN_OK && code != LLMRUN_ERROR_UNSUPPORTED)
        return llmrun_fail(error, code, "%s", found.reason);
    if (code == LLMRUN_OK)
        llmrun_op_complete(&op, tensors, attributes);
    if (code == LLMRUN_OK &&
        choose(device, &op, INT64_MAX, &found.workspace_bytes, found.reason, sizeof(found.reason)) != NULL) {
        found.support = LLMRUN_SUPPORT_NATIVE;
        found.reason[0] = '\0';
    }
    if (found.support == LLMRUN_SUPPORT_NO)
        found.workspace_bytes = 0;
    llmrun_write(answer, &found, sizeof(found));
    return LLMRUN_OK;
}

/* One object: the kernel, then its operands, then its attributes. */
static struct llmrun_kernel *copy_description(const struct llmrun_op *op)
{
    size_t operand_bytes = op->operand_count * sizeof(op->operands[0]);
    struct llmrun_kernel *made = calloc(1, sizeof(*made) + operand_bytes + op->attribute_bytes);
    char *behind = (char *)(made + 1);

    if (made == NULL)
        return NULL;
    made->op = *op;
    made->op.operands = memcpy(behind, op->operands, operand_bytes);
    made->op.attributes = NULL;
    if (op->attribute_bytes > 0)
        made->op.attributes = memcpy(behind + operand_bytes, op->attributes, op->attribute_bytes);
    return made;
}

static int32_t kernel_prepare(struct llmrun_device *device, const struct llmrun_op *given, int64_t max_workspace,
                              struct llmrun_kernel **kernel, struct llmrun_error *error)
{
    struct llmrun_tensor tensors[LLMRUN_MAX_OPERANDS];
    struct llmrun_op op;
    char reason[256] = "";
    const struct kernel *implementation;
    struct llmrun_kernel *made;
    int64_t workspace_bytes = 0;
    uint32_t address_count;
    uint64_t attributes[LLMRUN_OP_MAX_ATTRIBUTE_BYTES / 8];
    int32_t code = llmrun_read_op(given, &op, tensors, error);

    if (code != LLMRUN_OK)
        return code;
    code = check_op(&op, reason, sizeof(reason));
    if (code != LLMRUN_OK)
        return llmrun_fail(error, code, "%s", reason);
    address_count = op.operand_count;
    llmrun_op_complete(&op, tensors, attributes);
    implementation = choose(device, &op, max_workspace, &workspace_bytes, reason, sizeof(reason));
    if (implementation == NULL)
        return llmrun_fail(error, LLMRUN_ERROR_UNSUPPORTED, "%s", reason);
    made = copy_description(&op);
    if (made == NULL)
        return llmrun_fail(error, LLMRUN_ERROR_MEMORY, "there is no memory to prepare %s", implementation->name);
    made->implementation = implementation;
    made->address_count = address_count;
    made->workspace_bytes = workspace_bytes;
    *kernel = made;
    return LLMRUN_OK;
}

static const char *kernel_name(const struct llmrun_kernel *kernel)
{
    return kernel->implementation->name;
}

static void kernel_destroy(struct llmrun_kernel *kernel)
{
    free(kernel);
}

const struct llmrun_kernel_table runtime_kernel_table = {
    .size = sizeof(struct llmrun_kernel_table),
    .query = kernel_query,
    .prepare = kernel_prepare,
    .launch = stream_launch,
    .name = kernel_name,
    .destroy = kernel_destroy,
};
