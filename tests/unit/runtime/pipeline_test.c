/* Pipelines of several ranks, each a thread with a device of its own, over the loopback collective: losses, gradient
 * norms, weights and logits have the bits of one rank, on each rank that has them. */
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
#include "runtime/constants.h"
#include "runtime/device_compile.h"

#define RANKS_MOST     4
#define STEPS          3
#define BATCH          8
#define EXCHANGE_BYTES 256
#define PROMPT         5 /* tokens */

/* What a rank ends with. */
struct outcome {
    double losses[STEPS][BATCH];
    float norms[STEPS];
    double evaluated[TINY_EVAL_BATCH];
    float logits[2][64]; /* of the prompt, and of one token more */
    float **parameters;  /* by value */
    struct compiled compiled;
};

struct rank {
    int index, ranks;
    const struct compile_request *request;
    struct device *device;
    struct executor *executor;
    struct communicator down, up;
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

/* A stand-in where the rank has no such input. */
static void *input(struct rank *rank, int32_t value, int32_t microbatch)
{
    static _Thread_local int64_t nowhere[1024];

    return value != NO_VALUE ? executor_input(rank->executor, value, microbatch) : nowhere;
}

static void fill_rows(struct rank *rank, const struct batch_values *values, int32_t microbatch, int first, int rows)
{
    int32_t *tokens = input(rank, values->tokens, microbatch);

    for (int i = 0; i < rows; i++)
        tokens[i] = (int32_t)((uint32_t)(first + i) * 2654435761u >> 16) % TINY_VOCABULARY;
    for (int i = 0; i < rows && values->targets != NO_VALUE; i++)
        ((int32_t *)input(rank, values->targets, microbatch))[i] =
            (int32_t)((uint32_t)(first + i) * 2246822519u >> 16) % TINY_VOCABULARY;
    for (int i = 0; i < rows && values->weights != NO_VALUE; i++)
        ((float *)input(rank, values->weights, microbatch))[i] = (float)((first + i) % 7 != 0);
    for (int i = 0; i < rows && values->positions != NO_VALUE; i++)
        ((int32_t *)input(rank, values->positions, microbatch))[i] = i % TINY_SEQUENCE;
    for (int i = 0; i < rows && values->segment_starts != NO_VALUE; i++)
        ((int32_t *)input(rank, values->segment_starts, microbatch))[i] = 0;
}

static void fill_step(struct rank *rank, int step)
{
    const struct compiled *compiled = &rank->outcome.compiled;
    const struct io_values *io = &compiled->io;
    const int rows = (int)rank->request->micro_batch * TINY_SEQUENCE;
    float *correction = input(rank, io->bias_correction, 0);

    for (int32_t m = 0; m < compiled->microbatches; m++) {
        fill_rows(rank, &io->train, m, step * 100000 + m * rows, rows);
        if (io->random != NO_VALUE)
            values_fill_random(input(rank, io->random, m), compiled->program.values[io->random].shape[0], 11, step,
                               m * rank->request->micro_batch);
    }
    *(float *)input(rank, io->inverse_tokens, 0) = 0.01f;
    *(float *)input(rank, io->learning_rate, 0) = 0.01f;
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
    if (status == STATUS_OK && rank->request->train)
        status = executor_write(rank->executor, rank->outcome.compiled.io.found_inf, &none, &rank->error);
    return status == STATUS_OK ? constants_write(rank->executor, &rank->request->model, &rank->error) : status;
}

static int train(struct rank *rank)
{
    const struct io_values *io = &rank->outcome.compiled.io;
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
    const struct io_values *io = &rank->outcome.compiled.io;
    int status = executor_begin(rank->executor, &rank->error);

    fill_rows(rank, &io->evaluate, 0, 77, TINY_EVAL_BATCH * TINY_SEQUENCE);
    *(float *)input(rank, io->inverse_tokens, 0) = 1;
    if (status == STATUS_OK)
        status = run_job(rank, JOB_EVALUATE);
    for (int i = 0; status == STATUS_OK && i < TINY_EVAL_BATCH; i++)
        rank->outcome.evaluated[i] = executor_wide_result(rank->executor, io->evaluate_losses, i);
    return status;
}

static int generate(struct rank *rank)
{
    const struct io_values *io = &rank->outcome.compiled.io;
    int status = STATUS_OK;

    for (int i = 0; status == STATUS_OK && i < 2; i++) {
        status = executor_begin(rank->executor, &rank->error);
        fill_rows(rank, i == 0 ? &io->prefill : &io->decode, 0, 5, i == 0 ? TINY_SEQUENCE : 1);
        if (i == 0) {
            *(int32_t *)input(rank, io->prefill_cached, 0) = 0;
            *(int32_t *)input(rank, io->prefill_row, 0) = PROMPT - 1;
        } else {
            *(int32_t *)input(rank, io->decode.positions, 0) = PROMPT;
        }
        if (status == STATUS_OK)
            status = run_job(rank, i == 0 ? JOB_PREFILL : JOB_DECODE);
        if (status == STATUS_OK)
            memcpy(rank->outcome.logits[i], executor_result(rank->executor, io->logits),
                   TINY_VOCABULARY * sizeof(float));
    }
    return status;
}

static int read_parameters(struct rank *rank)
{
    const struct program *program = &rank->outcome.compiled.program;
    int status = STATUS_OK;

    rank->outcome.parameters = calloc((size_t)program->value_count, sizeof *rank->outcome.parameters);
    for (int32_t i = 0; status == STATUS_OK && i < program->value_count; i++)
        if (program->values[i].kind == VALUE_PARAMETER || program->values[i].kind == VALUE_STATE) {
            rank->outcome.parameters[i] = malloc((size_t)value_bytes(&program->values[i]));
            status = executor_read(rank->executor, i, rank->outcome.parameters[i], &rank->error);
        }
    return status;
}

static int run_jobs(struct rank *rank)
{
    struct compile_request request = *rank->request;
    const struct communication communication = {.groups = {[MESH_PP] = &rank->down}, .upward = &rank->up};
    int status;

    request.mesh = mesh_single();
    request.mesh.sizes[MESH_PP] = rank->ranks;
    mesh_place(&request.mesh, rank->index);
    status = device_compile(rank->device, &request, &rank->outcome.compiled, &rank->error);
    if (status == STATUS_OK)
        status = executor_create(rank->device, &rank->outcome.compiled, rank->ranks > 1 ? &communication : NULL,
                                 &rank->executor, &rank->error);
    if (status == STATUS_OK)
        status = initialise(rank);
    if (status == STATUS_OK && request.train)
        status = train(rank);
    if (status == STATUS_OK && request.eval_batch > 0)
        status = evaluate(rank);
    if (status == STATUS_OK && request.generate)
        status = generate(rank);
    return status == STATUS_OK ? read_parameters(rank) : status;
}

static void *run_rank(void *context)
{
    struct rank *rank = context;
    struct communicator_options options = {.collective = collective,
                                           .name = "pp",
                                           .rank = rank->index,
                                           .ranks = rank->ranks,
                                           .timeout_ns = INT64_C(20000000000),
                                           .exchange = exchange,
                                           .context = rank};

    if (rank->ranks > 1)
        rank->status = communicator_create(&options, &rank->down, &rank->error);
    if (rank->status == STATUS_OK && rank->ranks > 1)
        rank->status = communicator_create(&options, &rank->up, &rank->error);
    if (rank->status == STATUS_OK)
        rank->status = run_jobs(rank);
    if (rank->status != STATUS_OK) {
        communicator_abort(&rank->down);
        communicator_abort(&rank->up);
    }
    executor_destroy(rank->executor);
    communicator_destroy(&rank->down);
    communicator_destroy(&rank->up);
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
        if (all[i].status != STATUS_OK)
            print_error("rank %d of %d: %s\n", i, ranks, all[i].error.message);
    for (int i = 0; i < ranks; i++)
        tiny_ok_(all[i].status, &all[i].error);
}

static void release(struct rank *all, int ranks)
{
    for (int r = 0; r < ranks; r++) {
        for (int64_t i = 0; i < all[r].outcome.compiled.program.value_count; i++)
            free(all[r].outcome.parameters[i]);
        free(all[r].outcome.parameters);
        compiled_finish(&all[r].outcome.compiled);
    }
}

/* Every weight and moment of the model is on a rank, and wherever it is it has the bits of one rank. */
static void compare_state(const struct rank *one, const struct rank *all, int ranks)
{
    const struct program *whole = &one->outcome.compiled.program;

    for (int32_t i = 0; i < whole->value_count; i++) {
        int holders = 0;

        if (one->outcome.parameters[i] == NULL)
            continue;
        for (int r = 0; r < ranks; r++) {
            const int32_t id = program_find(&all[r].outcome.compiled.program, whole->values[i].name);

            if (id == NO_VALUE)
                continue;
            holders++;
            if (memcmp(all[r].outcome.parameters[id], one->outcome.parameters[i],
                       (size_t)value_bytes(&whole->values[i])) != 0)
                fail_msg("%s of rank %d of %d has other bits", whole->values[i].name, r, ranks);
        }
        if (holders == 0)
            fail_msg("no rank has %s", whole->values[i].name);
    }
}

static void compare(const char *backend, const struct compile_request *request, const int *ranks)
{
    struct rank one[1], all[RANKS_MOST];

    run(backend, request, 1, one);
    for (; *ranks > 0; ranks++) {
        run(backend, request, *ranks, all);
        for (int r = 0; r < *ranks; r++) {
            const struct outcome *a = &all[r].outcome, *b = &one->outcome;

            assert_memory_equal(a->losses, b->losses, sizeof a->losses);
            assert_memory_equal(a->norms, b->norms, sizeof a->norms);
            assert_memory_equal(a->evaluated, b->evaluated, sizeof a->evaluated);
            assert_memory_equal(a->logits, b->logits, sizeof a->logits);
        }
        assert_true(!request->train || one->outcome.norms[STEPS - 1] > 0);
        compare_state(one, all, *ranks);
        release(all, *ranks);
    }
    release(one, 1);
}

static const int two_to_four[] = {2, 3, 4, 0}, two_and_four[] = {2, 4, 0}, two[] = {2, 0};

/* GPT-2 with a tied head. */
static struct compile_request base(void)
{
    struct compile_request request = tiny_request();

