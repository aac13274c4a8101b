/* From a model and a layout to what a rank runs (compile/compiled.h). This is the one place that lists the passes in
 * order. It needs no device: a device is only asked what scratch it wants. */
#ifndef LLMRUN_COMPILE_COMPILE_H
#define LLMRUN_COMPILE_COMPILE_H

#include <llmrun/backend.h>

#include "compile/compiled.h"
#include "model/model.h"
#include "passes/optimizer.h"
#include "passes/recompute.h"
#include "passes/reduction_order.h"

/* Asks a device about all ops and sections of what is compiled so far, everything but the memory plan:
 * *workspace_bytes is the most that a launch needs. An op that it cannot do is an error with its reason. */
typedef int compile_query(void *context, const struct compiled *compiled, int64_t *workspace_bytes,
                          struct error *error);

struct compile_request {
    struct model_config model;
    uint64_t seed;
    int64_t sequence;       /* tokens of one sequence, and of the caches of `generate` */
    struct mesh mesh;       /* of ranks, with the place of this one; sizes of 0: one rank */
    int64_t global_batch;   /* sequences of a step, of all ranks */
    int64_t micro_batch;    /* sequences of a microbatch of one rank; times dp it divides global_batch */
    int64_t batch_parts;    /* of a step, and */
    int64_t position_parts; /* of a sequence, with `exact`: passes/reduction_order.h; 0: its defaults */
    int64_t eval_batch;     /* sequences of an evaluation batch, of all ranks; 0: no evaluate section */
    int64_t eval_sequence;  /* tokens of one of them; 0: `sequence` */
    bool train;             /* forward, backward and update sections */
    bool generate;          /* prefill and decode sections over a cache of `sequence` tokens */
    float dropout;
    uint32_t compute_dtype; /* LLMRUN_F32 or LLMRUN_BF16 */
    enum recompute recompute;
    enum pipeline_kind schedule;
    int32_t chunks;         /* pipeline chunks of a rank; 0: 1 */
    bool sequence_parallel; /* what lies between blocks is split over positions, with tp */
    int32_t zero;           /* ZeRO stage, 0 or 1 */
    int64_t loss_chunk;     /* tokens whose logits are there at once, with tp, in an evaluation at most; 0: chosen */
    struct update_policy update;
    bool exact;                 /* sums are cut as docs/numerics.md says, and ops carry LLMRUN_OP_EXACT */
    bool device_compiles;       /* the device takes whole sections: values internal to one get no memory here */
    bool no_f64;                /* losses and the sums of norms are f32; not with `exact` */
    int64_t alignment;          /* of the address that the arena will have; 0: PLAN_ALIGNMENT at least */
    int64_t largest_allocation; /* bytes of one buffer of the arena at most; 0: no limit */
    compile_query *query;       /* NULL: workspace counts as 0 */
    void *query_context;
};

int compile_step(const struct compile_request *request, struct compiled *compiled, struct error *error);

/* The last part of it: from a program after all passes, with what else of *compiled does not follow from it, to its
 * exchanges, commands and memory. */
int compile_plan(const struct compile_request *request, struct compiled *compiled, struct error *error);

/* Tokens of a sequence of an evaluation. */
int64_t compile_eval_sequence(const struct compile_request *request);

/* Tokens that a prefill takes at once: the caches have room for the last of them to begin anywhere below the context.
 */
int64_t compile_prefill_rows(const struct compile_request *request);

#endif
