/* Training in every layout, each rank a thread with a device of its own over the loopback collective: losses, gradient
 * norms, weights and moments have the bits of one rank's. */
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

#define RANKS_MOST     8
#define EXCHANGE_BYTES 256
#define STEPS          3
#define SEQUENCE       16
#define VOCABULARY     150 /* stored as 192, which 8 ranks do not cut at a token */
#define COMMUNICATORS  (MESH_GROUPS + 1)

struct layout {
    int tp, pp, dp;
    bool sp;
    int zero;
    int shards;      /* ranks of dp that share one optimizer state; 0: all */
    int micro_batch; /* of a rank */
    enum pipeline_kind schedule;
    int chunks;
    enum recompute recompute;
    int loss_chunk;
};

/* What a run leaves. */
struct outcome {
    double losses[STEPS][16];
    float norms[STEPS];
    double evaluated[8];
    void **values; /* of one rank: parameters and state, whole, by id */
};

struct rank {
    int index, ranks;
    struct compile_request request;
    struct device *device;
    struct communicator communicators[COMMUNICATORS];
    struct communication communication;
    struct compiled compiled;
    struct executor *executor;
    struct outcome outcome;
    int status;
    struct error error;
};

static const struct collective *collective;
static pthread_barrier_t meeting;
static char exchanged[RANKS_MOST][EXCHANGE_BYTES];

/* Of one group of the mesh, which all ranks come to at the same time. */
struct bootstrap {
    const struct rank *rank;
    int group;
};

static int32_t exchange(void *context, const void *mine, void *all, int64_t bytes, struct llmrun_error *error)
{
    const struct bootstrap *bootstrap = context;
    const struct mesh *mesh = &bootstrap->rank->request.mesh;

    (void)error;
    memcpy(exchanged[bootstrap->rank->index], mine, (size_t)bytes);
    pthread_barrier_wait(&meeting);
    for (int32_t i = 0; i < mesh_group_size(mesh, bootstrap->group); i++)
        memcpy((char *)all + i * bytes, exchanged[mesh_group_member(mesh, bootstrap->group, i)], (size_t)bytes);
    pthread_barrier_wait(&meeting);
    return LLMRUN_OK;
}

static int connect_rank(struct rank *rank)
{
    const struct mesh *mesh = &rank->request.mesh;
    int status = STATUS_OK;

    for (int i = 0; status == STATUS_OK && i < COMMUNICATORS; i++) {
        struct bootstrap bootstrap = {rank, i < MESH_GROUPS ? i : (int)MESH_PP};
        const struct communicator_options options = {.collective = collective,
                                                     .name = mesh_group_name(bootstrap.group),
                                                     .rank = mesh_group_index(mesh, bootstrap.group),
                                                     .ranks = mesh_group_size(mesh, bootstrap.group),
                                                     .timeout_ns = INT64_C(60000000000),
                                                     .exchange = exchange,
                                                     .context = &bootstrap};

        if (options.ranks == 1 || (i >= MESH_AXES && i < MESH_GROUPS && !mesh_has_shard_groups(mesh)))
            continue;
        status = communicator_create(&options, &rank->communicators[i], &rank->error);
        if (i < MESH_GROUPS)
            rank->communication.groups[i] = &rank->communicators[i];
        else
            rank->communication.upward = &rank->communicators[i];
    }
    return status;
}

static uint32_t scramble(uint32_t x)
{
    x = (x ^ x >> 16) * 0x85ebca6bu;
    x = (x ^ x >> 13) * 0xc2b2ae35u;
    return x ^ x >> 16;
}

static void *input(struct rank *rank, int32_t value, int32_t microbatch)
{
    static _Thread_local char spare[1 << 16];

    return value != NO_VALUE ? executor_input(rank->executor, value, microbatch) : spare;
}

