#include "tiny.h"
#include "hal/trial.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "compile/values.h"
#include "model/family.h"
#include "runtime/constants.h"
#include "runtime/device_compile.h"

#define FIRST_DOCUMENT 5 /* tokens of the first document of each sequence */

static const struct update_policy policy = {
    .beta1 = 0.9f, .beta2 = 0.95f, .epsilon = 1e-8f, .weight_decay = 0.1f, .clip = 1.0f};

struct compile_request tiny_request(void)
{
    return (struct compile_request){
        .model = {.family = &family_gpt2,
                  .n_layer = 2,
                  .n_embd = 16,
                  .n_head = 2,
                  .n_positions = TINY_SEQUENCE,
                  .vocab_size = TINY_VOCABULARY,
                  .layer_norm_epsilon = 1e-5,
                  .initializer_range = 0.2},
        .seed = 7,
        .sequence = TINY_SEQUENCE,
        .global_batch = TINY_BATCH,
        .micro_batch = 2,
        .eval_batch = TINY_EVAL_BATCH,
        .train = true,
        .generate = true,
        .compute_dtype = LLMRUN_F32,
        .update = policy,
        .exact = true,
    };
}

struct compile_request tiny_llama_request(void)
{
    struct compile_request request = tiny_request();

    request.model = (struct model_config){.family = &family_llama,
                                          .n_layer = 3,
                                          .n_embd = 16,
                                          .n_head = 4,
                                          .n_kv_head = 2,
                                          .n_inner = 24,
                                          .n_positions = TINY_SEQUENCE,
                                          .vocab_size = TINY_VOCABULARY,
                                          .layer_norm_epsilon = 1e-5,
                                          .initializer_range = 0.2,
                                          .rope_theta = 10000};
    return request;
}

void tiny_ok_(int status, const struct error *error)
{
    if (status != STATUS_OK)
        fail_msg("status %d: %s", status, error->message);
}

struct device *tiny_device(const char *backend, const char *key, const char *value)
{
    struct plugin_search search = {.listed = LLMRUN_BUILD_DIR "/lib/llmrun:" LLMRUN_BUILD_DIR "/lib/llmrun-test"};
    const struct llmrun_option options[] = {{"threads", "2"}, {key, value}};
    const struct backend *found = NULL;
    struct device *device = NULL;
    struct registry registry;
    struct error error;

    tiny_ok_(registry_init(&search, device_trial, &registry, &error), &error);
    tiny_ok_(registry_open(&registry, backend, &found, &error), &error);
    tiny_ok_(device_open(found, 0, options, key != NULL ? 2 : 1, &device, &error), &error);
    registry_finish(&registry);
    return device;
}

void tiny_initialise(struct tiny *tiny)
{
    const uint32_t none = 0;

    tiny_ok(tiny, executor_begin(tiny->executor, &tiny->error));
    memset(tiny_input(tiny, "tokens"), 0, 4);
    tiny_ok(tiny, executor_submit(tiny->executor, JOB_INIT, &tiny->error));
    tiny_ok(tiny, executor_collect(tiny->executor, &tiny->error));
    tiny_ok(tiny, executor_write(tiny->executor, tiny_value(tiny, "found_inf"), &none, &tiny->error));
    tiny_ok(tiny, constants_write(tiny->executor, &tiny->request.model, &tiny->error));
}

int tiny_create(struct device *device, const struct compile_request *request, struct compiled *compiled,
                struct executor **executor, struct error *error)
{
    int status = device_compile(device, request, compiled, error);

    if (status == STATUS_OK)
        status = executor_create(device, compiled, NULL, executor, error);
    if (status != STATUS_OK)
        compiled_finish(compiled);
    return status;
}

void tiny_open(struct tiny *tiny, const char *backend, const char *key, const char *value,
               const struct compile_request *request)
{
    memset(tiny, 0, sizeof *tiny);
    tiny->request = *request;
    tiny->device = tiny_device(backend, key, value);
    tiny_ok(tiny, tiny_create(tiny->device, request, &tiny->compiled, &tiny->executor, &tiny->error));
    tiny_initialise(tiny);
}

