/* The step program: everything one rank computes, as flat arrays of values and ops with int32 ids. It is made by a
 * model builder, rewritten by passes (program in, program out), planned, and walked by the executor. But for names
 * and contents of values it holds no pointer, so it prints, parses, diffs and hashes as text (program/text.h).
 *
 * Ops stand in sections; a section's ops are contiguous and run in order. Launching a section for another microbatch
 * binds other memory to the values that are per microbatch. */
#ifndef LLMRUN_PROGRAM_PROGRAM_H
#define LLMRUN_PROGRAM_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>

#include <llmrun/backend.h>

#include "base/status.h"
#include "program/mesh.h"
#include "program/value_index.h"

#define NO_VALUE (-1)

enum value_kind {
    VALUE_PARAMETER,    /* a weight; fp32 master; lives as long as the run */
    VALUE_STATE,        /* optimizer moments and the like: in-place, saved in checkpoints */
    VALUE_CAST,         /* a parameter in the compute type, made from it; `source` is the parameter */
    VALUE_CONSTANT,     /* written by the host after init and after loading; lives as long as the run; not saved */
    VALUE_GRADIENT,     /* fp32; zero at the start of an accumulation group (passes/reduction_order.h), then added to;
                           `source` is the parameter */
    VALUE_PARTIAL_ROWS, /* fp32; as a gradient, of which it is a part: rows of channels, further uses of a parameter;
                      `source` is the gradient */
    VALUE_INPUT,        /* written by the host before a step */
    VALUE_RESULT,       /* read by the host after a step */
    VALUE_SCRATCH,      /* written and read within one step, there once for all microbatches; two buffers of a link
                           (passes/pipeline_parallel.h) */
    VALUE_PENDING,      /* fp32; a sum of batch parts of an accumulator, `source`, until others are added to it */
    VALUE_ACTIVATION,   /* between ops of one microbatch, or of an update */
    VALUE_CACHE, /* keys and values of earlier tokens: lives as long as the run, made zero by nobody, not saved */
    VALUE_KINDS
};

/* Value flags. */
#define VALUE_TRAINABLE      1u /* parameters: gets a gradient and is updated */
#define VALUE_DECAY          2u /* parameters: weight decay applies */
#define VALUE_PER_MICROBATCH 4u /* inputs: one for each microbatch of the step */
#define VALUE_VIEW           8u /* has no memory of its own: lies in that of `source`, which stands above it */

/* How the terms of a value that ranks hold apart become the value. */
enum reduction {
    REDUCTION_NONE,
    REDUCTION_SUM,    /* a sum of floats: its order is that of its parts */
    REDUCTION_MAX,    /* the largest */
    REDUCTION_SELECT, /* one rank has the element, the others -0 */
    REDUCTION_SLOT,   /* one rank has the element, the others zero bits: summed as integers */
    REDUCTIONS
};

/* A rank of `axis` has part `index` of `parts` of one factor of one dimension. Where the factor is the whole dimension
 * and `parts` does not divide it, part i begins at i * ceil(extent / parts), and the last ones are shorter or empty. */
struct split {
    uint8_t dimension;
    uint8_t factor; /* of the product that the dimension is, outermost 0 (program/axes.h) */
    uint8_t axis;   /* enum mesh_axis; not MESH_PP */
    int32_t parts, index;
};

#define VALUE_MAX_SPLITS 3

/* A rank of an axis has a term of the value: parts `first` to `first + parts - 1` of the sum; 0, 0 for reductions whose
 * order changes nothing. */
struct partial {
    uint8_t reduction; /* enum reduction; REDUCTION_NONE: it is no term */
    int32_t first, parts;
};

/* Where the elements of a view are among those of its source. */
struct view {
    int64_t offset; /* elements before its first one */
    int64_t pitch;  /* elements from one row, along the first dimension, to the next; the rest is contiguous */
};

struct value {
    const char *name; /* unique in the program, of any length; owned by it; checkpoint name of parameters */
    uint8_t kind;     /* enum value_kind */
    uint8_t flags;
    uint8_t dtype; /* LLMRUN_F32 ... */
    uint8_t rank;
    uint8_t split_count;
    int32_t source;                 /* the value this one belongs to, or NO_VALUE */
    int32_t *contents;              /* of a constant i32 that a pass made; owned by the program. NULL: the model's */
    int64_t shape[LLMRUN_MAX_RANK]; /* what this rank has; unused entries 0 */
    int64_t full[LLMRUN_MAX_RANK];  /* of all ranks; `shape` where nothing is split */
    struct split splits[VALUE_MAX_SPLITS]; /* in the order of enum mesh_axis: each cuts what those before it left */
    struct partial partial[MESH_AXES];
    struct view view; /* with VALUE_VIEW */
};

/* What an op is for: decides where the schedule may put it. */
enum op_role { ROLE_FORWARD, ROLE_BACKWARD_INPUT /* B */, ROLE_BACKWARD_WEIGHT /* W */, ROLE_UPDATE, ROLES };