/* One row of the global batch of a step: two documents, some tokens without weight. Returns how many have one. */
static int fill_row(struct rank *rank, const struct batch_values *values, int32_t microbatch, int local, int step,
                    int row)
{
    const int base = local * SEQUENCE, first = 3 + row % 5;
    int valid = 0;

    for (int i = 0; i < SEQUENCE; i++) {
        const uint32_t word = scramble((uint32_t)(step * 100000 + row * SEQUENCE + i + 1));
        const int start = i < first ? 0 : first;
        const float weight = word >> 20 & 7 && row % 4 != 2 ? 1.0f : 0.0f;

        valid += weight > 0;
        if (rank == NULL)
            continue;
        ((int32_t *)input(rank, values->tokens, microbatch))[base + i] = (int32_t)(word % VOCABULARY);
        ((int32_t *)input(rank, values->targets, microbatch))[base + i] = (int32_t)((word >> 8) % VOCABULARY);
        ((int32_t *)input(rank, values->positions, microbatch))[base + i] = i - start;
        ((int32_t *)input(rank, values->segment_starts, microbatch))[base + i] = start;
        ((float *)input(rank, values->weights, microbatch))[base + i] = weight;
    }
    return valid;
}

static void fill_step(struct rank *rank, int step)
{
    const struct io_values *io = &rank->compiled.io;
    const struct mesh *mesh = &rank->request.mesh;
    const int all = (int)rank->request.global_batch, each = (int)rank->request.micro_batch;
    const int mine = all / mesh->sizes[MESH_DP] * mesh->index[MESH_DP];
    float *correction = input(rank, io->bias_correction, 0);
    int valid = 0;

    for (int row = 0; row < all; row++)
        valid += fill_row(NULL, NULL, 0, 0, step, row);
    for (int m = 0; m < rank->compiled.microbatches; m++) {
        for (int i = 0; i < each; i++)
            fill_row(rank, &io->train, m, i, step, mine + m * each + i);
        if (io->random != NO_VALUE)
            values_fill_random(input(rank, io->random, m), rank->compiled.program.values[io->random].shape[0], 11, step,
                               mine + m * each);
    }
    *(float *)input(rank, io->inverse_tokens, 0) = 1.0f / (float)valid;
    *(float *)input(rank, io->learning_rate, 0) = 0.01f;
    correction[0] = (float)(1 - pow(0.9f, step));
    correction[1] = (float)sqrt(1 - pow(0.95f, step));
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
        status = constants_write(rank->executor, &rank->request.model, &rank->error);
    return status == STATUS_OK ? executor_write(rank->executor, rank->compiled.io.found_inf, &none, &rank->error)
                               : status;
}

static int train(struct rank *rank)
{
    const struct io_values *io = &rank->compiled.io;
    int status = STATUS_OK;

    for (int step = 1; status == STATUS_OK && step <= STEPS; step++) {
        status = executor_begin(rank->executor, &rank->error);
        if (status != STATUS_OK)
            break;
        fill_step(rank, step);
        status = run_job(rank, JOB_STEP);
        for (int i = 0; status == STATUS_OK && i < rank->request.global_batch; i++)
            rank->outcome.losses[step - 1][i] = executor_wide_result(rank->executor, io->losses, i);
        if (status == STATUS_OK)
            rank->outcome.norms[step - 1] = *(const float *)executor_result(rank->executor, io->grad_norm);
    }
    return status;
}

static int evaluate(struct rank *rank)
{
    const struct io_values *io = &rank->compiled.io;
    const struct mesh *mesh = &rank->request.mesh;
    const int each = (int)rank->request.eval_batch / mesh->sizes[MESH_DP];
    int status = executor_begin(rank->executor, &rank->error);

    if (status != STATUS_OK)
        return status;
    for (int i = 0; i < each; i++)
        fill_row(rank, &io->evaluate, 0, i, 77, each * mesh->index[MESH_DP] + i);
    *(float *)input(rank, io->inverse_tokens, 0) = 1;
    status = run_job(rank, JOB_EVALUATE);
    for (int i = 0; status == STATUS_OK && i < rank->request.eval_batch; i++)
        rank->outcome.evaluated[i] = executor_wide_result(rank->executor, io->evaluate_losses, i);
    return status;
}

