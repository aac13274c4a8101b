/* How the microbatches of a step flow through the sections of one rank: on which time line each section runs, which
 * values outlive the entry of the schedule that makes them, and in which slot each microbatch has them.
 *
 * A line is what one entry of the schedule runs, the sections of one kind and chunk; update, evaluation, prefill and
 * decode are lines too. Only one line runs at a time. Where the schedule runs its microbatches one after the other, all
 * entries of a microbatch are one line, and everything is alive once.
 *
 * An activation that another line uses lives in a slot of a pool: taken by the first entry that uses it, for its
 * microbatch, and given back when the last one has run. Values that live equally long share a pool. Pools of different
 * chunks that live equally long, as seen from their chunk, form a group and share its slots. Pool 0 holds the inputs of
 * a microbatch, from its first entry on. The buffers of each link of a pipeline are a pool of two slots, which are used
 * in turn (passes/pipeline_parallel.h). */
#ifndef LLMRUN_PASSES_FLOW_H
#define LLMRUN_PASSES_FLOW_H

#include "program/program.h"
#include "schedule/pipeline.h"

#define NO_LINE    (-1)
#define NO_POOL    (-1)
#define POOL_INPUT 0

struct flow {
    bool serial;      /* microbatches run one after the other */
    int32_t *line;    /* of each section; NO_LINE for one that runs while no activation is alive */
    int64_t *time;    /* of each section's first op on its line; its ops follow each other */
    int32_t *section; /* of each activation that only one section uses: that one; -1 for other values */
    int32_t *pool;    /* of each value; NO_POOL */
    int32_t pools;    /* 0 without a step */
    int32_t *group;   /* of each pool */
    int32_t groups;
    int32_t *group_slots; /* of each group: how many the schedule needs */
    int32_t *accumulator; /* of each value that B or W adds to: flow_accumulators of who does; else -1 */
    int32_t *slots;       /* [entry of the schedule][pool]: that of the entry's microbatch; -1 where it has none */
};

/* `rank` is NULL for a program without a step; else its table must be one that pipeline_check accepts. STATUS_BUG names
 * a kind of section that the schedule has and the program lacks, or the other way round, and a value that sections use
 * which do not run in one job. */
int flow_make(const struct program *program, const struct pipeline_shape *shape, const struct pipeline_rank *rank,
              struct flow *flow, struct error *error);
void flow_finish(struct flow *flow);

/* What the B, or the W, of a chunk adds to becomes zero at once: its number, below 2 * chunks. Where they are one
 * section, all of it is B's. */
int32_t flow_accumulators(int32_t chunk, bool weight);

/* The kind of section that an entry launches, of its chunk and all layers; SECTION_KINDS for ZERO. */
enum section_kind flow_section_kind(const struct pipeline_entry *entry);

#endif
