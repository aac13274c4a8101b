/* Writing a program as straight-line code. Each build_* call adds one op to the last section and returns the value it
 * makes; shapes follow from the op table, so a caller never computes one.
 *
 * The first failure sticks: later calls do nothing and return NO_VALUE, and builder.status says what happened, so model
 * files check once at the end. */
#ifndef LLMRUN_PROGRAM_BUILDER_H
#define LLMRUN_PROGRAM_BUILDER_H

#include "program/op_table.h"
#include "program/program.h"

/* The input `random` has a row for each op that draws numbers: RANDOM_WORDS of it are the op's operand, the rest makes
 * the operands of all ops lie alike in memory. */
#define RANDOM_WORDS 5
#define RANDOM_ROW   64

struct builder {
    struct program *program;
    struct error *error;
    int status;    /* enum status */
    int16_t layer; /* of the ops that are added; -1 outside the layers */
    enum op_role role;
    uint32_t next_key; /* names the random numbers of the next op of the section that draws some */
};

void builder_init(struct builder *builder, struct program *program, struct error *error);

void builder_section(struct builder *builder, enum section_kind kind);

/* In an operand list: make this output. */
#define WANTED (-2)

/* Adds any op. Outputs marked WANTED become new activations called after `name`; those given as ids are written (or
 * added to, by the `accumulate` mask). New ids are put into `operands`. */
void builder_emit(struct builder *builder, uint16_t op, const void *attributes, int32_t *operands, uint32_t accumulate,
                  const char *name);

/* A parameter [shape...], looked up by name when it is there already. */
int32_t build_parameter(struct builder *builder, const char *name, uint32_t flags, uint32_t rank, const int64_t *shape);
/* Any value: found by name when it is there already, which must be in the same form. */
int32_t build_value(struct builder *builder, const char *name, enum value_kind kind, uint32_t flags, uint32_t dtype,
                    uint32_t rank, const int64_t *shape);

/* A value that belongs to `source`, "<its name>.<suffix>": found by name when it is there already. With the shape of
 * the source it is split as that is. */
int32_t build_part(struct builder *builder, int32_t source, const char *suffix, enum value_kind kind, uint32_t dtype,
                   uint32_t rank, const int64_t *shape);

/* A view of `source`, "<its name>.<suffix>": contiguous, of its kind and type, from
 * element `offset` on. */
int32_t build_view(struct builder *builder, int32_t source, const char *suffix, int64_t offset, uint32_t rank,
                   const int64_t *shape);

/* The input `random`, u32 [draws, RANDOM_ROW]: it grows with the ops that draw. Row i is that of key i + 1. */
int32_t build_random(struct builder *builder, uint32_t flags);

/* The ops, in the order of ops.def. Optional operands take NO_VALUE. Rows are tokens: [rows, features]. */
int32_t build_embedding(struct builder *builder, int32_t ids, int32_t table, int32_t addend, const char *name);
/* *sum becomes x + residual; without a residual it is x itself. `residual` may be NO_VALUE, `sum` NULL. */
int32_t build_layernorm(struct builder *builder, int32_t x, int32_t residual, int32_t weight, int32_t bias,
                        float epsilon, int32_t *sum, const char *name);
/* The same without mean and bias. */
int32_t build_rmsnorm(struct builder *builder, int32_t x, int32_t residual, int32_t weight, float epsilon, int32_t *sum,
                      const char *name);
int32_t build_linear(struct builder *builder, int32_t x, int32_t weight, int32_t bias, const char *name);
int32_t build_gelu(struct builder *builder, int32_t x, const char *name);
int32_t build_swiglu(struct builder *builder, int32_t gate, int32_t up, const char *name);
/* `positions` are rows of the tables of cosines and sines, [table rows, head width / 2]. */
int32_t build_rope(struct builder *builder, int32_t x, int32_t positions, int32_t cosines, int32_t sines,
                   uint32_t heads, const char *name);

struct attention_form {
    int64_t sequence;
    uint32_t heads, kv_heads;
    float scale;
    float dropout;
};

/* `random`, of build_random, is needed when form->dropout > 0. */
int32_t build_attention(struct builder *builder, int32_t q, int32_t k, int32_t v, int32_t segment_starts,
                        int32_t random, const struct attention_form *form, const char *name);
/* Attention of the rows of one sequence to themselves and to those before them, which the caches [rows, kv features]
 * hold; `position` is an i32 [1], the number of rows that they hold. */
int32_t build_attention_cached(struct builder *builder, int32_t q, int32_t k, int32_t v, int32_t position,
                               int32_t k_cache, int32_t v_cache, const struct attention_form *form, const char *name);
/* Returns x itself when probability is 0. */
int32_t build_dropout(struct builder *builder, int32_t x, int32_t random, int64_t sequence, float probability,
                      const char *name);
int32_t build_add(struct builder *builder, int32_t a, int32_t b, const char *name);
int32_t build_cast(struct builder *builder, int32_t x, uint32_t dtype, const char *name);
/* Writes `losses`; gradients are added by the backward pass. */
void build_linear_cross_entropy(struct builder *builder, int32_t x, int32_t weight, int32_t targets, int32_t weights,
                                int32_t scale, int32_t losses, int64_t sequence, int64_t vocabulary);

/* What ranks that split a sum or the vocabulary need beside these. `dtype` is that of the output, which no input of
 * these ops has. `aux`, which may be NULL, becomes what the activation is taken of. */
int32_t build_finish(struct builder *builder, int32_t partial, int32_t bias, uint32_t activation, uint32_t dtype,
                     int32_t *aux, const char *name);

/* A rank's part of the vocabulary. */
struct vocabulary_form {
    int64_t sequence;
    int64_t first;      /* its first token */
    int64_t vocabulary; /* columns of its logits that are tokens */
    int64_t full;       /* tokens of all ranks */
    uint32_t parts;     /* of its columns */
};

int32_t build_loss_statistics(struct builder *builder, int32_t logits, int32_t targets,
                              const struct vocabulary_form *form, const char *name);
/* `statistics` of all ranks. Losses go to, or are added to, `losses`, which may be NO_VALUE; returns the gradient of
 * the logits. */
int32_t build_loss_gradient(struct builder *builder, int32_t logits, int32_t statistics, int32_t targets,
                            int32_t weights, int32_t scale, int32_t losses, bool added,
                            const struct vocabulary_form *form, uint32_t dtype, const char *name);

#endif