struct op {
    uint16_t op; /* LLMRUN_OP_MATMUL ... */
    uint16_t version;
    uint8_t role;            /* enum op_role */
    uint8_t recomputed;      /* 1: a clone that the recompute pass put here */
    int16_t layer;           /* of the model that it came from; -1 before the first one, their number after the last */
    uint32_t accumulate;     /* bit i: operand i (an output) is added to */
    int32_t first_operand;   /* into program.operands */
    int32_t first_attribute; /* byte offset into program.attributes, 8-byte aligned */
};

enum section_kind {
    SECTION_INIT,         /* initial parameters and state */
    SECTION_CAST_WEIGHTS, /* what is derived from parameters: compute-type copies; after init and after loading */
    SECTION_FORWARD,
    SECTION_BACKWARD,        /* the loss; then B and W of each op in turn */
    SECTION_BACKWARD_INPUT,  /* B apart from W: the loss, gradients of activations, and of what accumulates in B */
    SECTION_BACKWARD_WEIGHT, /* W: gradients of weights */
    SECTION_COMBINE_INPUT,   /* after an accumulation group: what B adds up in meets that of other groups */
    SECTION_COMBINE_WEIGHT,  /* the same of W (passes/combine.h) */
    SECTION_REDUCE,          /* when all groups have met: gradients as the update takes them */
    SECTION_UPDATE,
    SECTION_EVALUATE, /* losses of a batch, no gradients */
    SECTION_PREFILL,  /* many tokens of a text into the caches; logits of one of them */
    SECTION_DECODE,   /* one token more; its logits */
    SECTION_KINDS
};

/* {kind, chunk, layer, level, segment} is its key, no other section of the program has the same. */
struct section {
    uint8_t kind;    /* enum section_kind */
    uint8_t level;   /* of the tree of accumulation groups; 0 where there is none */
    int16_t layer;   /* of the model, as in struct op; -1 also where a section is of no layer */
    int32_t chunk;   /* pipeline chunk */
    int32_t segment; /* of those that a section was cut into at its communication (passes/segments.h) */
    int32_t first_op;
    int32_t op_count;
};

/* Zero-initialise, then program_init. Free with program_finish. */
struct program {
    struct value *values;
    int64_t value_count, value_capacity;
    struct op *ops;
    int64_t op_count, op_capacity;
    int32_t *operands;
    int64_t operand_count, operand_capacity;
    uint8_t *attributes;
    int64_t attribute_bytes, attribute_capacity;
    struct section *sections;
    int64_t section_count, section_capacity;
    struct value_index names; /* of the values; kept by program_add_value */
};

void program_init(struct program *program);
void program_finish(struct program *program);

/* Adds a value named `name` (made unique with a suffix ".2", ".3" ... if taken); the program keeps a copy, which stays
 * where it is. Shape entries beyond `rank` are ignored. Returns its id, or NO_VALUE when there is no memory. */
int32_t program_add_value(struct program *program, const char *name, enum value_kind kind, uint32_t dtype,
                          uint32_t rank, const int64_t *shape);

/* Gives a constant i32 its contents, value_elements numbers, which are copied. False when there is no memory. */
bool program_set_contents(struct program *program, int32_t value, const int32_t *contents);

/* Adds all values of `from` to the empty program `to`: with the same ids and names, without the ops. */
int program_copy_values(struct program *to, const struct program *from, struct error *error);

/* Starts a section with the key of `key`; ops are added to the last one. */
int program_add_section(struct program *program, const struct section *key, struct error *error);

/* Adds `op` to the last section with op_operand_count operands (NO_VALUE where absent) and op_attribute_bytes
 * attributes; the offsets in *op are filled in. Returns the op's index, or -1 when there is no memory. */
int64_t program_add_op(struct program *program, const struct op *op, const int32_t *operands, const void *attributes);

/* Sets the extents of a value that nothing splits. */
void program_set_extent(struct program *program, int32_t value, int dimension, int64_t extent);

int32_t *program_operands(const struct program *program, const struct op *op);
void *program_attributes(const struct program *program, const struct op *op);

/* The first section of a kind, or NULL. */
const struct section *program_section(const struct program *program, enum section_kind kind);

/* The value of that name, or NO_VALUE. */
int32_t program_find(const struct program *program, const char *name);

/* The value whose memory this one lies in: itself unless it is a view. */
int32_t program_root(const struct program *program, int32_t value);

/* Elements of the root's memory before a value's first one; 0 for one that is no view. */
int64_t program_root_offset(const struct program *program, int32_t value);

/* Splits and partials of `from`, and its logical shape, for a value that has its local shape. */
void value_copy_type(struct value *to, const struct value *from);

/* Elements of one row of a value: of all dimensions but the first. */
int64_t value_row_elements(const struct value *value);
int64_t value_elements(const struct value *value);
int64_t value_bytes(const struct value *value);

/* The contract's description of a value whose root has the given alignment: contiguous, but for the rows of a view.
 * NO_VALUE gives LLMRUN_NONE. */
void program_tensor(const struct program *program, int32_t value, int64_t alignment, struct llmrun_tensor *tensor);

const char *value_kind_name(enum value_kind kind);
const char *section_kind_name(enum section_kind kind);
const char *reduction_name(enum reduction reduction); /* "" for REDUCTION_NONE */
const char *op_role_name(enum op_role role);

#endif
