/* Programs of several ranks, each a thread with a device of its own, over the loopback collective. A product whose sum
 * is split has the bits of the whole product, which one rank makes. */
#include "tiny.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "dist/communicator.h"
#include "hal/trial.h"
#include "passes/segments.h"
#include "program/part.h"
#include "program/text.h"
#include "program/verify.h"
#include "runtime/device_compile.h"

#define RANKS_MOST     8
#define EXCHANGE_BYTES 256
#define FEATURES       64
#define PARTS          8 /* of the features */

enum shape { ALL_REDUCE, SCATTER_AND_GATHER };

struct product {
    enum shape shape;
    int rows, outputs;
    bool exact;
};

struct rank {
    int index, ranks;
    const struct product *product;
    struct device *device;
    float *y;
    int status;
    struct error error;
    struct communicator communicator;
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

static void write_program(const struct rank *rank, struct text *text)
{
    const int n = rank->ranks, i = rank->index, rows = rank->product->rows, outputs = rank->product->outputs;
    const int features = FEATURES / n, parts = PARTS / n;

    text_add(text, "llmrun-program 1\n");
    if (n == 1) {
        text_add(text, "%%0 = input f32[%d,%d] \"x\"\n%%1 = parameter f32[%d,%d] \"w\"\n", rows, FEATURES, outputs,
                 FEATURES);
        text_add(text, "%%2 = result f32[%d,%d] \"y\"\nsection evaluate 0\n", rows, outputs);
        text_add(text, "  matmul(%%0, %%1, _ -> %%2, _) {activation: 0, feature_parts: %d} F\n", PARTS);
        return;
    }
    text_add(text, "%%0 = input f32[%d,%d] \"x\" full [%d,%d] tp split 1.0 %d/%d\n", rows, features, rows, FEATURES, i,
             n);
    text_add(text, "%%1 = parameter f32[%d,%d] \"w\" full [%d,%d] tp split 1.0 %d/%d\n", outputs, features, outputs,
             FEATURES, i, n);
    text_add(text, "%%2 = activation f32[%d,%d] \"term\" tp partial + %d:%d\n", rows, outputs, i * parts, parts);
    text_add(text, "%%3 = result f32[%d,%d] \"y\"\n", rows, outputs);
    if (rank->product->shape == SCATTER_AND_GATHER)
        text_add(text, "%%4 = activation f32[%d,%d] \"part\" full [%d,%d] tp split 0.1 %d/%d\n", rows / n, outputs,
                 rows, outputs, i, n);
    text_add(text, "section evaluate 0\n  matmul(%%0, %%1, _ -> %%2, _) {activation: 0, feature_parts: %d} F\n", parts);
    if (rank->product->shape == ALL_REDUCE)
        text_add(text, "  all_reduce(%%2 -> %%3) {axis: 1, reserved: 0} F\n");
    else
        text_add(text, "  reduce_scatter(%%2 -> %%4) {axis: 1, reserved: 0} F\n"
                       "  all_gather(%%4 -> %%3) {axis: 1, reserved: 0} F\n");
}

static float element(int64_t i)
{
    return (float)((double)((uint64_t)(i + 1) * UINT64_C(0x9e3779b97f4a7c15) >> 40) / 16777216.0 - 0.5);
}

static int fill(struct rank *rank, const struct compiled *compiled, struct executor *executor)
{
    for (int32_t id = 0; id < 2; id++) {
        const struct value *value = &compiled->program.values[id];
        const int64_t elements = value_whole_bytes(value) / 4;
        float *whole = malloc((size_t)elements * sizeof *whole);
        int status = STATUS_OK;

        for (int64_t i = 0; i < elements; i++)
            whole[i] = element(i + 1000003 * id);
        if (id == 0)
            status = value_take_part(value, whole, executor_input(executor, id, 0), &rank->error);
        else
            status = executor_write_whole(executor, id, whole, &rank->error);
        free(whole);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static int run_product(struct rank *rank, struct compiled *compiled)
{
    const struct communication communication = {.groups = {[MESH_TP] = &rank->communicator}};
    const int32_t y = program_find(&compiled->program, "y");
    struct executor *executor = NULL;
    int status =
        executor_create(rank->device, compiled, rank->ranks > 1 ? &communication : NULL, &executor, &rank->error);

    if (status == STATUS_OK)
        status = executor_begin(executor, &rank->error);
    if (status == STATUS_OK)
        status = fill(rank, compiled, executor);
    if (status == STATUS_OK)
        status = executor_submit(executor, JOB_EVALUATE, &rank->error);
    if (status == STATUS_OK)
        status = executor_collect(executor, &rank->error);
    if (status == STATUS_OK)
        memcpy(rank->y, executor_result(executor, y), (size_t)value_bytes(&compiled->program.values[y]));
    executor_destroy(executor);
    return status;
}

static int compile_product(struct rank *rank, struct compiled *compiled)
{
    const struct compile_request request = {.eval_batch = 2, .exact = rank->product->exact};
    struct text text = {0};
    int status;

    write_program(rank, &text);
    program_init(&compiled->program);
    status = program_parse(&compiled->program, text.data, &rank->error);
    text_finish(&text);
    if (status == STATUS_OK)
        status = program_verify(&compiled->program, &rank->error);
    if (status == STATUS_OK)
        status = pass_segments(&compiled->program, &rank->error);
    compiled->mesh = mesh_single();
    compiled->mesh.sizes[MESH_TP] = rank->ranks;
    mesh_place(&compiled->mesh, rank->index);
    compiled->form.exact = rank->product->exact;
    compiled->alignment = PLAN_ALIGNMENT;
    compiled->microbatches = 1;
    compiled->io.microbatch_losses = NO_VALUE;
    return status == STATUS_OK ? device_compile_plan(rank->device, &request, compiled, &rank->error) : status;
}

static void *run_rank(void *context)
{
    struct rank *rank = context;
    struct compiled compiled = {0};
    const struct communicator_options options = {.collective = collective,
                                                 .name = "tp",
                                                 .rank = rank->index,
                                                 .ranks = rank->ranks,
                                                 .timeout_ns = INT64_C(20000000000),
                                                 .exchange = exchange,
                                                 .context = rank};

    rank->status = rank->ranks > 1 ? communicator_create(&options, &rank->communicator, &rank->error) : STATUS_OK;
    if (rank->status == STATUS_OK)
        rank->status = compile_product(rank, &compiled);
    if (rank->status == STATUS_OK)
        rank->status = run_product(rank, &compiled);
    if (rank->status != STATUS_OK)
        communicator_abort(&rank->communicator);
    communicator_destroy(&rank->communicator);
    compiled_finish(&compiled);
    return NULL;
}

static void run(const char *backend, const struct product *product, int ranks, float *y)
{
    struct rank all[RANKS_MOST] = {{0}};
    pthread_t threads[RANKS_MOST];
    const size_t elements = (size_t)(product->rows * product->outputs);

    pthread_barrier_init(&meeting, NULL, (unsigned)ranks);
    for (int i = 0; i < ranks; i++)
        all[i] = (struct rank){.index = i,
                               .ranks = ranks,
                               .product = product,
                               .device = tiny_device(backend, NULL, NULL),
                               .y = calloc(elements, sizeof *y)};
    for (int i = 0; i < ranks; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_rank, &all[i]), 0);
    for (int i = 0; i < ranks; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&meeting);
    for (int i = 0; i < ranks; i++) {
        tiny_ok_(all[i].status, &all[i].error);
        if (i > 0)
            assert_memory_equal(all[i].y, all[0].y, elements * sizeof *y);
    }
    memcpy(y, all[0].y, elements * sizeof *y);
    for (int i = 0; i < ranks; i++) {
        device_close(all[i].device);
        free(all[i].y);
    }
}

/* On the backend, with every number of ranks, against one rank. */
static void compare(const char *backend, const struct product *product)
{
    const size_t elements = (size_t)(product->rows * product->outputs);
    float *whole = calloc(elements, sizeof *whole), *split = calloc(elements, sizeof *split);

    run(backend, product, 1, whole);
    for (int ranks = 2; ranks <= RANKS_MOST; ranks *= 2) {
        run(backend, product, ranks, split);
        for (size_t i = 0; i < elements; i++)
            if (product->exact)
                assert_memory_equal(&split[i], &whole[i], sizeof *whole);
            else
                assert_float_equal(split[i], whole[i], 1e-5f);
    }
    free(whole);
    free(split);
}

static const char *const backends[] = {"cpu", "cpu-ref", "fakegpu", "fakegraph"};

#define EACH_BACKEND(...)                                                                                              \
    for (size_t b = 0; b < sizeof backends / sizeof *backends; b++)                                                    \
    compare(backends[b], &(const struct product){__VA_ARGS__})

static void an_all_reduce_of_a_small_sum_has_the_bits_of_one_rank(void **state)
{
    (void)state;
    EACH_BACKEND(.shape = ALL_REDUCE, .rows = 16, .outputs = 6, .exact = true);
}

static void an_all_reduce_of_a_large_sum_has_the_bits_of_one_rank(void **state)
{
    (void)state;
    EACH_BACKEND(.shape = ALL_REDUCE, .rows = 80, .outputs = 333, .exact = true);
}

static void parts_of_the_positions_of_two_sequences_have_the_bits_of_one_rank(void **state)
{
    (void)state;
    EACH_BACKEND(.shape = SCATTER_AND_GATHER, .rows = 16, .outputs = 6, .exact = true);
}

static void unordered_sums_are_near(void **state)
{
    (void)state;
    EACH_BACKEND(.shape = ALL_REDUCE, .rows = 16, .outputs = 6);
    EACH_BACKEND(.shape = SCATTER_AND_GATHER, .rows = 16, .outputs = 6);
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_all_reduce_of_a_small_sum_has_the_bits_of_one_rank),
        cmocka_unit_test(an_all_reduce_of_a_large_sum_has_the_bits_of_one_rank),
        cmocka_unit_test(parts_of_the_positions_of_two_sequences_have_the_bits_of_one_rank),
        cmocka_unit_test(unordered_sums_are_near)};

    return cmocka_run_group_tests(tests, open_collective, NULL);
}
