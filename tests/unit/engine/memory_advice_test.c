/* What is said to a user whose step does not fit, on a device with as many free bytes as a test says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/memory_advice.h"
#include "runtime/device_compile.h"
#include "tiny.h"

static int64_t free_now;
static const struct backend *real;

static int32_t say_free(int32_t index, struct llmrun_device_info *info, struct llmrun_error *error)
{
    const int32_t code = real->device.info(index, info, error);

    info->memory_bytes = INT64_C(1) << 50;
    info->memory_free_bytes = free_now;
    return code;
}

static int64_t bytes_of(struct device *device, struct compile_request request, int64_t micro_batch,
                        enum recompute recompute)
{
    struct compiled compiled;
    struct error error;
    int64_t bytes;

    request.micro_batch = micro_batch;
    request.recompute = recompute;
    if (request.eval_batch > micro_batch)
        request.eval_batch = micro_batch;
    tiny_ok_(device_compile(device, &request, &compiled, &error), &error);
    bytes = compiled.plan.total_bytes;
    compiled_finish(&compiled);
    return bytes;
}

static void advise(struct device *device, const struct compile_request *request, int64_t room, struct error *error)
{
    free_now = room;
    error_set(error, STATUS_MEMORY, "no room");
    assert_int_equal(memory_advice_add(device, request, error), STATUS_MEMORY);
    assert_int_equal(error->status, STATUS_MEMORY);
}

static void assert_advice(const struct error *error, const char *wanted)
{
    const char *mend = strstr(error->message, "n_embd 16)");

    assert_non_null(strstr(error->message, "no room; the model has "));
    assert_non_null(mend);
    assert_string_equal(mend + strlen("n_embd 16)"), wanted);
}

static struct device *open_device(struct backend *lying)
{
    struct device *device = tiny_device("cpu", NULL, NULL);

    real = device->backend;
    *lying = *real;
    lying->device.info = say_free;
    device->backend = lying;
    return device;
}

static void close_device(struct device *device)
{
    device->backend = real;
    device_close(device);
}

/* Batches of 14 may be cut into 7, 2 and 1 (half of 7 is 3, which does not divide 14). */
static void the_largest_microbatch_that_fits_is_named_before_recomputation_is(void **state)
{
    static const struct {
        int64_t micro_batch;
        enum recompute recompute;
        const char *mode;
    } ways[] = {{7, RECOMPUTE_NONE, "none"},           {2, RECOMPUTE_NONE, "none"},
                {1, RECOMPUTE_NONE, "none"},           {7, RECOMPUTE_SELECTIVE, "selective"},
                {1, RECOMPUTE_SELECTIVE, "selective"}, {1, RECOMPUTE_FULL, "full"}};
    struct compile_request request = tiny_request();
    struct device *device;
    struct backend lying;
    struct error error = {0};
    char wanted[300];
    int64_t least = INT64_MAX;
    int named = 0;

    (void)state;
    request.generate = false;
    request.batch_parts = 1;
    request.global_batch = request.micro_batch = 14;
    request.eval_batch = 14;
    device = open_device(&lying);
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        const int64_t bytes = bytes_of(device, request, ways[i].micro_batch, ways[i].recompute);

        if (bytes >= least) /* what comes before it fits wherever it does */
            continue;
        least = bytes;
        named++;
        advise(device, &request, bytes, &error);
        snprintf(wanted, sizeof wanted,
                 "; train.micro_batch %lld with parallel.recompute %s needs %lld bytes (now 14 with none)",
                 (long long)ways[i].micro_batch, ways[i].mode, (long long)bytes);
        assert_advice(&error, wanted);
    }
    assert_true(named >= 3);
    close_device(device);
}

/* Of the ways that compile: two parts of a batch of 14 go with 7 sequences or one, and not with 2. */
static void where_nothing_fits_the_least_is_named_and_what_else_takes_less(void **state)
{
    static const char *const modes[] = {"none", "selective", "full"};
    static const int64_t sizes[] = {14, 7, 1};
    struct compile_request request = tiny_request();
    struct device *device;
    struct backend lying;
    struct error error = {0};
    char wanted[300];
    int64_t least = INT64_MAX;

    (void)state;
    request.generate = false;
    request.batch_parts = 2;
    request.global_batch = request.micro_batch = request.eval_batch = 14;
    device = open_device(&lying);
    for (int mode = RECOMPUTE_NONE; mode <= RECOMPUTE_FULL; mode++)
        for (int i = 0; i < 3; i++) {
            const int64_t bytes = bytes_of(device, request, sizes[i], (enum recompute)mode);

            if (bytes >= least)
                continue;
            least = bytes;
            snprintf(wanted, sizeof wanted,
                     "; even train.micro_batch %lld with parallel.recompute %s needs %lld bytes (now 14 with none); a "
                     "smaller data.seq_len (16) or model takes less",
                     (long long)sizes[i], modes[mode], (long long)bytes);
        }
    advise(device, &request, least - 1, &error);
    assert_advice(&error, wanted);
    close_device(device);
}

/* The cause is another one: threads, or the host's memory. */
static void a_step_that_fits_gets_no_advice(void **state)
{
    struct compile_request request = tiny_request();
    struct device *device;
    struct backend lying;
    struct error error = {0};
    int64_t bytes;

    (void)state;
    device = open_device(&lying);
    bytes = bytes_of(device, request, request.micro_batch, RECOMPUTE_NONE);
    advise(device, &request, bytes, &error);
    assert_string_equal(error.message, "no room");
    advise(device, &request, bytes - 1, &error);
    assert_non_null(strstr(error.message, "no room; the model has "));
    close_device(device);
}

static void an_evaluation_or_a_text_that_does_not_fit_is_told_what_takes_less(void **state)
{
    struct compile_request request = tiny_request();
    struct device *device;
    struct backend lying;
    struct error error = {0};

    (void)state;
    device = open_device(&lying);
    request.train = request.generate = false;
    request.eval_sequence = 8;
    request.eval_batch = 2;
    advise(device, &request, 1, &error);
    assert_advice(&error, "; a smaller data.seq_len (8), train.micro_batch (2) or model takes less");
    request.eval_batch = 1;
    advise(device, &request, 1, &error);
    assert_advice(&error, "; a smaller data.seq_len (8) or model takes less");
    request.eval_batch = 0;
    request.generate = true;
    advise(device, &request, 1, &error);
    assert_advice(&error, "; a smaller data.seq_len (16) or model takes less");
    close_device(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_largest_microbatch_that_fits_is_named_before_recomputation_is),
        cmocka_unit_test(where_nothing_fits_the_least_is_named_and_what_else_takes_less),
        cmocka_unit_test(a_step_that_fits_gets_no_advice),
        cmocka_unit_test(an_evaluation_or_a_text_that_does_not_fit_is_told_what_takes_less),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