void tiny_close(struct tiny *tiny)
{
    executor_destroy(tiny->executor);
    compiled_finish(&tiny->compiled);
    device_close(tiny->device);
}

int32_t tiny_value(const struct tiny *tiny, const char *name)
{
    int32_t value = program_find(&executor_compiled(tiny->executor)->program, name);

    if (value == NO_VALUE)
        fail_msg("the program has no value %s", name);
    return value;
}

void *tiny_input(struct tiny *tiny, const char *name)
{
    return executor_input(tiny->executor, tiny_value(tiny, name), 0);
}

/* Numbers that look random: the finaliser of MurmurHash3 (Appleby). */
static uint32_t scramble(uint32_t x)
{
    x = (x ^ x >> 16) * 0x85ebca6bu;
    x = (x ^ x >> 13) * 0xc2b2ae35u;
    return x ^ x >> 16;
}

/* Rows count on through the microbatches. Returns how many tokens have weight. */
static double fill_microbatch(struct tiny *tiny, int step, int32_t microbatch)
{
    const struct batch_values *values = &tiny->compiled.io.train;
    const int rows = (int)tiny->request.micro_batch * TINY_SEQUENCE;
    int32_t *tokens = executor_input(tiny->executor, values->tokens, microbatch);
    int32_t *targets = executor_input(tiny->executor, values->targets, microbatch);
    int32_t *positions = executor_input(tiny->executor, values->positions, microbatch);
    int32_t *starts = executor_input(tiny->executor, values->segment_starts, microbatch);
    float *weights = executor_input(tiny->executor, values->weights, microbatch);
    double valid = 0;

    for (int i = 0; i < rows; i++) {
        int at = i % TINY_SEQUENCE, start = at < FIRST_DOCUMENT ? 0 : FIRST_DOCUMENT;
        uint32_t word = scramble((uint32_t)(step * 1000 + microbatch * rows + i));

        tokens[i] = (int32_t)(word % TINY_VOCABULARY);
        targets[i] = (int32_t)((word >> 8) % TINY_VOCABULARY);
        positions[i] = at - start;
        starts[i] = start;
        weights[i] = (word >> 20) % 8 == 0 ? 0.0f : 1.0f;
        valid += weights[i];
    }
    return valid;
}

void tiny_fill(struct tiny *tiny, int step)
{
    const struct io_values *io = &tiny->compiled.io;
    const int64_t draws = io->random != NO_VALUE ? tiny->compiled.program.values[io->random].shape[0] : 0;
    float *correction;
    double valid = 0;

    tiny_ok(tiny, executor_begin(tiny->executor, &tiny->error));
    for (int32_t m = 0; m < tiny->compiled.microbatches; m++) {
        valid += fill_microbatch(tiny, step, m);
        if (io->random != NO_VALUE)
            values_fill_random(executor_input(tiny->executor, io->random, m), draws, 11, step,
                               m * tiny->request.micro_batch);
    }
    *(float *)executor_input(tiny->executor, io->inverse_tokens, 0) = (float)(1 / valid);
    *(float *)executor_input(tiny->executor, io->learning_rate, 0) = 0.01f;
    correction = executor_input(tiny->executor, io->bias_correction, 0);
    correction[0] = (float)(1 - pow(policy.beta1, step));
    correction[1] = (float)sqrt(1 - pow(policy.beta2, step));
}

void tiny_submit(struct tiny *tiny)
{
    tiny_ok(tiny, executor_submit(tiny->executor, JOB_STEP, &tiny->error));
}

void tiny_collect(struct tiny *tiny, double *losses)
{
    tiny_ok(tiny, executor_collect(tiny->executor, &tiny->error));
    if (losses == NULL)
        return;
    for (int i = 0; i < TINY_BATCH; i++)
        losses[i] = executor_wide_result(tiny->executor, tiny->compiled.io.losses, i);
    for (int i = 0; i < TINY_BATCH; i++)
        assert_true(isfinite(losses[i]));
}

void tiny_train(struct tiny *tiny, int steps, double *losses)
{
    for (int step = 1; step <= steps; step++) {
        tiny_fill(tiny, step);
        tiny_submit(tiny);
        tiny_collect(tiny, losses + (step - 1) * TINY_BATCH);
    }
}