    request.model.n_layer = 5;
    request.model.tie_word_embeddings = true;
    request.global_batch = BATCH;
    request.micro_batch = 1;
    request.dropout = 0.1f;
    return request;
}

static void gpipe_has_the_bits_of_one_rank(void **state)
{
    struct compile_request request = base();

    (void)state;
    request.schedule = PIPELINE_GPIPE;
    compare("cpu", &request, two_to_four);
}

static void one_f_one_b_has_the_bits_of_one_rank(void **state)
{
    struct compile_request request = base();

    (void)state;
    request.schedule = PIPELINE_ONE_F_ONE_B;
    compare("cpu", &request, two_to_four);
}

static void zero_bubble_has_the_bits_of_one_rank(void **state)
{
    struct compile_request request = base();

    (void)state;
    request.schedule = PIPELINE_ZERO_BUBBLE;
    compare("cpu", &request, two_to_four);
}

static void interleaved_chunks_have_the_bits_of_one_rank(void **state)
{
    struct compile_request request = base();

    (void)state;
    request.model.n_layer = 8;
    request.schedule = PIPELINE_INTERLEAVED;
    request.chunks = 2;
    compare("cpu", &request, two_and_four);
    request.chunks = 4;
    compare("cpu", &request, two);
}

static void zero_bubble_v_has_the_bits_of_one_rank(void **state)
{
    struct compile_request request = base();

    (void)state;
    request.model.n_layer = 8;
    request.schedule = PIPELINE_ZERO_BUBBLE;
    request.chunks = 2;
    compare("cpu", &request, two_to_four);
}

static void each_kind_of_recomputation_has_the_bits_of_one_rank(void **state)
{
    struct compile_request request = base();

    (void)state;
    for (int mode = RECOMPUTE_SELECTIVE; mode <= RECOMPUTE_FULL; mode++) {
        request.recompute = (enum recompute)mode;
        request.schedule = PIPELINE_ONE_F_ONE_B;
        compare("cpu", &request, two_to_four);
        request.schedule = PIPELINE_ZERO_BUBBLE;
        compare("cpu", &request, two);
    }
}

static void bf16_and_large_microbatches_have_the_bits_of_one_rank(void **state)
{
    struct compile_request request = base();

    (void)state;
    request.compute_dtype = LLMRUN_BF16;
    request.schedule = PIPELINE_ONE_F_ONE_B;
    compare("cpu", &request, two_to_four);
    request.micro_batch = 4;
    request.batch_parts = 4;
    compare("cpu", &request, two_to_four);
    request.micro_batch = 1;
    request.batch_parts = 2;
    compare("cpu", &request, two);
}

static void llama_has_the_bits_of_one_rank(void **state)
{
    struct compile_request request = base();
    const struct model_config llama = tiny_llama_request().model;

    (void)state;
    request.model = llama;
    request.model.n_layer = 4;
    for (int tied = 0; tied < 2; tied++) {
        request.model.tie_word_embeddings = tied;
        compare("cpu", &request, two_to_four);
    }
}

static void so_it_is_where_a_model_is_not_trained(void **state)
{
    struct compile_request request = base();

    (void)state;
    request.train = false;
    compare("cpu", &request, two_to_four);
}

static void so_it_is_on_each_backend(void **state)
{
    static const char *const backends[] = {"cpu-ref", "fakegpu", "fakegraph"};
    struct compile_request request = base();

    (void)state;
    request.model.n_layer = 3;
    for (size_t b = 0; b < sizeof backends / sizeof *backends; b++)
        compare(backends[b], &request, two);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(gpipe_has_the_bits_of_one_rank),
                                       cmocka_unit_test(one_f_one_b_has_the_bits_of_one_rank),
                                       cmocka_unit_test(zero_bubble_has_the_bits_of_one_rank),
                                       cmocka_unit_test(interleaved_chunks_have_the_bits_of_one_rank),
                                       cmocka_unit_test(zero_bubble_v_has_the_bits_of_one_rank),
                                       cmocka_unit_test(each_kind_of_recomputation_has_the_bits_of_one_rank),
                                       cmocka_unit_test(bf16_and_large_microbatches_have_the_bits_of_one_rank),
                                       cmocka_unit_test(llama_has_the_bits_of_one_rank),
                                       cmocka_unit_test(so_it_is_where_a_model_is_not_trained),
                                       cmocka_unit_test(so_it_is_on_each_backend)};

    return cmocka_run_group_tests(tests, open_collective, NULL);
}
