/* The same losses on devices that run late, in random order, or only whole programs: what the core orders by events and
 * puts into programs is all that those devices have. */
#include "every.h"
#include "tiny.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/device_compile.h"

#define STEPS  5
#define LOSSES (STEPS * TINY_BATCH)
#define SEEDS  20

/* Two submissions in flight: the inputs of the next step are written while this one waits to run. */
static void train(const char *backend, const char *key, const char *value, const struct compile_request *request,
                  double *losses)
{
    struct tiny tiny;

    tiny_open(&tiny, backend, key, value, request);
    for (int step = 1; step <= STEPS + 1; step++) {
        if (step <= STEPS) {
            tiny_fill(&tiny, step);
            tiny_submit(&tiny);
        }
        if (step > 1)
            tiny_collect(&tiny, losses + (step - 2) * TINY_BATCH);
    }
    tiny_close(&tiny);
}

static struct compile_request with_dropout(uint32_t compute_dtype)
{
    struct compile_request request = tiny_request();

    request.dropout = 0.1f;
    request.compute_dtype = compute_dtype;
    return request;
}

static void fakegpu_gives_the_losses_of_cpu_with_each_of_20_seeds(void **state)
{
    struct compile_request request = with_dropout(LLMRUN_F32);
    double wanted[LOSSES], found[LOSSES];

    (void)state;
    train("cpu", NULL, NULL, &request, wanted);
    for (int seed = 1; seed <= SEEDS; seed += EVERY(10)) {
        char text[12];

        snprintf(text, sizeof text, "%d", seed);
        train("fakegpu", "seed", text, &request, found);
        if (memcmp(found, wanted, sizeof wanted) != 0)
            fail_msg("with seed %d the losses differ; the first of step 1 is %.17g, wanted %.17g", seed, found[0],
                     wanted[0]);
    }
}

static void fakegraph_gives_the_losses_of_cpu(void **state)
{
    static const uint32_t types[] = {LLMRUN_F32, LLMRUN_BF16};

    (void)state;
    for (int t = 0; t < 2; t++) {
        struct compile_request request = with_dropout(types[t]);
        double wanted[LOSSES], found[LOSSES];

        train("cpu", NULL, NULL, &request, wanted);
        for (request.recompute = RECOMPUTE_NONE; request.recompute <= RECOMPUTE_FULL; request.recompute++) {
            train("fakegraph", NULL, NULL, &request, found);
            assert_memory_equal(found, wanted, sizeof wanted);
        }
    }
}

/* Microbatches of one sequence, in groups of four, of two and of one: the order in which they run changes no sum. Of
 * the tied embedding, both chunks have a part of the gradient. */
static void every_schedule_gives_the_losses_of_microbatches_one_after_the_other(void **state)
{
    static const struct {
        const char *name;
        enum pipeline_kind kind;
        int32_t chunks;
    } schedules[] = {{"gpipe", PIPELINE_GPIPE, 1},
                     {"zero-bubble", PIPELINE_ZERO_BUBBLE, 1},
                     {"zero-bubble of two chunks", PIPELINE_ZERO_BUBBLE, 2},
                     {"interleaved", PIPELINE_INTERLEAVED, 2}};
    static const char *const backends[] = {"cpu", "fakegpu", "fakegraph"};

    (void)state;
    for (int64_t parts = 1; parts <= TINY_BATCH; parts *= 2)
        for (int mode = RECOMPUTE_NONE; mode <= RECOMPUTE_FULL; mode++) {
            struct compile_request request = with_dropout(LLMRUN_BF16);
            double wanted[LOSSES], found[LOSSES];

            request.micro_batch = 1;
            request.batch_parts = parts;
            request.model.tie_word_embeddings = true;
            request.recompute = (enum recompute)mode;
            train("cpu", NULL, NULL, &request, wanted);
            for (size_t s = 0; s < sizeof schedules / sizeof schedules[0]; s++) {
                request.schedule = schedules[s].kind;
                request.chunks = schedules[s].chunks;
                for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++) {
                    train(backends[i], NULL, NULL, &request, found);
                    if (memcmp(found, wanted, sizeof wanted) != 0)
                        fail_msg("%s on %s with %lld batch parts and recompute %d: the losses differ",
                                 schedules[s].name, backends[i], (long long)parts, mode);
                }
            }
        }
}

static void cpu_ref_gives_the_losses_of_cpu(void **state)
{
    struct compile_request request = with_dropout(LLMRUN_F32);
    double wanted[LOSSES], found[LOSSES];

    (void)state;
    train("cpu", NULL, NULL, &request, wanted);
    train("cpu-ref", NULL, NULL, &request, found);
    assert_memory_equal(found, wanted, sizeof wanted);
}

static void a_device_out_of_memory_is_a_sentence_and_nothing_is_left_open(void **state)
{
    struct compile_request request = tiny_request();
    struct device *device = tiny_device("fakegpu", NULL, NULL);
    struct executor *executor = NULL;
    struct compiled compiled;
    struct error error;

    (void)state;
    request.model.n_embd = 1 << 20;
    request.model.n_layer = 100;
    assert_int_equal(tiny_create(device, &request, &compiled, &executor, &error), STATUS_MEMORY);
    assert_null(executor);
    assert_non_null(strstr(error.message, "bytes free"));
    device_close(device);
}

