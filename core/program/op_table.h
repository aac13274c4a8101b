/* The rows of ops.def as data. */
#ifndef LLMRUN_PROGRAM_OP_TABLE_H
#define LLMRUN_PROGRAM_OP_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include <llmrun/backend.h>
#include <llmrun/ops.h>

enum operand_direction { OPERAND_IN, OPERAND_INOUT, OPERAND_OUT };

/* What element type an operand may have; see ops.def. */
enum operand_class { CLASS_COMPUTE, CLASS_WIDE, CLASS_F32, CLASS_I32, CLASS_U32, CLASS_ANY, CLASS_SUM };

struct operand_info {
    const char *name;
    enum operand_direction direction;
    enum operand_class class;
    bool optional;
    bool root; /* comes after a sum: only where no sum or selection is split */
    const char *axes;
};

enum attribute_type { ATTRIBUTE_U32, ATTRIBUTE_I64, ATTRIBUTE_U64, ATTRIBUTE_F32 };

struct attribute_info {
    const char *name;
    const char *role; /* "extent s", "parts k", ... (ops.def), or "" */
    enum attribute_type type;
};

/* An operand or attribute that versions below `version` of the op do not have. */
struct op_addition {
    const char *name;
    uint16_t version;
};

#define OP_MAX_ATTRIBUTE_BYTES 96

#define OP_CHEAP         1u /* recomputing beats keeping */
#define OP_RESIDUAL      2u /* sum = x (+ residual); the other outputs follow from sum alone */
#define OP_JOIN          4u /* y = a + b: may join two terms of one sum */
#define OP_COMMUNICATION 8u /* x and y are one value, in two types of sharding or on two ranks */

/* Rows that stay in the core: no plugin sees them. */
enum core_op {
    OP_ALL_GATHER = 128,
    OP_REDUCE_SCATTER,
    OP_ALL_REDUCE,
    OP_ALL_TO_ALL,
    OP_SLICE,
    OP_SEND,
    OP_RECEIVE,
    OPS_END
};

struct communication_attributes {
    uint32_t axis; /* enum mesh_axis */
    uint32_t reserved;
};

/* Of send and receive: begins as that of the others. */
struct transfer_attributes {
    uint32_t axis; /* MESH_PP */
    uint32_t peer; /* index along it */
    uint32_t link; /* passes/pipeline_parallel.h */
    uint32_t reserved;
};

/* Operands of send and of receive. */
enum { SEND_X, SEND_BUFFER, SEND_OPERANDS };
enum { RECEIVE_BUFFER, RECEIVE_Y, RECEIVE_OPERANDS };

struct op_info {
    const char *name;
    uint16_t id;
    uint16_t version;
    uint32_t flags;                          /* OP_CHEAP ... */
    const char *flops;                       /* see ops.def; "": not counted */
    const char *backward;                    /* name of the rule, "none" when not differentiable */
    const struct operand_info *operands;     /* ends with a NULL name */
    const struct attribute_info *attributes; /* ends with a NULL name */
    const struct op_addition *additions;     /* ends with a NULL name */
};

/* NULL for an id or name that is not in the table. */
const struct op_info *op_info_find(uint16_t id);
const struct op_info *op_info_by_name(const char *name, int64_t length);

uint32_t op_operand_count(const struct op_info *op);

/* The operand of that name, or op_operand_count. */
uint32_t op_operand_index(const struct op_info *op, const char *name);

/* The version that brought the operand or attribute `name`; the oldest one that is known where it was always there. */
uint16_t op_since(const struct op_info *op, const char *name);

/* A later version of the op brought it. */
bool op_is_addition(const struct op_info *op, const char *name);

/* Turns the description of an op in its newest version, with all operands and attributes, into that of the lowest
 * version that has those it uses: operands that are there, attributes that are not 0. */
void op_lower(const struct op_info *op, struct llmrun_op *description);

/* Of an op with OP_RESIDUAL: which of its operands are x, residual and sum. False for any other op. */
struct op_residual {
    uint32_t x, residual, sum;
};
bool op_residual_find(const struct op_info *op, struct op_residual *residual);

/* Where attribute `index` stands in struct llmrun_<op>_attributes, and the size of that struct; 0 when there are none.
 */
uint32_t op_attribute_offset(const struct op_info *op, uint32_t index);
uint32_t op_attribute_bytes(const struct op_info *op);

/* An integer attribute of such a struct. */
int64_t op_attribute_number(const struct op_info *op, uint32_t index, const void *attributes);
void op_attribute_set(const struct op_info *op, uint32_t index, void *attributes, int64_t number);

/* The element type of such an operand; `compute` for CLASS_COMPUTE, CLASS_SUM and CLASS_ANY. */
uint32_t operand_class_dtype(enum operand_class class, uint32_t compute);

static inline uint32_t attribute_type_bytes(enum attribute_type type)
{
    return type == ATTRIBUTE_I64 || type == ATTRIBUTE_U64 ? 8 : 4;
}

#endif