static bool is_kept(const struct value *value)
{
    return (value->kind == VALUE_PARAMETER || value->kind == VALUE_STATE) && !(value->flags & VALUE_VIEW);
}

static int read_values(struct rank *rank)
{
    const struct program *program = &rank->compiled.program;
    int status = STATUS_OK;

    rank->outcome.values = calloc((size_t)program->value_count, sizeof *rank->outcome.values);
    for (int32_t i = 0; status == STATUS_OK && i < program->value_count; i++)
        if (is_kept(&program->values[i])) {
            rank->outcome.values[i] = malloc((size_t)value_bytes(&program->values[i]) + 1);
            status = executor_read(rank->executor, i, rank->outcome.values[i], &rank->error);
        }
    return status;
}

static void *run_rank(void *context)
{
    struct rank *rank = context;

    rank->status = connect_rank(rank);
    if (rank->status == STATUS_OK)
        rank->status = device_compile(rank->device, &rank->request, &rank->compiled, &rank->error);
    if (rank->status == STATUS_OK)
        rank->status = executor_create(rank->device, &rank->compiled, rank->ranks > 1 ? &rank->communication : NULL,
                                       &rank->executor, &rank->error);
    if (rank->status == STATUS_OK)
        rank->status = initialise(rank);
    if (rank->status == STATUS_OK)
        rank->status = train(rank);
    if (rank->status == STATUS_OK)
        rank->status = evaluate(rank);
    if (rank->status == STATUS_OK)
        rank->status = read_values(rank);
    for (int i = 0; rank->status != STATUS_OK && i < COMMUNICATORS; i++)
        if (rank->communicators[i].handle != NULL)
            communicator_abort(&rank->communicators[i]);
    return NULL;
}

static struct compile_request request_of(const struct model_config *model, uint32_t dtype, const struct layout *layout)
{
    struct compile_request request = {.model = *model,
                                      .seed = 7,
                                      .sequence = SEQUENCE,
                                      .global_batch = 8,
                                      .micro_batch = layout->micro_batch,
                                      .eval_batch = 8,
                                      .train = true,
                                      .dropout = 0.1f,
                                      .compute_dtype = dtype,
                                      .recompute = layout->recompute,
                                      .schedule = layout->schedule,
                                      .chunks = layout->chunks,
                                      .zero = layout->zero,
                                      .sequence_parallel = layout->sp,
                                      .loss_chunk = layout->loss_chunk,
                                      .update = {0.9f, 0.95f, 1e-8f, 0.1f, 0.05f},
                                      .exact = true};

    request.mesh = mesh_single();
    request.mesh.sizes[MESH_TP] = layout->tp;
    request.mesh.sizes[MESH_PP] = layout->pp;
    request.mesh.sizes[MESH_DP] = layout->dp;
    request.mesh.shards = layout->shards;
    return request;
}

static void start(struct rank *all, const struct compile_request *request, const char *backend)
{
    pthread_t threads[RANKS_MOST];
    const int ranks = mesh_world(&request->mesh);

    pthread_barrier_init(&meeting, NULL, (unsigned)ranks);
    for (int i = 0; i < ranks; i++) {
        all[i] =
            (struct rank){.index = i, .ranks = ranks, .request = *request, .device = tiny_device(backend, NULL, NULL)};
        mesh_place(&all[i].request.mesh, i);
    }
    for (int i = 0; i < ranks; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_rank, &all[i]), 0);
    for (int i = 0; i < ranks; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&meeting);
    /* What went wrong first is no consequence of another rank's end. */
    for (int i = 0; i < ranks; i++)
        if (all[i].status != STATUS_OK && all[i].status != STATUS_PEER)
            fail_msg("rank %d of %d: %s", i, ranks, all[i].error.message);
    for (int i = 0; i < ranks; i++)
        if (all[i].status != STATUS_OK)
            fail_msg("rank %d of %d: %s", i, ranks, all[i].error.message);
}

