/* One device, real kernels: what an executor promises about submissions, microbatches and transfers. */
#include "tiny.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define STEPS  5
#define LOSSES (STEPS * TINY_BATCH)

static void train(const char *backend, const struct compile_request *request, double *losses)
{
    struct tiny tiny;

    tiny_open(&tiny, backend, NULL, NULL, request);
    tiny_train(&tiny, STEPS, losses);
    tiny_close(&tiny);
}

static void training_lowers_the_loss_of_a_batch_that_comes_again(void **state)
{
    struct compile_request request = tiny_request();
    double first[TINY_BATCH], last[TINY_BATCH], sum = 0;
    struct tiny tiny;

    (void)state;
    tiny_open(&tiny, "cpu", NULL, NULL, &request);
    for (int step = 1; step <= 20; step++) {
        tiny_fill(&tiny, 1);
        tiny_submit(&tiny);
        tiny_collect(&tiny, step == 1 ? first : last);
    }
    for (int i = 0; i < TINY_BATCH; i++)
        sum += last[i] / first[i] / TINY_BATCH;
    assert_true(sum < 0.5);
    tiny_close(&tiny);
}

static void two_submissions_in_flight_give_the_results_of_one_at_a_time(void **state)
{
    struct compile_request request = tiny_request();
    double wanted[LOSSES], found[LOSSES];
    struct tiny tiny;

    (void)state;
    train("cpu", &request, wanted);
    tiny_open(&tiny, "cpu", NULL, NULL, &request);
    tiny_fill(&tiny, 1);
    tiny_submit(&tiny);
    for (int step = 2; step <= STEPS; step++) {
        tiny_fill(&tiny, step);
        tiny_submit(&tiny);
        assert_int_equal(executor_pending(tiny.executor), 2);
        tiny_collect(&tiny, found + (step - 2) * TINY_BATCH);
    }
    tiny_collect(&tiny, found + (STEPS - 1) * TINY_BATCH);
    assert_memory_equal(found, wanted, sizeof wanted);
    tiny_close(&tiny);
}

static void a_step_may_be_collected_while_the_next_one_is_submitted_in_part(void **state)
{
    const char *const backends[] = {"cpu", "fakegpu", "fakegraph"};
    struct compile_request request = tiny_request();
    double wanted[LOSSES], found[LOSSES];
    struct tiny tiny;

    (void)state;
    for (int i = 0; i < 3; i++) {
        train(backends[i], &request, wanted);
        tiny_open(&tiny, backends[i], NULL, NULL, &request);
        for (int step = 1; step <= STEPS + 1; step++) {
            if (step <= STEPS) {
                tiny_fill(&tiny, step);
                tiny_ok(&tiny, executor_submit_first(tiny.executor, JOB_STEP, &tiny.error));
            }
            assert_int_equal(executor_pending(tiny.executor), step > 1);
            if (step > 1)
                tiny_collect(&tiny, found + (step - 2) * TINY_BATCH);
            if (step <= STEPS)
                tiny_ok(&tiny, executor_submit_rest(tiny.executor, JOB_STEP, &tiny.error));
        }
        tiny_close(&tiny);
        assert_memory_equal(found, wanted, sizeof wanted);
    }
}

static void results_stay_readable_until_the_next_collect(void **state)
{
    struct compile_request request = tiny_request();
    double wanted[TINY_BATCH];
    const double *held;
    struct tiny tiny;

    (void)state;
    tiny_open(&tiny, "cpu", NULL, NULL, &request);
    tiny_fill(&tiny, 1);
    tiny_submit(&tiny);
    tiny_fill(&tiny, 2);
    tiny_submit(&tiny);
    tiny_collect(&tiny, wanted);
    held = executor_result(tiny.executor, tiny_value(&tiny, "losses"));
    tiny_ok(&tiny, device_synchronize(tiny.device, &tiny.error)); /* step 2 has run */
    assert_memory_equal(held, wanted, sizeof wanted);
    tiny_fill(&tiny, 3);
    tiny_submit(&tiny);
    tiny_ok(&tiny, device_synchronize(tiny.device, &tiny.error)); /* until the next collect, whatever is submitted */
    assert_memory_equal(held, wanted, sizeof wanted);
    tiny_collect(&tiny, NULL);
    tiny_collect(&tiny, NULL);
    tiny_close(&tiny);
}

static void a_third_submission_and_a_collect_of_nothing_are_refused(void **state)
{
    struct compile_request request = tiny_request();
    struct tiny tiny;

    (void)state;
    tiny_open(&tiny, "cpu", NULL, NULL, &request);
    assert_int_equal(executor_collect(tiny.executor, &tiny.error), STATUS_BUG);
    assert_string_equal(tiny.error.message, "nothing was submitted that could be collected");
    for (int step = 1; step <= 2; step++) {
        tiny_fill(&tiny, step);
        tiny_submit(&tiny);
    }
    assert_int_equal(executor_begin(tiny.executor, &tiny.error), STATUS_BUG);
    assert_string_equal(tiny.error.message, "a third submission before the first was collected");
    tiny_collect(&tiny, NULL);
    tiny_ok(&tiny, executor_begin(tiny.executor, &tiny.error));
    tiny_collect(&tiny, NULL);
    tiny_close(&tiny);
}

