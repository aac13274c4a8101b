/* The reductions of a communication op (compile/exchange.h) on a device: a kernel, or a program of one op on a device
 * that compiles. */
#ifndef LLMRUN_RUNTIME_EXCHANGE_REDUCTION_H
#define LLMRUN_RUNTIME_EXCHANGE_REDUCTION_H

#include "compile/compiled.h"
#include "hal/stream.h"

/* All zero: none. */
struct exchange_reduction {
    struct device_kernel kernel;
    struct device_program program;
};

/* Step `step` of the exchange; none where it adds nothing. Scratch is at most `max_workspace` bytes. */
int exchange_reduction_create(struct device *device, const struct compiled *compiled, const struct exchange *exchange,
                              int step, int64_t max_workspace, struct exchange_reduction *reduction,
                              struct error *error);
void exchange_reduction_destroy(struct exchange_reduction *reduction);

int64_t exchange_reduction_workspace(const struct exchange_reduction *reduction);

/* Enqueues it: adds the terms, [ranks, elements], to `sum`. */
int exchange_reduction_launch(const struct exchange_reduction *reduction, const struct stream *stream, uint64_t terms,
                              uint64_t sum, uint64_t workspace, struct error *error);

#endif
