/* What one rank runs, as data: the step program after all passes, its schedule, the commands of each job, the memory
 * plan, and which values the host writes and reads. Made once by compile_step; an executor takes it and a device. */
#ifndef LLMRUN_COMPILE_COMPILED_H
#define LLMRUN_COMPILE_COMPILED_H

#include <llmrun/backend.h>

#include "compile/commands.h"
#include "compile/exchange.h"
#include "passes/memory_plan.h"
#include "passes/reduction_order.h"

/* Ids of values; NO_VALUE where the program has none. Rows are those of all sequences of a batch. */
struct batch_values {
    int32_t tokens;         /* i32 [rows] */
    int32_t targets;        /* i32 [rows] */
    int32_t weights;        /* f32 [rows] */
    int32_t positions;      /* i32 [rows] */
    int32_t segment_starts; /* i32 [rows] */
};

struct io_values {
    struct batch_values train;    /* of a microbatch */
    struct batch_values evaluate; /* of a batch of an evaluation */
    struct batch_values prefill;  /* tokens and positions, i32 [prefill rows] */
    struct batch_values decode;   /* tokens and positions, i32 [1] */
    int32_t random;               /* of a microbatch, a row a draw: build_random */
    int32_t inverse_tokens;       /* f32 [1], 1 / valid tokens of the global batch */
    int32_t learning_rate;        /* f32 [1] */
    int32_t bias_correction;      /* f32 [2], {1 - beta1^t, sqrt(1 - beta2^t)} */
    int32_t losses;               /* wide [global batch], one sum a sequence */
    int32_t microbatch_losses;    /* wide [microbatch]; copied to `losses` when they are made */
    int32_t grad_norm;            /* f32 [1] */
    int32_t found_inf;            /* u32 [1] */
    int32_t evaluate_losses;      /* wide [batch of an evaluation] */
    int32_t prefill_cached;       /* i32 [1], rows that the caches hold before */
    int32_t prefill_row;          /* i32 [1], the row of a prefill whose logits are wanted */
    int32_t logits;               /* f32 [1, padded vocabulary], of prefill and of decode */
};

struct compiled {
    struct program program;
    struct pipeline pipeline; /* no ranks without a step */
    struct flow flow;
    struct commands commands;
    struct memory_plan plan;
    struct mesh mesh;           /* of ranks, and the place of this one */
    struct exchange *exchanges; /* [sections], of those that are communication; owned. NULL: there are none */
    struct io_values io;
    struct reduction_form form; /* where sums are cut */
    uint64_t logical_hash;      /* of the program before it is divided over ranks: the same on all */
    int64_t alignment;          /* of the addresses of the arena's buffers */
    int32_t microbatches;
    bool workspace_known; /* a device answered for every op */
};

void compiled_finish(struct compiled *compiled);

/* Alignment of every value's address: that of its place in an arena as it is aligned. */
int64_t compiled_alignment(const struct compiled *compiled);

/* The contract's description of one op; `tensors` holds LLMRUN_MAX_OPERANDS entries and lives as long as *out is used.
 */
void compiled_describe(const struct compiled *compiled, const struct op *op, struct llmrun_tensor *tensors,
                       struct llmrun_op *out);

#endif