/* The plan of `request` on fakegpu, whose largest allocation is a quarter of the arena; then its losses. */
static void train_in_quarters(const struct compile_request *request, double *losses)
{
    struct device *device = tiny_device("fakegpu", NULL, NULL);
    struct compiled compiled;
    struct error error;
    char quarter[24];

    tiny_ok_(device_compile(device, request, &compiled, &error), &error);
    assert_int_equal(compiled.plan.buffer_count, 1);
    snprintf(quarter, sizeof quarter, "%lld", (long long)compiled.plan.total_bytes / 4);
    compiled_finish(&compiled);
    device_close(device);
    setenv("FAKEGPU_LARGEST", quarter, 1);
    device = tiny_device("fakegpu", NULL, NULL);
    tiny_ok_(device_compile(device, request, &compiled, &error), &error);
    assert_in_range(compiled.plan.buffer_count, 4, REGIONS);
    compiled_finish(&compiled);
    device_close(device);
    train("fakegpu", NULL, NULL, request, losses);
    unsetenv("FAKEGPU_LARGEST");
}

static void a_device_that_gives_a_quarter_of_the_arena_at_once_gives_the_losses_of_cpu(void **state)
{
    (void)state;
    for (int model = 0; model < 2; model++)
        for (int split = 0; split < 2; split++) {
            struct compile_request request = model == 0 ? tiny_request() : tiny_llama_request();
            double wanted[LOSSES], found[LOSSES];

            request.model.n_layer = 12; /* what the CPU's kernels want as workspace is no quarter of a smaller one */
            request.micro_batch = 1;
            request.schedule = split ? PIPELINE_ZERO_BUBBLE : PIPELINE_ONE_F_ONE_B;
            train("cpu", NULL, NULL, &request, wanted);
            train_in_quarters(&request, found);
            assert_memory_equal(found, wanted, sizeof wanted);
        }
}

/* With `key` set in its environment, fakegpu cannot run the request, and the sentence says why. */
static void assert_refused(const char *key, const char *value, const struct compile_request *request, int status,
                           const char *sentence)
{
    struct executor *executor = NULL;
    struct compiled compiled;
    struct device *device;
    struct error error;

    setenv(key, value, 1);
    device = tiny_device("fakegpu", NULL, NULL);
    assert_int_equal(tiny_create(device, request, &compiled, &executor, &error), status);
    assert_string_equal(error.message, sentence);
    device_close(device);
    unsetenv(key);
}

static void a_value_that_no_allocation_holds_is_a_sentence(void **state)
{
    struct compile_request request = tiny_request();

    (void)state;
    request.model.vocab_size = 4000; /* stored as 4032 rows of 64 bytes */
    assert_refused("FAKEGPU_LARGEST", "250000", &request, STATUS_MEMORY,
                   "wte.weight has 258048 bytes, one allocation of the device at most 249856");
}

static void a_device_without_f64_trains_in_f32_what_is_wide_elsewhere(void **state)
{
    (void)state;
    for (int model = 0; model < 2; model++) {
        struct compile_request request = model == 0 ? tiny_request() : tiny_llama_request();
        double wanted[LOSSES], found[LOSSES];

        request.exact = false;
        train("cpu", NULL, NULL, &request, wanted);
        setenv("FAKEGPU_NO_F64", "1", 1);
        train("fakegpu", NULL, NULL, &request, found);
        unsetenv("FAKEGPU_NO_F64");
        for (int i = 0; i < LOSSES; i++) /* a loss is rounded once to f32; the weights differ by what norms do */
            if (!(fabs(found[i] - wanted[i]) <= 1e-5 * fabs(wanted[i])))
                fail_msg("model %d, loss %d: %.9g, %.9g with f64", model, i, found[i], wanted[i]);
        assert_true(memcmp(found, wanted, sizeof wanted) != 0); /* f32 was used */
    }
}

static void exact_sums_are_refused_where_there_is_no_f64(void **state)
{
    struct compile_request request = tiny_request();

    (void)state;
    assert_refused("FAKEGPU_NO_F64", "1", &request, STATUS_BACKEND,
                   "the device has no f64, in which numerics.exact sums losses and norms; numerics.exact false sums "
                   "them in f32");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fakegpu_gives_the_losses_of_cpu_with_each_of_20_seeds),
        cmocka_unit_test(fakegraph_gives_the_losses_of_cpu),
        cmocka_unit_test(every_schedule_gives_the_losses_of_microbatches_one_after_the_other),
        cmocka_unit_test(cpu_ref_gives_the_losses_of_cpu),
        cmocka_unit_test(a_device_that_gives_a_quarter_of_the_arena_at_once_gives_the_losses_of_cpu),
        cmocka_unit_test(a_value_that_no_allocation_holds_is_a_sentence),
        cmocka_unit_test(a_device_without_f64_trains_in_f32_what_is_wide_elsewhere),
        cmocka_unit_test(exact_sums_are_refused_where_there_is_no_f64),
        cmocka_unit_test(a_device_out_of_memory_is_a_sentence_and_nothing_is_left_open),
    };

    return cmocka_run_group_tests_name("runtime devices", tests, NULL, NULL);
}