/* A device that runs its queues late, when something waits, must not find memory that is gone. */
static void an_executor_ends_with_submissions_in_flight(void **state)
{
    static const char *const backends[] = {"cpu", "fakegpu"};
    struct compile_request request = tiny_request();

    (void)state;
    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++)
        for (int steps = 1; steps <= 2; steps++) {
            struct tiny tiny;

            tiny_open(&tiny, backends[i], NULL, NULL, &request);
            for (int step = 1; step <= steps; step++) {
                tiny_fill(&tiny, step);
                tiny_submit(&tiny);
            }
            tiny_close(&tiny);
        }
    executor_destroy(NULL);
}

static void a_job_that_was_not_compiled_is_refused(void **state)
{
    struct compile_request request = tiny_request();
    struct tiny tiny;

    (void)state;
    request.generate = false;
    request.eval_batch = 0;
    tiny_open(&tiny, "cpu", NULL, NULL, &request);
    tiny_ok(&tiny, executor_begin(tiny.executor, &tiny.error));
    assert_int_equal(executor_submit(tiny.executor, JOB_PREFILL, &tiny.error), STATUS_BUG);
    assert_string_equal(tiny.error.message, "the program was compiled without the job prefill");
    assert_int_equal(executor_submit(tiny.executor, JOB_EVALUATE, &tiny.error), STATUS_BUG);
    tiny_ok(&tiny, executor_submit(tiny.executor, JOB_CAST_WEIGHTS, &tiny.error)); /* nothing to do in fp32 */
    tiny_collect(&tiny, NULL);
    tiny_close(&tiny);
}

static void microbatches_of_1_2_and_4_give_the_same_losses(void **state)
{
    double losses[3][LOSSES];

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct compile_request request = tiny_request();

        request.micro_batch = 1 << i;
        request.dropout = 0.1f;
        train("cpu", &request, losses[i]);
    }
    for (int i = 0; i < LOSSES; i++) {
        assert_true(fabs(losses[0][i] - losses[2][i]) <= 1e-6 * losses[2][i]);
        assert_true(fabs(losses[1][i] - losses[2][i]) <= 1e-6 * losses[2][i]);
    }
}

static void recompute_changes_no_bit(void **state)
{
    static const uint32_t types[] = {LLMRUN_F32, LLMRUN_BF16};

    (void)state;
    for (int t = 0; t < 2; t++) {
        struct compile_request request = tiny_request();
        double kept[LOSSES], again[LOSSES];

        request.compute_dtype = types[t];
        request.dropout = 0.2f;
        train("cpu", &request, kept);
        for (request.recompute = RECOMPUTE_SELECTIVE; request.recompute <= RECOMPUTE_FULL; request.recompute++) {
            train("cpu", &request, again);
            assert_memory_equal(again, kept, sizeof kept);
        }
    }
}

static void initialising_again_starts_the_same_run_again(void **state)
{
    struct compile_request request = tiny_request();
    double first[LOSSES], second[LOSSES];
    struct tiny tiny;

    (void)state;
    tiny_open(&tiny, "cpu", NULL, NULL, &request);
    tiny_train(&tiny, STEPS, first);
    tiny_initialise(&tiny);
    tiny_train(&tiny, STEPS, second);
    assert_memory_equal(second, first, sizeof first);
    tiny_close(&tiny);
}

static void a_value_larger_than_the_transfer_buffer_is_read_as_written(void **state)
{
    const int64_t vocabulary = 150016, elements = vocabulary * 16; /* 9.6 MB, in parts of 8 MiB */
    struct compile_request request = tiny_request();
    float *written = malloc((size_t)elements * sizeof *written), *read = malloc((size_t)elements * sizeof *read);
    struct tiny tiny;
    int32_t value;

    (void)state;
    request.model.vocab_size = vocabulary;
    request.train = request.generate = false;
    request.eval_batch = 1;
    memset(&tiny, 0, sizeof tiny);
    tiny.device = tiny_device("cpu", NULL, NULL);
    tiny_ok(&tiny, tiny_create(tiny.device, &request, &tiny.compiled, &tiny.executor, &tiny.error));
    value = tiny_value(&tiny, "wte.weight");
    assert_int_equal(value_elements(&executor_compiled(tiny.executor)->program.values[value]), elements);
    for (int64_t i = 0; i < elements; i++)
        written[i] = (float)i;
    tiny_ok(&tiny, executor_write(tiny.executor, value, written, &tiny.error));
    tiny_ok(&tiny, executor_read(tiny.executor, value, read, &tiny.error));
    assert_memory_equal(read, written, (size_t)elements * sizeof *read);
    tiny_close(&tiny);
    free(written);
    free(read);
}

