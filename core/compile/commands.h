/* What a rank does, as a list a job: work that is enqueued on lanes of the device, in this order. An executor only
 * walks it. `llmrun plan --dump commands` prints it. */
#ifndef LLMRUN_COMPILE_COMMANDS_H
#define LLMRUN_COMPILE_COMMANDS_H

#include "base/text.h"
#include "passes/flow.h"
#include "passes/memory_plan.h"

enum job {
    JOB_INIT,         /* initial parameters, zeros in the state, then cast_weights */
    JOB_CAST_WEIGHTS, /* what is derived from parameters */
    JOB_STEP,         /* the schedule, then the update */
    JOB_EVALUATE,
    JOB_PREFILL, /* tokens into the caches, logits of one of them */
    JOB_DECODE,  /* one token more */
    JOBS
};

enum command_kind {
    COMMAND_UPLOAD,     /* the host's inputs to where they arrive */
    COMMAND_COPY_IN,    /* from there to their place: those of the step, or of a microbatch, to its slot */
    COMMAND_LAUNCH,     /* `what`: a section */
    COMMAND_COLLECTIVE, /* `what`: a section that is a communication op (compile/exchange.h) */
    COMMAND_FILL,       /* zeros; `what`: a region of the memory plan */
    COMMAND_ZERO,       /* zeros in accumulators; `what`: flow_accumulators */
    COMMAND_COPY_OUT,   /* the losses of a microbatch to their place among those of the step */
    COMMAND_DOWNLOAD,   /* the results to the host */
    COMMAND_RECORD,     /* `what`: a point that other lanes and the host can wait for */
    COMMAND_WAIT        /* until that point */
};

enum command_lane { LANE_COMPUTE, LANE_COPY, LANES };

enum command_point {
    POINT_UPLOADED, /* the inputs have arrived */
    POINT_CONSUMED, /* all inputs are in their places: the next ones may arrive */
    POINT_DONE,     /* the results are in host memory */
    POINTS
};

struct command {
    uint8_t kind; /* enum command_kind */
    uint8_t lane; /* enum command_lane */
    int32_t what;
    int32_t microbatch; /* -1: of no one */
    int64_t entry;      /* of the schedule, whose slots a launch and its copies use; -1: none */
};

struct command_list {
    struct command *commands; /* owned */
    int64_t count, capacity;
};

struct commands {
    struct command_list jobs[JOBS]; /* empty for what the program cannot do */
};

/* `rank` is this rank's table of a schedule of `shape`, which is turned into the job of a step; NULL without one.
 * `microbatch_losses`: the value that COPY_OUT copies, NO_VALUE for none. STATUS_BUG names an entry of the schedule
 * whose sections do not exist. */
int commands_make(const struct program *program, const struct pipeline_shape *shape, const struct pipeline_rank *rank,
                  const struct flow *flow, int32_t microbatch_losses, struct commands *commands, struct error *error);
void commands_finish(struct commands *commands);

/* One line a command. */
void commands_print(const struct program *program, const struct flow *flow, const struct commands *commands,
                    struct text *text);

const char *job_name(enum job job);

#endif
