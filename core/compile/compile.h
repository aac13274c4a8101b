/* From a model and a layout to what a rank runs: the step program after all passes, the schedule, the memory plan. This
 * is the one place that lists the passes in order. It needs no device: a device is only asked what scratch each op
 * wants. */
#ifndef LLMRUN_COMPILE_COMPILE_H
#define LLMRUN_COMPILE_COMPILE_H

#include <llmrun/backend.h>

#include "model/model.h"
#include "passes/memory_plan.h"
#include "passes/recompute.h"
#include "passes/reduction_order.h"
#include "passes/update.h"
#include "schedule/schedule.h"

/* Asks a device about an op; *workspace_bytes is what a launch needs. An op that it cannot do is an error with its
 * reason. */
typedef int compile_query(void *context, const struct llmrun_op *op, int64_t *workspace_bytes, struct error *error);

struct compile_request {
    struct model_config model;
    uint64_t seed;
    int64_t sequence;       /* tokens of one sequence, and of the caches of `generate` */
    int64_t global_batch;   /* sequences of a step */
    int64_t micro_batch;    /* sequences of a microbatch; divides global_batch */
    int64_t batch_parts;    /* of a step, and */
    int64_t position_parts; /* of a sequence, with `exact`: passes/reduction_order.h; 0: its defaults */
    int64_t eval_batch;     /* sequences of an evaluation batch; 0: no evaluate section */
    int64_t eval_sequence;  /* tokens of one of them; 0: `sequence` */
    bool train;             /* forward, backward and update sections */
    bool generate;          /* prefill and decode sections over a cache of `sequence` tokens */
    float dropout;
    uint32_t compute_dtype; /* LLMRUN_F32 or LLMRUN_BF16 */
    enum recompute recompute;
    struct update_policy update;
    bool exact;           /* sums are cut as docs/numerics.md says, and ops carry LLMRUN_OP_EXACT */
    bool device_compiles; /* the device takes whole sections: values internal to one get no memory here */
    int64_t alignment;    /* of the address that the arena will have; 0: PLAN_ALIGNMENT at least */
    compile_query *query; /* NULL: workspace counts as 0 */
    void *query_context;
};

struct compiled {
    struct program program;
    struct schedule schedule; /* no entries without `train` */
    struct memory_plan plan;
    struct reduction_form form; /* where sums are cut */
    int64_t alignment;          /* of the arena's address */
    int32_t microbatches;
    bool workspace_known; /* a device answered for every op */
};

int compile_step(const struct compile_request *request, struct compiled *compiled, struct error *error);
void compiled_free(struct compiled *compiled);

/* Alignment of a value's address, of every microbatch: that of its place in an arena as it is aligned. */
int64_t compile_alignment(const struct compiled *compiled, int32_t value);

/* The contract's description of one op; `tensors` holds LLMRUN_MAX_OPERANDS entries and lives as long as *out is used.
 */
void compile_describe(const struct compiled *compiled, const struct op *op, struct llmrun_tensor *tensors,
                      struct llmrun_op *out);

/* Tokens of a sequence of an evaluation. */
int64_t compile_eval_sequence(const struct compile_request *request);

/* Tokens that a prefill takes at once: the caches have room for the last of them to begin anywhere below the context.
 */
int64_t compile_prefill_rows(const struct compile_request *request);

/* Names of the values that the host writes and reads; see compile/values.c for their shapes. A prefix and a name take
 * VALUE_FULL_NAME_BYTES at most. */
#define VALUE_FULL_NAME_BYTES 32
#define VALUE_TOKENS          "tokens"
#define VALUE_TARGETS         "targets"
#define VALUE_WEIGHTS         "weights"
#define VALUE_POSITIONS       "positions"
#define VALUE_SEGMENT_STARTS  "segment_starts"
#define VALUE_RANDOM          "random"
#define VALUE_INVERSE_TOKENS  "inverse_tokens" /* 1 / valid tokens of the global batch */
#define VALUE_LOSSES          "losses"         /* f64 [global batch], one sum a sequence */
#define VALUE_LEARNING_RATE   "learning_rate"
#define VALUE_BIAS_CORRECTION "bias_correction" /* {1 - beta1^t, sqrt(1 - beta2^t)} */
#define VALUE_GRAD_NORM       "grad_norm"
#define VALUE_FINITE          "finite"
#define VALUE_EVAL_PREFIX     "eval."    /* + tokens, targets ..., losses [eval batch] */
#define VALUE_PREFILL_PREFIX  "prefill." /* + tokens, positions [prefill rows], cached, row [1] */
#define VALUE_DECODE_PREFIX   "decode."  /* + tokens, positions [1] */
#define VALUE_CACHED          "cached"   /* rows that the caches hold before */
#define VALUE_ROW             "row"      /* of the prefill, whose logits are wanted */
#define VALUE_LOGITS          "logits"   /* f32 [1, padded vocabulary], of prefill and of decode */

#endif