static void end(struct rank *all, int ranks)
{
    for (int i = 0; i < ranks; i++) {
        for (int32_t v = 0; v < all[i].compiled.program.value_count; v++)
            free(all[i].outcome.values[v]);
        free(all[i].outcome.values);
        executor_destroy(all[i].executor);
        compiled_finish(&all[i].compiled);
        for (int k = 0; k < COMMUNICATORS; k++)
            communicator_destroy(&all[i].communicators[k]);
        device_close(all[i].device);
    }
}

/* Each parameter and moment of a rank is its part of that of one rank. Returns how many there are. */
static int same_values(const struct rank *rank, const struct rank *one, const char *layout)
{
    int count = 0;

    for (int32_t i = 0; i < rank->compiled.program.value_count; i++) {
        const struct value *value = &rank->compiled.program.values[i];
        const int32_t other = program_find(&one->compiled.program, value->name);
        struct error error;
        void *part;

        if (!is_kept(value))
            continue;
        if (other == NO_VALUE)
            fail_msg("%s: one rank has no %s", layout, value->name);
        part = malloc((size_t)value_bytes(value) + 1);
        tiny_ok_(value_take_part(value, one->outcome.values[other], part, &error), &error);
        if (memcmp(part, rank->outcome.values[i], (size_t)value_bytes(value)) != 0)
            fail_msg("%s: rank %d has other bits in %s", layout, rank->index, value->name);
        free(part);
        count++;
    }
    return count;
}

static void same_outcome(const struct rank *rank, const struct rank *one, const char *layout)
{
    for (int step = 0; step < STEPS; step++) {
        for (int i = 0; i < rank->request.global_batch; i++)
            if (memcmp(&rank->outcome.losses[step][i], &one->outcome.losses[step][i], sizeof(double)) != 0)
                fail_msg("%s: rank %d, step %d, the loss of sequence %d is %.17g, one rank's %.17g", layout,
                         rank->index, step + 1, i, rank->outcome.losses[step][i], one->outcome.losses[step][i]);
        if (memcmp(&rank->outcome.norms[step], &one->outcome.norms[step], sizeof(float)) != 0)
            fail_msg("%s: rank %d, step %d, the gradient norm is %.9g, one rank's %.9g", layout, rank->index, step + 1,
                     (double)rank->outcome.norms[step], (double)one->outcome.norms[step]);
    }
    if (memcmp(rank->outcome.evaluated, one->outcome.evaluated, sizeof one->outcome.evaluated) != 0)
        fail_msg("%s: rank %d has other losses of an evaluation", layout, rank->index);
    assert_true(same_values(rank, one, layout) > 0);
}

static void describe(const struct layout *layout, const char *what, char text[200])
{
    snprintf(text, 200, "%s tp %d pp %d dp %d sp %d zero %d shards %d micro_batch %d %s chunks %d recompute %d", what,
             layout->tp, layout->pp, layout->dp, layout->sp, layout->zero, layout->shards, layout->micro_batch,
             pipeline_kind_name(layout->schedule), layout->chunks, (int)layout->recompute);
}

static const struct model_config gpt2 = {.family = &family_gpt2,
                                         .n_layer = 4,
                                         .n_embd = 32,
                                         .n_head = 8,
                                         .n_positions = SEQUENCE,
                                         .vocab_size = VOCABULARY,
                                         .layer_norm_epsilon = 1e-5,
                                         .initializer_range = 0.2};
static const struct model_config llama = {.family = &family_llama,
                                          .n_layer = 4,
                                          .n_embd = 32,
                                          .n_head = 8,
                                          .n_kv_head = 8,
                                          .n_inner = 48,
                                          .n_positions = SEQUENCE,
                                          .vocab_size = VOCABULARY,
                                          .layer_norm_epsilon = 1e-5,
                                          .initializer_range = 0.2,
                                          .rope_theta = 10000};
