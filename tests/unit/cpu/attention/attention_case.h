/* attention and attention_grad as test cases, and all kernels that this machine can run them with. */
#ifndef LLMRUN_TEST_ATTENTION_CASE_H
#define LLMRUN_TEST_ATTENTION_CASE_H

#include "op_case.h"

struct attention_shape {
    int64_t sequences;
    int64_t sequence;
    uint32_t heads;
    uint32_t kv_heads;
    int64_t width; /* of a head */
    int segments;  /* documents in a sequence, cut at random places */
    float dropout;
};

struct attention_case {
    struct llmrun_attention_attributes attributes;
    struct llmrun_attention_grad_attributes grad_attributes;
    struct op_case forward; /* o and lse are those of the reference */
    struct op_case grad;
};

/* Random numbers from `seed`; o and lse of both cases are made by the exact reference, or that in fp64. */
void attention_case_begin(struct attention_case *attention, const struct attention_shape *shape, uint32_t dtype,
                          uint64_t seed, int exact);
void attention_case_end(struct attention_case *attention);

struct loss_shape {
    int64_t sequences;
    int64_t sequence;
    int64_t width;
    int64_t rows;       /* of w */
    int64_t vocabulary; /* rows of w that are tokens */
    uint32_t feature_parts;
    uint32_t vocabulary_parts;
    uint32_t batch_parts;
};

struct loss_case {
    struct llmrun_linear_cross_entropy_attributes attributes;
    struct op_case op;
};

/* Which gradients the case asks for. */
#define LOSS_DX        1u
#define LOSS_DW        2u
#define LOSS_ADD_TO_DW 4u

/* Random numbers from `seed`; a quarter of the tokens have no weight, and targets outside the vocabulary. */
void loss_case_begin(struct loss_case *loss, const struct loss_shape *shape, uint32_t dtype, unsigned gradients,
                     uint64_t seed);

/* The reference in the defined order, or in fp64. */
const struct kernel *case_reference(uint16_t op, int exact);

/* Runs every kernel of the cpu backend that takes the case, on each instruction set of this machine, with 1 and 2
 * threads, and fails unless all give the bits of the exact reference. */
void case_check(const struct op_case *op_case, const char *what);

#endif
