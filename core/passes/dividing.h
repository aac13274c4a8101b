/* A program that is being divided over the ranks of dp (passes/data_parallel.h): what its files share. */
#ifndef LLMRUN_PASSES_DIVIDING_H
#define LLMRUN_PASSES_DIVIDING_H

#include "passes/data_parallel.h"
#include "program/builder.h"

/* How ZeRO cuts a parameter: by rows, one run of them a rank. */
struct shard {
    bool cut;     /* false: the tensor stays whole, and every rank updates all of it */
    bool master;  /* the parameter itself is cut: only its cast is used, and gathered */
    int64_t rows; /* of a rank */
};

struct dividing {
    struct builder builder; /* of `out` */
    const struct program *program;
    struct program *out; /* the same values, and more */
    const struct data_parallel_form *form;
    int32_t losses;       /* of the step: what all ranks get; NO_VALUE */
    int32_t own;          /* its slots, those of this rank filled */
    struct shard *shards; /* ZeRO: of each parameter of `program`; NULL: none */
    int32_t squares;      /* ZeRO: the slots of the norm that all ranks get */
    int32_t own_squares;  /* those that this rank fills */
};

/* An op over dp: y takes part in the type that x has not. */
void dividing_emit(struct dividing *dividing, uint16_t op, int32_t x, int32_t y);

/* Chooses the shards, cuts what lives by them, and makes the view in which each gradient's terms meet. */
int zero_begin(struct dividing *dividing);

/* After an op of the program was copied: takes shards in place of whole tensors, and emits what gathers them. */
void zero_op(struct dividing *dividing, enum section_kind section, struct op *op);

/* Before what comes behind the squares: all ranks get all slots. */
void zero_squares(struct dividing *dividing);

#endif