static const struct model_config qwen3 = {.family = &family_qwen3,
                                          .n_layer = 4,
                                          .n_embd = 32,
                                          .n_head = 16,
                                          .n_kv_head = 8,
                                          .head_dim = 4,
                                          .n_inner = 48,
                                          .n_positions = SEQUENCE,
                                          .vocab_size = VOCABULARY,
                                          .layer_norm_epsilon = 1e-5,
                                          .initializer_range = 0.2,
                                          .tie_word_embeddings = true,
                                          .rope_theta = 10000};

/* The layouts of a test, against one rank, for the three families in fp32 and bf16. */
static void compare(const struct layout *layouts, int count)
{
    static const struct model_config *const models[] = {&gpt2, &llama, &qwen3};
    static const uint32_t dtypes[] = {LLMRUN_F32, LLMRUN_BF16};
    static struct rank one[RANKS_MOST], all[RANKS_MOST];
    const struct layout single = {.tp = 1, .pp = 1, .dp = 1, .micro_batch = 4};

    for (int m = 0; m < 3; m++)
        for (int d = 0; d < 2; d++) {
            const struct compile_request alone = request_of(models[m], dtypes[d], &single);

            start(one, &alone, "cpu");
            for (int i = 0; i < count; i++) {
                const struct compile_request request = request_of(models[m], dtypes[d], &layouts[i]);
                char text[200];

                describe(&layouts[i], models[m]->family->name, text);
                print_message("%s %s\n", text, d == 0 ? "fp32" : "bf16");
                start(all, &request, "cpu");
                for (int r = 0; r < mesh_world(&request.mesh); r++)
                    same_outcome(&all[r], &one[0], text);
                end(all, mesh_world(&request.mesh));
            }
            end(one, 1);
        }
}

#define COMPARE(layouts) compare(layouts, (int)(sizeof(layouts) / sizeof(layouts)[0]))

static void pipelines_have_the_bits_of_one_rank(void **state)
{
    static const struct layout layouts[] = {
        {.tp = 1, .pp = 2, .dp = 1, .micro_batch = 2},
        {.tp = 1, .pp = 3, .dp = 1, .micro_batch = 1, .schedule = PIPELINE_GPIPE},
        {.tp = 1, .pp = 4, .dp = 1, .micro_batch = 2, .schedule = PIPELINE_ZERO_BUBBLE},
        {.tp = 1, .pp = 2, .dp = 1, .micro_batch = 2, .schedule = PIPELINE_INTERLEAVED, .chunks = 2},
        {.tp = 1, .pp = 2, .dp = 1, .micro_batch = 1, .schedule = PIPELINE_ZERO_BUBBLE, .chunks = 2},
        {.tp = 1, .pp = 2, .dp = 1, .micro_batch = 2, .recompute = RECOMPUTE_FULL},
        {.tp = 1, .pp = 2, .dp = 1, .micro_batch = 2, .recompute = RECOMPUTE_SELECTIVE}};

    (void)state;
    COMPARE(layouts);
}

static void data_parallel_ranks_have_the_bits_of_one_rank(void **state)
{
    static const struct layout layouts[] = {{.tp = 1, .pp = 1, .dp = 2, .micro_batch = 2},
                                            {.tp = 1, .pp = 1, .dp = 2, .micro_batch = 4},
                                            {.tp = 1, .pp = 1, .dp = 4, .micro_batch = 1},
                                            {.tp = 1, .pp = 1, .dp = 8, .micro_batch = 1},
                                            {.tp = 1, .pp = 1, .dp = 2, .micro_batch = 1, .recompute = RECOMPUTE_FULL},
                                            {.tp = 1, .pp = 2, .dp = 2, .micro_batch = 1},
                                            {.tp = 1, .pp = 2, .dp = 4, .micro_batch = 1, .schedule = PIPELINE_GPIPE}};

    (void)state;
    COMPARE(layouts);
}

