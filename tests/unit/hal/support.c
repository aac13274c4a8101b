#include "support.h"
#include "hal/trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

const struct backend *open_backend(const char *name)
{
    struct plugin_search search = {.listed = LLMRUN_BUILD_DIR "/lib/llmrun-test"};
    struct registry registry;
    const struct backend *backend = NULL;
    struct error error;

    assert_ok(registry_init(&search, device_trial, &registry, &error));
    assert_ok(registry_open(&registry, name, &backend, &error));
    registry_finish(&registry);
    return backend;
}

struct device *open_device(const char *name, int32_t index, const char *key, const char *value)
{
    const struct llmrun_option options[] = {{"threads", "2"}, {key, value}};
    struct device *device = NULL;
    struct error error;

    assert_ok(device_open(open_backend(name), index, options, key != NULL ? 2 : 1, &device, &error));
    return device;
}

struct device *open_seed(int seed)
{
    char text[16];

    snprintf(text, sizeof text, "%d", seed);
    return open_device("fakegpu", 0, "seed", text);
}

void assert_ok_(int result, const struct error *error)
{
    if (result != STATUS_OK)
        fail_msg("status %d: %s", result, error->message);
}

struct llmrun_tensor matrix(int64_t rows, int64_t columns)
{
    return (struct llmrun_tensor){
        .dtype = LLMRUN_F32, .rank = 2, .shape = {rows, columns}, .stride = {columns, 1}, .alignment = 4};
}

struct llmrun_op add_op(struct llmrun_tensor *operands, int64_t rows, int64_t columns)
{
    for (int i = 0; i < LLMRUN_ADD_OPERANDS; i++)
        operands[i] = matrix(rows, columns);
    return (struct llmrun_op){.size = sizeof(struct llmrun_op),
                              .op = LLMRUN_OP_ADD,
                              .version = LLMRUN_OP_ADD_VERSION,
                              .flags = LLMRUN_OP_EXACT,
                              .operand_count = LLMRUN_ADD_OPERANDS,
                              .operands = operands,
                              .operand_stride = sizeof *operands};
}

void sum_describe(struct sum *sum, const char *name)
{
    memset(sum, 0, sizeof *sum);
    for (int i = 0; i < 4; i++) {
        sum->values[i] = matrix(4, 4);
        sum->kinds[i] = i < 3 ? LLMRUN_VALUE_BOUND : LLMRUN_VALUE_INTERNAL;
    }
    memcpy(sum->operands, (const int32_t[2][3]){{0, 1, 3}, {3, 0, 2}}, sizeof sum->operands);
    for (int i = 0; i < 2; i++)
        sum->ops[i] = (struct llmrun_program_op){
            .op = LLMRUN_OP_ADD, .version = LLMRUN_OP_ADD_VERSION, .operands = sum->operands[i], .operand_count = 3};
    sum->desc = (struct llmrun_program_desc){.size = sizeof sum->desc,
                                             .op_count = 2,
                                             .ops = sum->ops,
                                             .values = sum->values,
                                             .kinds = sum->kinds,
                                             .value_count = 4,
                                             .op_stride = sizeof sum->ops[0],
                                             .value_stride = sizeof sum->values[0],
                                             .name = name};
}

void bench_create(struct bench *bench, struct device *device, int64_t bytes)
{
    struct error error;

    memset(bench, 0, sizeof *bench);
    bench->device = device;
    assert_ok(stream_create(device, LLMRUN_STREAM_COMPUTE, &bench->stream, &error));
    assert_ok(event_create(device, &bench->event, &error));
    assert_ok(buffer_create(device, LLMRUN_MEMORY_DEVICE, bytes, &bench->a, &error));
    assert_ok(buffer_create(device, LLMRUN_MEMORY_DEVICE, bytes, &bench->b, &error));
    assert_ok(buffer_create(device, LLMRUN_MEMORY_DEVICE, bytes, &bench->y, &error));
    assert_ok(host_buffer_create(device, bytes, &bench->host_a, &error));
    assert_ok(host_buffer_create(device, bytes, &bench->host_b, &error));
    assert_ok(host_buffer_create(device, bytes, &bench->host_y, &error));
}

void bench_destroy(struct bench *bench)
{
    stream_destroy(&bench->stream);
    event_destroy(&bench->event);
    buffer_destroy(&bench->a);
    buffer_destroy(&bench->b);
    buffer_destroy(&bench->y);
    host_buffer_destroy(&bench->host_a);
    host_buffer_destroy(&bench->host_b);
    host_buffer_destroy(&bench->host_y);
    device_close(bench->device);
}

void bench_await(const struct bench *bench)
{
    struct error error;
    bool ready;

    assert_ok(stream_record(&bench->stream, &bench->event, &error));
    assert_ok(event_wait(&bench->event, -1, &ready, &error));
    assert_true(ready);
}

void host_put(const struct host_buffer *buffer, float value)
{
    for (int64_t i = 0; i < buffer->bytes / (int64_t)sizeof value; i++)
        ((float *)buffer->memory)[i] = value;
}

bool host_all_are(const struct host_buffer *buffer, float value)
{
    for (int64_t i = 0; i < buffer->bytes / (int64_t)sizeof value; i++)
        if (((const float *)buffer->memory)[i] != value)
            return false;
    return true;
}
