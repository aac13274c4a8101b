#include "training.h"

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
#include "hal/trial.h"
#include "model/family.h"
#include "program/part.h"
#include "runtime/constants.h"
#include "runtime/device_compile.h"
#include "tiny.h"

#define EXCHANGE_BYTES 256
#define VOCABULARY     150
#define COMMUNICATORS  (MESH_GROUPS + 1)

static const struct collective *collective;
static pthread_barrier_t meeting;
static char exchanged[TRAINING_RANKS][EXCHANGE_BYTES];

/* Of one group of the mesh, which all ranks come to at the same time. */
struct bootstrap {
    const struct rank *rank;
    int group;
};

static int32_t exchange(void *context, const void *mine, void *all, int64_t bytes, struct llmrun_error *error)
{
    const struct bootstrap *bootstrap = context;
    const struct mesh *mesh = &bootstrap->rank->training.request.mesh;

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
    const struct mesh *mesh = &rank->training.request.mesh;
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

/* A row of a batch that a rank has. */
struct place {
    const struct batch_values *values;
    int32_t microbatch;
    int local;
};

struct token {
    uint32_t word; /* random bits */
    int start;     /* of its document */
    float weight;
};

static void fill_token(struct rank *rank, const struct place *place, int i, struct token token)
{
    const struct batch_values *values = place->values;
    const int at = place->local * TRAINING_SEQUENCE + i;

    ((int32_t *)input(rank, values->tokens, place->microbatch))[at] = (int32_t)(token.word % VOCABULARY);
    ((int32_t *)input(rank, values->targets, place->microbatch))[at] = (int32_t)((token.word >> 8) % VOCABULARY);
    ((int32_t *)input(rank, values->positions, place->microbatch))[at] = i - token.start;
    ((int32_t *)input(rank, values->segment_starts, place->microbatch))[at] = token.start;
    ((float *)input(rank, values->weights, place->microbatch))[at] = token.weight;
}

/* One row of the global batch of a step: two documents, some tokens without weight. Returns how many have one. Where
 * `place` is NULL, it is only counted. */
static int fill_row(struct rank *rank, const struct place *place, int step, int row)
{
    const struct training *training = &rank->training;
    const int content = training->alike ? 0 : row, first = 3 + content % 5;
    const bool silent = training->silent >> row & 1;
    int valid = 0;

    for (int i = 0; i < TRAINING_SEQUENCE; i++) {
        const uint32_t word = scramble((uint32_t)(step * 100000 + content * TRAINING_SEQUENCE + i + 1));
        const int start = i < first ? 0 : first;
        const float weight = word >> 20 & 7 && !silent ? 1.0f : 0.0f;

        valid += weight > 0;
        if (place != NULL)
            fill_token(rank, place, i, (struct token){word, start, weight});
    }
    return valid;
}

static void fill_step(struct rank *rank, int step)
{
    const struct io_values *io = &rank->compiled.io;
    const struct mesh *mesh = &rank->training.request.mesh;
    const int all = (int)rank->training.request.global_batch, each = (int)rank->training.request.micro_batch;
    const int mine = all / mesh->sizes[MESH_DP] * mesh->index[MESH_DP];
    const struct update_policy *update = &rank->training.request.update;
    float *correction = input(rank, io->bias_correction, 0);
    int valid = 0;

    for (int row = 0; row < all; row++)
        valid += fill_row(rank, NULL, step, row);
    for (int m = 0; m < rank->compiled.microbatches; m++) {
        for (int i = 0; i < each; i++)
            fill_row(rank, &(struct place){&io->train, m, i}, step, mine + m * each + i);
        if (io->random != NO_VALUE)
            values_fill_random(input(rank, io->random, m), rank->compiled.program.values[io->random].shape[0], 11, step,
                               mine + m * each);
    }
    *(float *)input(rank, io->inverse_tokens, 0) = valid > 0 ? 1.0f / (float)valid : 0;
    *(float *)input(rank, io->learning_rate, 0) = 0.01f;
    correction[0] = (float)(1 - pow(update->beta1, step));
    correction[1] = (float)sqrt(1 - pow(update->beta2, step));
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
        status = constants_write(rank->executor, &rank->training.request.model, &rank->error);
    return status == STATUS_OK ? executor_write(rank->executor, rank->compiled.io.found_inf, &none, &rank->error)
                               : status;
}

static int train(struct rank *rank)
{
    const struct io_values *io = &rank->compiled.io;
    int status = STATUS_OK;

    for (int step = 1; status == STATUS_OK && step <= rank->training.steps; step++) {
        status = executor_begin(rank->executor, &rank->error);
        if (status != STATUS_OK)
            break;
        fill_step(rank, step);
        status = run_job(rank, JOB_STEP);
        for (int i = 0; status == STATUS_OK && i < rank->training.request.global_batch; i++)
            rank->outcome.losses[step - 1][i] = executor_wide_result(rank->executor, io->losses, i);
        if (status == STATUS_OK)
            rank->outcome.norms[step - 1] = *(const float *)executor_result(rank->executor, io->grad_norm);
    }
    return status;
}

static int evaluate(struct rank *rank)
{
    const struct io_values *io = &rank->compiled.io;
    const struct mesh *mesh = &rank->training.request.mesh;
    const int each = (int)rank->training.request.eval_batch / mesh->sizes[MESH_DP];
    int status = executor_begin(rank->executor, &rank->error);

    if (status != STATUS_OK)
        return status;
    for (int i = 0; i < each; i++)
        fill_row(rank, &(struct place){&io->evaluate, 0, i}, 77, each * mesh->index[MESH_DP] + i);
    *(float *)input(rank, io->inverse_tokens, 0) = 1;
    status = run_job(rank, JOB_EVALUATE);
    for (int i = 0; status == STATUS_OK && i < rank->training.request.eval_batch; i++)
        rank->outcome.evaluated[i] = executor_wide_result(rank->executor, io->evaluate_losses, i);
    return status;
}

bool training_keeps(const struct value *value)
{
    return (value->kind == VALUE_PARAMETER || value->kind == VALUE_STATE) && !(value->flags & VALUE_VIEW);
}

static int read_values(struct rank *rank)
{
    const struct program *program = &rank->compiled.program;
    int status = STATUS_OK;

    rank->outcome.values = calloc((size_t)program->value_count, sizeof *rank->outcome.values);
    for (int32_t i = 0; status == STATUS_OK && i < program->value_count; i++)
        if (training_keeps(&program->values[i])) {
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
        rank->status = device_compile(rank->device, &rank->training.request, &rank->compiled, &rank->error);
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

void training_run(struct rank *all, const struct training *training)
{
    pthread_t threads[TRAINING_RANKS];
    const int ranks = mesh_world(&training->request.mesh);

    pthread_barrier_init(&meeting, NULL, (unsigned)ranks);
    for (int i = 0; i < ranks; i++) {
        all[i] =
            (struct rank){.index = i, .ranks = ranks, .training = *training, .device = tiny_device("cpu", NULL, NULL)};
        mesh_place(&all[i].training.request.mesh, i);
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

void training_end(struct rank *all)
{
    const int ranks = all[0].ranks;

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

        if (!training_keeps(value))
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
    for (int step = 0; step < rank->training.steps; step++) {
        for (int i = 0; i < rank->training.request.global_batch; i++)
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

void training_compare(const struct rank *all, const struct rank *one, const char *layout)
{
    const struct program *program = &one->compiled.program;

    for (int r = 0; r < all[0].ranks; r++)
        same_outcome(&all[r], one, layout);
    for (int32_t i = 0; i < program->value_count; i++) {
        bool found = !training_keeps(&program->values[i]);

        for (int r = 0; r < all[0].ranks; r++)
            found = found || program_find(&all[r].compiled.program, program->values[i].name) != NO_VALUE;
        if (!found)
            fail_msg("%s: no rank has %s", layout, program->values[i].name);
    }
}

void training_describe(const struct layout *layout, const struct training *training, char text[200])
{
    snprintf(text, 200, "%s %s tp %d pp %d dp %d sp %d zero %d shards %d micro_batch %d %s chunks %d recompute %d",
             training->request.model.family->name, training->request.compute_dtype == LLMRUN_F32 ? "fp32" : "bf16",
             layout->tp, layout->pp, layout->dp, layout->sp, layout->zero, layout->shards, layout->micro_batch,
             pipeline_kind_name(layout->schedule), layout->chunks, (int)layout->recompute);
}

#define DECODER                                                                                                        \
    .n_layer = 4, .n_embd = 32, .n_kv_head = 8, .n_inner = 48, .n_positions = TRAINING_SEQUENCE,                       \
    .vocab_size = VOCABULARY, .layer_norm_epsilon = 1e-5, .initializer_range = 0.2, .rope_theta = 10000

static const struct model_config models[TRAINING_FAMILIES] = {
    [TRAINING_GPT2] = {.family = &family_gpt2,
                       .n_layer = 4,
                       .n_embd = 32,
                       .n_head = 8,
                       .n_positions = TRAINING_SEQUENCE,
                       .vocab_size = VOCABULARY,
                       .layer_norm_epsilon = 1e-5,
                       .initializer_range = 0.2},
    [TRAINING_LLAMA] = {.family = &family_llama, .n_head = 8, DECODER},
    [TRAINING_QWEN3] = {.family = &family_qwen3, .n_head = 16, .head_dim = 4, .tie_word_embeddings = true, DECODER},
    [TRAINING_QWEN2] = {.family = &family_qwen2, .n_head = 8, .tie_word_embeddings = true, DECODER},
    [TRAINING_MISTRAL] = {.family = &family_mistral, .n_head = 8, .sliding_window = TRAINING_SEQUENCE, DECODER}};

const struct layout training_single = {.tp = 1, .pp = 1, .dp = 1, .micro_batch = 4};

struct training training_of(enum training_family family, uint32_t dtype, const struct layout *layout)
{
    struct training training = {.steps = TRAINING_STEPS, .silent = 1u << 2 | 1u << 6};
    struct compile_request *request = &training.request;

    *request = (struct compile_request){.model = models[family],
                                        .seed = 7,
                                        .sequence = TRAINING_SEQUENCE,
                                        .global_batch = TRAINING_BATCH,
                                        .micro_batch = layout->micro_batch,
                                        .eval_batch = TRAINING_BATCH,
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
    request->mesh = mesh_single();
    request->mesh.sizes[MESH_TP] = layout->tp;
    request->mesh.sizes[MESH_PP] = layout->pp;
    request->mesh.sizes[MESH_DP] = layout->dp;
    request->mesh.shards = layout->shards;
    return training;
}

int training_setup(void **state)
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
