#include "hal/op_key.h"

#include "base/hash.h"

static uint64_t hash_array(const void *items, size_t bytes)
{
    return hash_bytes(bytes > 0 ? items : "", bytes);
}

static uint64_t never_0(uint64_t key)
{
    return key != 0 ? key : 1;
}

/* Of the first `bytes` bytes of each of `count` items. */
static uint64_t hash_items(const void *items, uint32_t count, uint32_t stride, size_t bytes)
{
    uint64_t chain[2] = {0, 0};

    for (uint32_t i = 0; i < count; i++) {
        chain[1] = hash_bytes((const char *)items + (size_t)i * stride, bytes);
        chain[0] = hash_bytes(chain, sizeof chain);
    }
    return chain[0];
}

uint64_t op_key(const struct llmrun_op *op)
{
    const struct {
        uint32_t op, version, flags, accumulate, attribute_bytes, operand_count;
        uint64_t attributes, operands;
    } parts = {op->op,
               op->version,
               op->flags,
               op->accumulate,
               op->attribute_bytes,
               op->operand_count,
               hash_array(op->attributes, op->attribute_bytes),
               hash_items(op->operands, op->operand_count, op->operand_stride, sizeof *op->operands)};

    return never_0(hash_bytes(&parts, sizeof parts));
}

uint64_t program_key(const struct llmrun_program_desc *desc)
{
    uint64_t parts[] = {desc->op_count, desc->value_count,
                        hash_items(desc->values, desc->value_count, desc->value_stride, sizeof *desc->values),
                        hash_array(desc->kinds, desc->value_count * sizeof *desc->kinds)};
    uint64_t key = hash_bytes(parts, sizeof parts);

    for (uint32_t i = 0; i < desc->op_count; i++) {
        const struct llmrun_program_op *from = (const void *)((const char *)desc->ops + (size_t)i * desc->op_stride);
        const struct llmrun_op op = {.op = from->op,
                                     .version = from->version,
                                     .flags = from->flags,
                                     .accumulate = from->accumulate,
                                     .attribute_bytes = from->attribute_bytes,
                                     .attributes = from->attributes};
        const uint64_t chain[] = {key, op_key(&op), from->operand_count,
                                  hash_array(from->operands, from->operand_count * sizeof *from->operands)};

        key = hash_bytes(chain, sizeof chain);
    }
    return never_0(key);
}