static void a_sharded_optimizer_has_the_bits_of_one_rank(void **state)
{
    static const struct layout layouts[] = {
        {.tp = 1, .pp = 1, .dp = 2, .micro_batch = 2, .zero = 1},
        {.tp = 1, .pp = 1, .dp = 4, .micro_batch = 1, .zero = 1},
        {.tp = 1, .pp = 1, .dp = 8, .micro_batch = 1, .zero = 1},
        {.tp = 1, .pp = 1, .dp = 4, .micro_batch = 2, .zero = 1, .shards = 2},
        {.tp = 1, .pp = 1, .dp = 8, .micro_batch = 1, .zero = 1, .shards = 2},
        {.tp = 1, .pp = 1, .dp = 8, .micro_batch = 1, .zero = 1, .shards = 4},
        {.tp = 1, .pp = 2, .dp = 2, .micro_batch = 1, .zero = 1},
        {.tp = 1, .pp = 2, .dp = 4, .micro_batch = 1, .zero = 1, .schedule = PIPELINE_ZERO_BUBBLE}};

    (void)state;
    COMPARE(layouts);
}

static void tensor_parallel_ranks_have_the_bits_of_one_rank(void **state)
{
    static const struct layout layouts[] = {
        {.tp = 2, .pp = 1, .dp = 1, .micro_batch = 4},
        {.tp = 2, .pp = 1, .dp = 1, .micro_batch = 2, .sp = true},
        {.tp = 4, .pp = 1, .dp = 1, .micro_batch = 2, .sp = true, .recompute = RECOMPUTE_SELECTIVE},
        {.tp = 8, .pp = 1, .dp = 1, .micro_batch = 4, .sp = true},
        {.tp = 8, .pp = 1, .dp = 1, .micro_batch = 1, .recompute = RECOMPUTE_FULL},
        {.tp = 2, .pp = 1, .dp = 1, .micro_batch = 4, .sp = true, .loss_chunk = 16}};

    (void)state;
    COMPARE(layouts);
}

static void all_three_together_have_the_bits_of_one_rank(void **state)
{
    static const struct layout layouts[] = {
        {.tp = 2, .pp = 1, .dp = 2, .micro_batch = 2},
        {.tp = 2, .pp = 1, .dp = 2, .micro_batch = 2, .sp = true, .zero = 1},
        {.tp = 2, .pp = 1, .dp = 4, .micro_batch = 1, .zero = 1},
        {.tp = 2, .pp = 1, .dp = 4, .micro_batch = 1, .sp = true, .zero = 1, .shards = 2},
        {.tp = 2, .pp = 2, .dp = 1, .micro_batch = 2, .sp = true},
        {.tp = 2, .pp = 2, .dp = 1, .micro_batch = 2, .recompute = RECOMPUTE_FULL},
        {.tp = 2, .pp = 2, .dp = 1, .micro_batch = 4, .loss_chunk = 16},
        {.tp = 4, .pp = 2, .dp = 1, .micro_batch = 2, .sp = true, .schedule = PIPELINE_ZERO_BUBBLE},
        {.tp = 2, .pp = 2, .dp = 2, .micro_batch = 1},
        {.tp = 2, .pp = 2, .dp = 2, .micro_batch = 2, .sp = true, .zero = 1, .loss_chunk = 16},
        {.tp = 2, .pp = 2, .dp = 2, .micro_batch = 1, .sp = true, .schedule = PIPELINE_INTERLEAVED, .chunks = 2}};

    (void)state;
    COMPARE(layouts);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(data_parallel_ranks_have_the_bits_of_one_rank),
                                       cmocka_unit_test(a_sharded_optimizer_has_the_bits_of_one_rank),
                                       cmocka_unit_test(tensor_parallel_ranks_have_the_bits_of_one_rank),
                                       cmocka_unit_test(all_three_together_have_the_bits_of_one_rank),
                                       cmocka_unit_test(pipelines_have_the_bits_of_one_rank)};

    return cmocka_run_group_tests(tests, open_collective, NULL);
}
