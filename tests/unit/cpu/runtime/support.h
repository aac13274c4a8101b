/* A device of the CPU runtime over test kernels: `add` does what it says, `gelu` waits until the test opens the gate,
 * `cast` fails, `init` declines every op, `dropout` counts how many kernels run at once. */
#ifndef SUPPORT_H
#define SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runtime/kernel.h"

/* cmocka setup and teardown: *state is a struct bench. */
struct bench {
    const struct llmrun_backend *backend;
    const struct llmrun_device_table *device;
    const struct llmrun_kernel_table *kernel;
    struct llmrun_device *host;
    struct llmrun_error error;
};

int bench_open(void **state);
int bench_close(void **state);

extern const struct kernel_set test_kernels;

/* The gate that `gelu` waits at: shut by bench_open, opened once. */
void gate_open(void);
/* Largest number of `dropout` kernels that were inside at once since bench_open. */
int most_at_once(void);

struct llmrun_tensor vector_of(uint32_t dtype, int64_t n);
struct llmrun_tensor matrix_of(uint32_t dtype, int64_t rows, int64_t columns);
/* A description with version and operand count filled in. */
struct llmrun_op op_of(uint16_t op, uint16_t version, const struct llmrun_tensor *operands, uint32_t count);

/* y = a + b over n floats, or `gelu`, `cast` and `dropout` over n floats, prepared. */
struct llmrun_kernel *prepare_add(struct bench *bench, int64_t n);
struct llmrun_kernel *prepare_gate(struct bench *bench);
struct llmrun_kernel *prepare_failing(struct bench *bench);
struct llmrun_kernel *prepare_crowd(struct bench *bench);
/* Launches one of the last three on memory of the test's. */
void launch_pair(struct bench *bench, struct llmrun_stream *stream, struct llmrun_kernel *kernel, float *memory);

struct llmrun_stream *stream_of(struct bench *bench);
struct llmrun_event *event_of(struct bench *bench);

#endif
