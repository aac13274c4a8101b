/* Pipeline parallelism (Huang et al., arXiv 1811.06965): makes of the whole model's program that of one rank of the
 * axis pp. Runs on a program that pass_cut has cut into stages and pass_combine has been over; it is the last pass but
 * pass_segments, so no other knows of stages. All ranks start from one program, and the union of theirs is that one.
 *
 * Sections. A rank has those of its stages, with the number of its chunk in their key, and of what belongs to no stage
 * the ops of parameters that its stages use. Values that no op uses are gone, so inputs are where they are used. The
 * table of norm slots, its numbering, and op keys of random numbers stay those of the whole model.
 *
 * What crosses. Between two stages on two ranks one tensor crosses each way:
 *     forward of stage s      ... (add) send          s's rank to that of s + 1, link 2 s
 *     forward of stage s + 1  receive ...
 *     backward of stage s + 1 ... send                s + 1's rank to that of s, link 2 s + 1
 *     backward of stage s     receive ...
 * receive is the first op of a stage's first section, send the last of its last one (of backward_input, where B is
 * apart from W). Evaluation, prefill and decode use the links of forward. Where a branch and the residual stream are
 * both alive, the sender adds them, which the norm behind the boundary did: it takes the sum as x, and no residual. The
 * sum was rounded there too, so bits are the same; the gradient that comes back is that of both. Two stages of one rank
 * have nothing between them: a value stays a value.
 *
 * Buffers. send(x -> buffer) copies x and sends the copy, receive(buffer -> y) copies y from what arrived, so nothing
 * that is computed waits for a transfer but by a buffer. "<x>.sent" and "<y>.received" are of the kind scratch. In a
 * step they have a pool (passes/flow.h) of two slots, and the n-th transfer of a link in the step uses slot n mod 2:
 *  - send waits until the transfer before the last one of its link, from the same slot, is over; then it copies, and
 *    posts;
 *  - receive waits until its input has arrived and copies it. It may post that receive itself, or ahead of time: once
 *    receive n begins, the slot of n + 1 is free. The first two of a step may be posted before all entries.
 * In other jobs each buffer is there once, and send waits for the transfer before. Sends and receives of one link match
 * in order; between two ranks links of both parities may run the same way, and then have no common order: even and odd
 * links need communicators, or tags, of their own.
 *
 * Tied weights. A parameter that stages of two ranks use is on both, of one name and so of the same first bits. Its
 * gradient has a term on each; in the section reduce, before the terms are first joined and so after dp, each rank
 * sends what the other lacks, without buffers, on the links from 2 * stages on, and both add in the same order:
 *     send(mine) receive(-> other's) reduce(...)
 * Sends without a buffer and the receives behind them are one group: all are posted before one is waited for, and the
 * sends are over when the last of the receives is. Both ranks update; the one with the later stage has `replica` set in
 * sum_squares.
 *
 * What all ranks get. Results that a stage makes, losses and logits, and the sums of squares are slots over pp: the
 * stage writes "<value>.stage", of the kind scratch, which is zero from the start and stays it on the other ranks; an
 * all_reduce over pp, at the end of the job's last section, or in the update, makes the value itself. What a pass
 * before has made a term over pp is left alone. */
#ifndef LLMRUN_PASSES_PIPELINE_PARALLEL_H
#define LLMRUN_PASSES_PIPELINE_PARALLEL_H

#include "program/program.h"
#include "schedule/pipeline.h"

struct pipeline_parallel_form {
    const struct pipeline *pipeline; /* shape.ranks, shape.chunks and placement; it needs no tables */
    int32_t rank;
};

/* Leaves a program alone where there is one rank. Else values have new numbers: new_ids, which has value_count entries
 * and may be NULL, gets that of each, NO_VALUE for one that is gone.
 *
 * STATUS_BUG where more than one tensor crosses and no op takes them as a residual stream, where a value is used two
 * stages away, and where a parameter is on three ranks. */
int pass_pipeline_parallel(struct program *program, const struct pipeline_parallel_form *form, int32_t *new_ids,
                           struct error *error);

#endif
