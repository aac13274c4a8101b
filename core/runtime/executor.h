/* Runs a compiled step on one device. Work is submitted without waiting for it, and collected one submission later, so
 * the host prepares the next batch while the device computes. In the steady state nothing is allocated.
 *
 * One thread uses an executor. The host side of inputs is double: `executor_input` writes into the set of the
 * submission to come. That of results is triple: `executor_result` reads from the set collected last, which no
 * submission writes before the next collect. */
#ifndef LLMRUN_RUNTIME_EXECUTOR_H
#define LLMRUN_RUNTIME_EXECUTOR_H

#include "compile/compiled.h"
#include "hal/device.h"
#include "runtime/prepared_exchange.h"
#include "runtime/timeline.h"

struct executor;

/* Allocates everything on `device`. `compiled` was made for it by device_compile, and stays as it is until the executor
 * is destroyed, as do the communicators of `communication`, which may be NULL where no other rank takes part. */
int executor_create(struct device *device, const struct compiled *compiled, const struct communication *communication,
                    struct executor **executor, struct error *error);
void executor_destroy(struct executor *executor);

const struct compiled *executor_compiled(const struct executor *executor);

/* STATUS_BUG when two submissions are pending: their inputs are still in use. After it, executor_input gives the memory
 * of an input value; `microbatch` counts from 0, of values that are no microbatch's it is not looked at. Every input
 * that the job uses is to be written before each submission. */
int executor_begin(struct executor *executor, struct error *error);
void *executor_input(struct executor *executor, int32_t value, int32_t microbatch);

/* For messages: the number of the training step that is submitted next. */
void executor_name_step(struct executor *executor, int64_t step);

/* Submits a job with the inputs written since executor_begin. */
int executor_submit(struct executor *executor, enum job job, struct error *error);

/* The same in two calls. The first gives the device enough to be busy, of a step the first forward of a chunk. A device
 * takes only so much work ahead, and enqueueing more blocks until there is room: so a host that wants to know when the
 * submission before this one ends collects it between the two. */
int executor_submit_first(struct executor *executor, enum job job, struct error *error);
int executor_submit_rest(struct executor *executor, enum job job, struct error *error);

/* The queue of the work; events that are recorded there stand behind what was submitted so far. */
const struct stream *executor_stream(const struct executor *executor);

/* Waits for the oldest submission that was not collected. A device that gets no further is lost after its timeout
 * (device.h): the sentence names the section, and no object of it is destroyed any more. The results can be read until
 * the next collect. */
int executor_collect(struct executor *executor, struct error *error);
const void *executor_result(const struct executor *executor, int32_t value);
/* Element `index` of one of the class `wide`: a loss. */
double executor_wide_result(const struct executor *executor, int32_t value, int64_t index);
int executor_pending(const struct executor *executor);

/* From now on each submission clears `timeline` and leaves its marks there, the last one behind all its work; NULL:
 * none, as at first. Its owner keeps it until then, and collects each submission before the next. */
void executor_observe(struct executor *executor, struct timeline *timeline);

/* Copies a persistent value between host and device; blocking; nothing may be pending. `bytes` is value_bytes. */
int executor_read(struct executor *executor, int32_t value, void *data, struct error *error);
int executor_write(struct executor *executor, int32_t value, const void *data, struct error *error);

/* The same with the whole tensor on the host's side: what of it is this rank's goes to the device. */
int executor_write_whole(struct executor *executor, int32_t value, const void *whole, struct error *error);

#endif