/* After a step whose gradients are not finite, all weights are those before it, and stay so. */
static void a_step_that_is_not_finite_leaves_the_weights(void **state)
{
    struct compile_request request = tiny_request();
    float before[64 * 16], after[64 * 16];
    struct tiny tiny;

    (void)state;
    tiny_open(&tiny, "cpu", NULL, NULL, &request);
    for (int step = 1; step <= 4; step++) {
        const int64_t elements =
            value_elements(&executor_compiled(tiny.executor)->program.values[tiny_value(&tiny, "wte.weight")]);

        assert_int_equal(elements, 64 * 16);
        tiny_ok(&tiny,
                executor_read(tiny.executor, tiny_value(&tiny, "wte.weight"), step < 3 ? before : after, &tiny.error));
        if (step > 2)
            assert_memory_equal(after, before, sizeof before);
        tiny_fill(&tiny, step);
        if (step == 2)
            *(float *)tiny_input(&tiny, "inverse_tokens") = INFINITY;
        tiny_submit(&tiny);
        tiny_collect(&tiny, NULL);
        assert_int_equal(*(const uint32_t *)executor_result(tiny.executor, tiny_value(&tiny, "found_inf")), step >= 2);
    }
    tiny_close(&tiny);
}

/* -log softmax(logits)[target], in fp64. */
static double token_loss(const float *logits, int32_t target)
{
    double sum = 0;

    for (int i = 0; i < TINY_VOCABULARY; i++)
        sum += exp((double)logits[i]);
    return log(sum) - (double)logits[target];
}

static void fill_evaluation(struct tiny *tiny, int32_t target)
{
    int32_t *targets = tiny_input(tiny, "eval.targets");
    float *weights = tiny_input(tiny, "eval.weights");
    int32_t *tokens = tiny_input(tiny, "eval.tokens");
    int32_t *positions = tiny_input(tiny, "eval.positions");
    int32_t *starts = tiny_input(tiny, "eval.segment_starts");

    for (int i = 0; i < TINY_EVAL_BATCH * TINY_SEQUENCE; i++) {
        tokens[i] = i * 7 % TINY_VOCABULARY;
        positions[i] = i % TINY_SEQUENCE;
        starts[i] = 0;
        targets[i] = target;
        weights[i] = i == 9 ? 1.0f : 0.0f;
    }
    *(float *)tiny_input(tiny, "inverse_tokens") = 1;
}

static void evaluate_gives_the_loss_of_the_logits_that_prefill_gives(void **state)
{
    const int32_t target = 33;
    struct compile_request request = tiny_request();
    struct tiny tiny;
    double loss;

    (void)state;
    tiny_open(&tiny, "cpu", NULL, NULL, &request);
    tiny_ok(&tiny, executor_begin(tiny.executor, &tiny.error));
    fill_evaluation(&tiny, target);
    tiny_ok(&tiny, executor_submit(tiny.executor, JOB_EVALUATE, &tiny.error));
    tiny_ok(&tiny, executor_collect(tiny.executor, &tiny.error));
    loss = *(const double *)executor_result(tiny.executor, tiny_value(&tiny, "eval.losses"));

    tiny_ok(&tiny, executor_begin(tiny.executor, &tiny.error));
    for (int i = 0; i < TINY_SEQUENCE; i++) {
        ((int32_t *)tiny_input(&tiny, "prefill.tokens"))[i] = i * 7 % TINY_VOCABULARY;
        ((int32_t *)tiny_input(&tiny, "prefill.positions"))[i] = i;
    }
    *(int32_t *)tiny_input(&tiny, "prefill.cached") = 0;
    *(int32_t *)tiny_input(&tiny, "prefill.row") = 9;
    tiny_ok(&tiny, executor_submit(tiny.executor, JOB_PREFILL, &tiny.error));
    tiny_ok(&tiny, executor_collect(tiny.executor, &tiny.error));
    assert_true(fabs(loss - token_loss(executor_result(tiny.executor, tiny_value(&tiny, "logits")), target)) < 1e-5);
    tiny_close(&tiny);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(training_lowers_the_loss_of_a_batch_that_comes_again),
        cmocka_unit_test(two_submissions_in_flight_give_the_results_of_one_at_a_time),
        cmocka_unit_test(a_step_may_be_collected_while_the_next_one_is_submitted_in_part),
        cmocka_unit_test(results_stay_readable_until_the_next_collect),
        cmocka_unit_test(a_third_submission_and_a_collect_of_nothing_are_refused),
        cmocka_unit_test(an_executor_ends_with_submissions_in_flight),
        cmocka_unit_test(a_job_that_was_not_compiled_is_refused),
        cmocka_unit_test(microbatches_of_1_2_and_4_give_the_same_losses),
        cmocka_unit_test(recompute_changes_no_bit),
        cmocka_unit_test(initialising_again_starts_the_same_run_again),
        cmocka_unit_test(a_value_larger_than_the_transfer_buffer_is_read_as_written),
        cmocka_unit_test(a_step_that_is_not_finite_leaves_the_weights),
        cmocka_unit_test(evaluate_gives_the_loss_of_the_logits_that_prefill_gives),
    };

    return cmocka_run_group_tests_name("runtime executor", tests, NULL, NULL);
}
