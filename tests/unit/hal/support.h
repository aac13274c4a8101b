/* Test backends as the core sees them, and one op that is easy to check: y = a + b over fp32. */
#ifndef LLMRUN_TEST_PLUGIN_SUPPORT_H
#define LLMRUN_TEST_PLUGIN_SUPPORT_H

#include <llmrun/ops.h>

#include "hal/graph.h"
#include "plugin/registry.h"

/* Loads `name` from the test plugins of this build; fails the test when it cannot. */
const struct backend *open_backend(const char *name);
/* Opens device `index` with one option, or none where key is NULL. */
struct device *open_device(const char *name, int32_t index, const char *key, const char *value);

/* Device 0 of fakegpu, whose order of streams is drawn from the seed. */
struct device *open_seed(int seed);

/* The call must succeed; its sentence fails the test. */
#define assert_ok(call) assert_ok_(call, &error)
void assert_ok_(int result, const struct error *error);

/* A row-major fp32 tensor of the given extents. */
struct llmrun_tensor matrix(int64_t rows, int64_t columns);
/* y = a + b over [rows, columns]; `operands` has room for three and lives as long as the op. */
struct llmrun_op add_op(struct llmrun_tensor *operands, int64_t rows, int64_t columns);

/* A program over 4 x 4 numbers: value 3 = value 0 + value 1; value 2 = value 3 + value 0. Values 0 to 2 are bound, 3 is
 * internal. */
struct sum {
    struct llmrun_tensor values[4];
    uint32_t kinds[4];
    int32_t operands[2][3];
    struct llmrun_program_op ops[2];
    struct llmrun_program_desc desc; /* of what stands above: not to be copied */
};

void sum_describe(struct sum *sum, const char *name);

/* A small device with everything a case needs: three buffers of `bytes` bytes, staging for each, one stream. */
struct bench {
    struct device *device;
    struct stream stream;
    struct event event;
    struct buffer a, b, y;
    struct host_buffer host_a, host_b, host_y;
};

void bench_create(struct bench *bench, struct device *device, int64_t bytes);
void bench_destroy(struct bench *bench); /* closes the device */
/* Waits until the stream has done all its work, which must succeed. */
void bench_await(const struct bench *bench);

/* Host memory as fp32 numbers that are all the same. */
void host_put(const struct host_buffer *buffer, float value);
bool host_all_are(const struct host_buffer *buffer, float value);

#endif
