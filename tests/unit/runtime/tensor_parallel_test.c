/* Ranks of tensor and sequence parallelism, each a thread with a device of its own, over the loopback collective:
 * losses, gradient norms, weights, moments and logits have the bits of one rank. */
#include "tiny.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "compile/values.h"
#include "dist/communicator.h"
#include "hal/trial.h"
#include "model/family.h"
#include "program/part.h"
#include "runtime/constants.h"
#include "runtime/device_compile.h"

#define RANKS_MOST     4
#define STEPS          3
#define BATCH          8
#define EXCHANGE_BYTES 256
#define PROMPT         5  /* tokens */
#define VOCABULARY     64 /* as padded */

/* What a rank ends with. */
struct outcome {
    double losses[STEPS][BATCH];
    float norms[STEPS];
    double evaluated[TINY_EVAL_BATCH];
    float logits[2][VOCABULARY]; /* of the prompt, and of one token more */
    void **weights;              /* and moments, by value */
};

struct rank {
    int index, ranks;
    const struct compile_request *request;
    struct device *device;
    struct compiled compiled;
    struct executor *executor;
    struct communicator communicator;
    struct outcome outcome;
    int status;
    struct error error;
};

static const struct collective *collective;
static pthread_barrier_t meeting;
static char exchanged[RANKS_MOST][EXCHANGE_BYTES];

static int32_t exchange(void *context, const void *mine, void *all, int64_t bytes, struct llmrun_error *error)
{
    const struct rank *rank = context;

    (void)error;
    memcpy(exchanged[rank->index], mine, (size_t)bytes);
    pthread_barrier_wait(&meeting);
    for (int i = 0; i < rank->ranks; i++)
        memcpy((char *)all + i * bytes, exchanged[i], (size_t)bytes);
    pthread_barrier_wait(&meeting);
    return LLMRUN_OK;
}

static void fill_rows(struct rank *rank, const struct batch_values *values, int32_t microbatch, int first, int rows)
{
    struct executor *executor = rank->executor;

    for (int i = 0; i < rows; i++) {
        ((int32_t *)executor_input(executor, values->tokens, microbatch))[i] =
            (int32_t)((uint32_t)(first + i) * 2654435761u >> 16) % TINY_VOCABULARY;
        ((int32_t *)executor_input(executor, values->positions, microbatch))[i] = i % TINY_SEQUENCE;
        if (values->targets == NO_VALUE)
            continue;
        ((int32_t *)executor_input(executor, values->targets, microbatch))[i] =
            (int32_t)((uint32_t)(first + i) * 2246822519u >> 16) % TINY_VOCABULARY;
        ((float *)executor_input(executor, values->weights, microbatch))[i] = (float)((first + i) % 7 != 0);
        ((int32_t *)executor_input(executor, values->segment_starts, microbatch))[i] = 0;
    }
}

static void fill_step(struct rank *rank, int step)
{
    const struct io_values *io = &rank->compiled.io;
    const int rows = (int)rank->request->micro_batch * TINY_SEQUENCE;
    float *correction = executor_input(rank->executor, io->bias_correction, 0);

    for (int32_t m = 0; m < rank->compiled.microbatches; m++) {
        fill_rows(rank, &io->train, m, step * 100000 + m * rows, rows);
        if (io->random != NO_VALUE)
            values_fill_random(executor_input(rank->executor, io->random, m),
                               rank->compiled.program.values[io->random].shape[0], 11, step,
                               m * rank->request->micro_batch);
    }
    *(float *)executor_input(rank->executor, io->inverse_tokens, 0) = 0.01f;
    *(float *)executor_input(rank->executor, io->learning_rate, 0) = 0.01f;
    correction[0] = (float)(1 - pow(0.9, step));
    correction[1] = (float)sqrt(1 - pow(0.95, step));
}

static int run_job(struct rank *rank, enum job job)
{
    int status = executor_submit(rank->executor, job, &rank->error);

    return status == STATUS_OK ? executor_collect(rank->executor, &rank->error) : status;
}

static int initialise(struct rank *rank)
{
    const uint32_t none = 0;
    int status = executor_begin(rank->executor, &rank->error);

    if (status == STATUS_OK)
        status = run_job(rank, JOB_INIT);
    if (status == STATUS_OK)
        status = executor_write(rank->executor, rank->compiled.io.found_inf, &none, &rank->error);
    return status == STATUS_OK ? constants_write(rank->executor, &rank->request->model, &rank->error) : status;
}

static int train(struct rank *rank)
{
    const struct io_values *io = &rank->compiled.io;
    int status = STATUS_OK;

    for (int step = 0; status == STATUS_OK && step < STEPS; step++) {
        status = executor_begin(rank->executor, &rank->error);
        fill_step(rank, step + 1);
        if (status == STATUS_OK)
            status = run_job(rank, JOB_STEP);
        for (int i = 0; status == STATUS_OK && i < BATCH; i++)
            rank->outcome.losses[step][i] = executor_wide_result(rank->executor, io->losses, i);
        if (status == STATUS_OK)
            rank->outcome.norms[step] = *(const float *)executor_result(rank->executor, io->grad_norm);
    }
    return status;
}

static int evaluate(struct rank *rank)
{
    const struct io_values *io = &rank->compiled.io;
    int status = executor_begin(rank->executor, &rank->error);

    fill_rows(rank, &io->evaluate, 0, 77, TINY_EVAL_BATCH * TINY_SEQUENCE);
    *(float *)executor_input(rank->executor, io->inverse_tokens, 0) = 1;
    if (status == STATUS_OK)
        status = run_job(rank, JOB_EVALUATE);
    for (int i = 0; status == STATUS_OK && i < TINY_EVAL_BATCH; i++)
        rank->outcome.evaluated[i] = executor_wide_result(rank->executor, io->evaluate_losses, i);
    return status;
}

static int generate(struct rank *rank)
{
    const struct io_values *io = &rank->compiled.io;
    int status = STATUS_OK;

    for (int i = 0; status == STATUS_OK && i < 2; i++) {
        status = executor_begin(rank->executor, &rank->error);
        fill_rows(rank, i == 0 ? &io->prefill : &io->decode, 0, 5, i == 0 ? TINY_SEQUENCE : 1);
        if (i == 0) {
            *(int32_t *)executor_input(rank->executor, io->prefill_cached, 0) = 0;
            *(int32_t *)executor_input(rank->executor, io->prefill_row, 0) = PROMPT - 1;
        } else {
            *(int32_t *)executor_input(rank->executor, io->decode.positions, 0) = PROMPT;
        }
        if (status == STATUS_OK)
            status = run_job(rank, i == 0 ? JOB_PREFILL : JOB_DECODE);
        if (status == STATUS_OK)
            memcpy(rank->outcome.logits[i], executor_result(rank->executor, io->logits),
                   sizeof rank->outcome.logits[i]);
    }
    return status;
}

static int read_weights(struct rank *rank)
{
    const struct program *program = &rank->compiled.program;
    int status = STATUS_OK;

    rank->outcome.weights = calloc((size_t)program->value_count, sizeof *rank->outcome.weights);
    for (int32_t i = 0; status == STATUS_OK && i < program->value_count; i++)
        if (program->values[i].kind == VALUE_PARAMETER || program->values[i].kind == VALUE_STATE) {
            rank->outcome.weights[i] = malloc((size_t)value_bytes(&program->values[i]));
            status = executor_read(rank->executor, i, rank->outcome.weights[i], &rank->error);
        }
    return status;
}

static int run_jobs(struct rank *rank)
{
    struct compile_request request = *rank->request;
    const struct communication communication = {.groups = {[MESH_TP] = &rank->communicator}};
    int status;

    request.mesh = mesh_single();
    request.mesh.sizes[MESH_TP] = rank->ranks;
    mesh_place(&request.mesh, rank->index);
    status = device_compile(rank->device, &request, &rank->compiled, &rank->error);
    if (status == STATUS_OK)
        status = executor_create(rank->device, &rank->compiled, rank->ranks > 1 ? &communication : NULL,
                                 &rank->executor, &rank->error);
    if (status == STATUS_OK)
        status = initialise(rank);
    if (status == STATUS_OK)
        status = train(rank);
    if (status == STATUS_OK)
        status = evaluate(rank);
    if (status == STATUS_OK)
        status = generate(rank);
    return status == STATUS_OK ? read_weights(rank) : status;
}

static void *run_rank(void *context)
{
    struct rank *rank = context;
    const struct communicator_options options = {.collective = collective,
                                                 .name = "tp",
                                                 .rank = rank->index,
                                                 .ranks = rank->ranks,
                                                 .timeout_ns = INT64_C(20000000000),
                                                 .exchange = exchange,
                                                 .context = rank};

    rank->status = rank->ranks > 1 ? communicator_create(&options, &rank->communicator, &rank->error) : STATUS_OK;
    if (rank->status == STATUS_OK)
        rank->status = run_jobs(rank);
    if (rank->status != STATUS_OK)
        communicator_abort(&rank->communicator);
    executor_destroy(rank->executor);
    communicator_destroy(&rank->communicator);
    return NULL;
}

static void run(const char *backend, const struct compile_request *request, int ranks, struct rank *all)
{
    pthread_t threads[RANKS_MOST];

    pthread_barrier_init(&meeting, NULL, (unsigned)ranks);
    for (int i = 0; i < ranks; i++)
        all[i] =
            (struct rank){.index = i, .ranks = ranks, .request = request, .device = tiny_device(backend, NULL, NULL)};
    for (int i = 0; i < ranks; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_rank, &all[i]), 0);
    for (int i = 0; i < ranks; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&meeting);
    for (int i = 0; i < ranks; i++)
        device_close(all[i].device);
    for (int i = 0; i < ranks; i++)
        tiny_ok_(all[i].status, &all[i].error);
}

static void release(struct rank *all, int ranks)
{
    for (int r = 0; r < ranks; r++) {
        for (int64_t i = 0; i < all[r].compiled.program.value_count; i++)
            free(all[r].outcome.weights[i]);
        free(all[r].outcome.weights);
        compiled_finish(&all[r].compiled);
    }
}

/* Each rank has its part of the one rank's weights and moments. */
static void compare_weights(const struct rank *one, const struct rank *other)
{
    const struct program *program = &one->compiled.program;

    for (int32_t i = 0; i < program->value_count; i++) {
        const int32_t id = program_find(&other->compiled.program, program->values[i].name);
        const struct value *value = &other->compiled.program.values[id];
        struct error error;
        void *part;

        if (one->outcome.weights[i] == NULL)
            continue;
        assert_int_not_equal(id, NO_VALUE);
        part = malloc((size_t)value_bytes(value));
        tiny_ok_(value_take_part(value, one->outcome.weights[i], part, &error), &error);
        if (memcmp(part, other->outcome.weights[id], (size_t)value_bytes(value)) != 0)
            fail_msg("%s of rank %d of %d has other bits", value->name, other->index, other->ranks);
        free(part);
    }
}

static void compare(const char *backend, const struct compile_request *request, int ranks)
{
    struct rank one[1], all[RANKS_MOST];

    run(backend, request, 1, one);
    run(backend, request, ranks, all);
    for (int r = 0; r < ranks; r++) {
        const struct outcome *a = &all[r].outcome, *b = &one->outcome;

        assert_memory_equal(a->losses, b->losses, sizeof a->losses);
        assert_memory_equal(a->norms, b->norms, sizeof a->norms);
        assert_memory_equal(a->evaluated, b->evaluated, sizeof a->evaluated);
        assert_memory_equal(a->logits, b->logits, sizeof a->logits);
        compare_weights(one, &all[r]);
    }
    assert_true(one->outcome.norms[STEPS - 1] > 0);
    release(all, ranks);
    release(one, 1);
}

/* GPT-2 with a tied head and 4 heads, or LLaMA. */
static struct compile_request base(bool llama)
{
    struct compile_request request = llama ? tiny_llama_request() : tiny_request();

    request.model.n_head = 4;
    request.model.tie_word_embeddings = true;
    if (llama)
        request.model.n_kv_head = 4;
    request.global_batch = BATCH;
    request.micro_batch = 2;
    request.sequence_parallel = true;
    return request;
}

static void gpt2_has_the_bits_of_one_rank(void **state)
{
    struct compile_request request = base(false);

    (void)state;
    request.dropout = 0.1f;
    compare("cpu", &request, 4);
    request.sequence_parallel = false;
    compare("cpu", &request, 2);
}

static void llama_in_bf16_has_the_bits_of_one_rank(void **state)
{
    struct compile_request request = base(true);

    (void)state;
    request.compute_dtype = LLMRUN_BF16;
    compare("cpu", &request, 4);
    request.model.tie_word_embeddings = false;
    request.sequence_parallel = false;
    compare("cpu", &request, 2);
}

static void a_loss_in_chunks_has_the_bits_of_one_rank(void **state)
{
    struct compile_request request = base(true);

    (void)state;
    request.micro_batch = 4; /* batch parts that meet in the loss, in chunks of half a sequence */
    request.loss_chunk = TINY_SEQUENCE / 2;
    compare("cpu", &request, 2);
}

static void recomputation_and_schedules_have_the_bits_of_one_rank(void **state)
{
    struct compile_request request = base(false);

    (void)state;
    for (int mode = RECOMPUTE_SELECTIVE; mode <= RECOMPUTE_FULL; mode++) {
        request.recompute = (enum recompute)mode;
        request.schedule = mode == RECOMPUTE_FULL ? PIPELINE_ZERO_BUBBLE : PIPELINE_GPIPE;
        compare("cpu", &request, 2);
    }
}

static void so_it_is_on_each_backend(void **state)
{
    static const char *const backends[] = {"cpu-ref", "fakegpu", "fakegraph"};

    (void)state;
    for (size_t b = 0; b < sizeof backends / sizeof *backends; b++)
        for (int llama = 0; llama < 2; llama++) {
            struct compile_request request = base(llama);

            compare(backends[b], &request, 2);
        }
}

static int open_collective(void **state)
{
    const struct plugin_search search = {.listed = LLMRUN_BUILD_DIR "/lib/llmrun-test/libllmrun-loopback.so"};
    struct registry registry;
    struct error error;
    int status = registry_init(&search, device_trial, &registry, &error);

    (void)state;
    if (status == STATUS_OK)
        status = registry_open_collective(&registry, "loopback", &collective, &error);
    registry_finish(&registry);
    return status;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(gpt2_has_the_bits_of_one_rank),
                                       cmocka_unit_test(llama_in_bf16_has_the_bits_of_one_rank),
                                       cmocka_unit_test(a_loss_in_chunks_has_the_bits_of_one_rank),
                                       cmocka_unit_test(recomputation_and_schedules_have_the_bits_of_one_rank),
                                       cmocka_unit_test(so_it_is_on_each_backend)};

    return cmocka_run_group_tests(tests, open_collective, NULL);
}
