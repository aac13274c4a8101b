#include <string.h>

#include "support.h"

static struct llmrun_op_support ask(struct bench *bench, const struct llmrun_op *op)
{
    struct llmrun_op_support answer = {.size = sizeof(answer), .support = 99};

    assert_int_equal(bench->kernel->query(bench->host, op, &answer, &bench->error), LLMRUN_OK);
    return answer;
}

static void assert_no(struct bench *bench, const struct llmrun_op *op, const char *reason)
{
    struct llmrun_op_support answer = ask(bench, op);
    struct llmrun_kernel *kernel = NULL;

    assert_int_equal(answer.support, LLMRUN_SUPPORT_NO);
    if (strstr(answer.reason, reason) == NULL)
        fail_msg("the reason is '%s', without '%s'", answer.reason, reason);
    assert_int_equal(bench->kernel->prepare(bench->host, op, INT64_MAX, &kernel, &bench->error),
                     LLMRUN_ERROR_UNSUPPORTED);
    assert_string_equal(bench->error.message, answer.reason);
}

static void assert_refused(struct bench *bench, const struct llmrun_op *op, const char *message)
{
    struct llmrun_op_support answer = {.size = sizeof(answer)};

    assert_int_equal(bench->kernel->query(bench->host, op, &answer, &bench->error), LLMRUN_ERROR_ARGUMENT);
    if (strstr(bench->error.message, message) == NULL)
        fail_msg("the message is '%s', without '%s'", bench->error.message, message);
}

/* add over [3, 4] floats; tests then spoil a part of it. */
struct sum {
    struct llmrun_tensor operands[3];
    struct llmrun_op op;
};

static void sum_begin(struct sum *sum)
{
    int i;

    for (i = 0; i < 3; i++)
        sum->operands[i] = matrix_of(LLMRUN_F32, 3, 4);
    sum->op = op_of(LLMRUN_OP_ADD, LLMRUN_OP_ADD_VERSION, sum->operands, 3);
}

static void a_kernel_that_declines_gives_way_to_the_next(void **state)
{
    struct bench *bench = *state;
    struct llmrun_kernel *kernel = NULL;
    struct sum sum;

    sum_begin(&sum);
    assert_int_equal(ask(bench, &sum.op).support, LLMRUN_SUPPORT_NATIVE);
    assert_int_equal(bench->kernel->prepare(bench->host, &sum.op, 0, &kernel, &bench->error), LLMRUN_OK);
    assert_string_equal(bench->kernel->name(kernel), "add test");
    bench->kernel->destroy(kernel);
}

static void what_is_beyond_the_runtime_is_answered_with_a_reason(void **state)
{
    struct bench *bench = *state;
    struct llmrun_tensor one = vector_of(LLMRUN_F32, 8);
    struct llmrun_init_attributes attributes = {.distribution = LLMRUN_INIT_CONSTANT};
    struct llmrun_op init = op_of(LLMRUN_OP_INIT, LLMRUN_OP_INIT_VERSION, &one, 1);
    struct sum sum;

    sum_begin(&sum);
    sum.op.op = 4000;
    assert_no(bench, &sum.op, "op 4000 is unknown");
    sum_begin(&sum);
    sum.op.version = 2;
    assert_no(bench, &sum.op, "version 2");
    sum_begin(&sum);
    sum.op.flags = 1u << 31;
    assert_no(bench, &sum.op, "flags 0x80000000");
    sum_begin(&sum);
    sum.operands[1].stride[0] = 5;
    assert_no(bench, &sum.op, "operand b is not contiguous");
    sum_begin(&sum);
    sum.operands[2].dtype = LLMRUN_DTYPES;
    assert_no(bench, &sum.op, "element type 13");
    sum_begin(&sum);
    sum.operands[0].alignment = 2;
    assert_no(bench, &sum.op, "aligned to 2 bytes");
    sum_begin(&sum);
    sum.op = op_of(LLMRUN_OP_REDUCE_ROWS, LLMRUN_OP_REDUCE_ROWS_VERSION, sum.operands, 2);
    sum.operands[1] = vector_of(LLMRUN_F32, 4);
    assert_no(bench, &sum.op, "test has no kernel for reduce_rows");
    init.attributes = &attributes;
    init.attribute_bytes = sizeof(attributes);
    assert_no(bench, &init, "this kernel declines everything");
}

static void a_description_that_breaks_the_contract_is_an_argument_error(void **state)
{
    struct bench *bench = *state;
    struct sum sum;

    sum_begin(&sum);
    sum.op.size = 8;
    assert_refused(bench, &sum.op, "too short");
    sum_begin(&sum);
    sum.op.operand_count = 2;
    assert_refused(bench, &sum.op, "3 operands");
    sum_begin(&sum);
    sum.op.attribute_bytes = 4;
    assert_refused(bench, &sum.op, "0 bytes of attributes");
    sum_begin(&sum);
    sum.operands[1] = (struct llmrun_tensor){.dtype = LLMRUN_NONE};
    assert_refused(bench, &sum.op, "operand b is absent");
    sum_begin(&sum);
    sum.operands[2] = matrix_of(LLMRUN_F32, 3, 5);
    assert_refused(bench, &sum.op, "operand y has 5 elements in dimension 1 and must have 4");
    sum_begin(&sum);
    sum.operands[2] = vector_of(LLMRUN_F32, 12);
    assert_refused(bench, &sum.op, "operand y has rank 1");
    sum_begin(&sum);
    sum.operands[0].shape[0] = -3;
    assert_refused(bench, &sum.op, "operand a has -3 elements");
    sum_begin(&sum);
    sum.operands[0].rank = 6;
    assert_refused(bench, &sum.op, "rank 6");
    sum_begin(&sum);
    sum.op.accumulate = 1;
    assert_refused(bench, &sum.op, "only into outputs");
    sum_begin(&sum);
    sum.op.accumulate = 1u << 3;
    assert_refused(bench, &sum.op, "only into outputs");
}

static void a_dimension_of_one_may_have_any_stride(void **state)
{
    struct bench *bench = *state;
    struct sum sum;
    int i;

    sum_begin(&sum);
    for (i = 0; i < 3; i++)
        sum.operands[i] = matrix_of(LLMRUN_F32, 1, 4);
    sum.operands[0].stride[0] = 1000;
    assert_int_equal(ask(bench, &sum.op).support, LLMRUN_SUPPORT_NATIVE);
}

static void workspace_is_answered_and_a_limit_below_it_is_kept(void **state)
{
    struct bench *bench = *state;
    struct llmrun_stream *stream = stream_of(bench);
    struct llmrun_kernel *kernel = NULL;
    float memory[12] = {0};
    uint64_t address = (uint64_t)(uintptr_t)memory;
    uint64_t addresses[3] = {address, address, address};
    struct sum sum;

    sum_begin(&sum);
    sum.op = op_of(LLMRUN_OP_GELU_GRAD, LLMRUN_OP_GELU_GRAD_VERSION, sum.operands, 3);
    assert_int_equal(ask(bench, &sum.op).workspace_bytes, 4096);
    assert_int_equal(bench->kernel->prepare(bench->host, &sum.op, 4095, &kernel, &bench->error),
                     LLMRUN_ERROR_UNSUPPORTED);
    assert_non_null(strstr(bench->error.message, "4096"));
    assert_int_equal(bench->kernel->prepare(bench->host, &sum.op, 4096, &kernel, &bench->error), LLMRUN_OK);
    assert_int_equal(bench->kernel->launch(stream, kernel, addresses, 3, 0, &bench->error), LLMRUN_ERROR_ARGUMENT);
    bench->device->stream_destroy(stream);
    bench->kernel->destroy(kernel);
    bench->kernel->destroy(NULL);
}

static void a_prepared_kernel_keeps_its_own_copy_of_the_description(void **state)
{
    struct bench *bench = *state;
    struct llmrun_stream *stream = stream_of(bench);
    struct llmrun_kernel *kernel = NULL;
    float a[12], y[12] = {0};
    uint64_t addresses[3] = {(uint64_t)(uintptr_t)a, (uint64_t)(uintptr_t)a, (uint64_t)(uintptr_t)y};
    struct sum sum;
    int i;

    for (i = 0; i < 12; i++)
        a[i] = (float)i;
    sum_begin(&sum);
    assert_int_equal(bench->kernel->prepare(bench->host, &sum.op, 0, &kernel, &bench->error), LLMRUN_OK);
    memset(&sum, 0xff, sizeof(sum));
    assert_int_equal(bench->kernel->launch(stream, kernel, addresses, 3, 0, &bench->error), LLMRUN_OK);
    memset(addresses, 0xff, sizeof(addresses));
    assert_int_equal(bench->device->synchronize(bench->host, &bench->error), LLMRUN_OK);
    for (i = 0; i < 12; i++)
        assert_true(y[i] == 2 * (float)i);
    bench->kernel->destroy(kernel);
    bench->device->stream_destroy(stream);
}

static void a_launch_with_other_addresses_than_prepared_is_refused(void **state)
{
    struct bench *bench = *state;
    struct llmrun_stream *stream = stream_of(bench);
    struct llmrun_kernel *add = prepare_add(bench, 1);
    uint64_t addresses[3] = {64, 64, 0};

    assert_int_equal(bench->kernel->launch(stream, add, addresses, 2, 0, &bench->error), LLMRUN_ERROR_ARGUMENT);
    assert_int_equal(bench->kernel->launch(stream, add, addresses, 3, 0, &bench->error), LLMRUN_ERROR_ARGUMENT);
    assert_non_null(strstr(bench->error.message, "operand 2"));
    bench->kernel->destroy(add);
    bench->device->stream_destroy(stream);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, bench_open, bench_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_kernel_that_declines_gives_way_to_the_next),
        CASE(what_is_beyond_the_runtime_is_answered_with_a_reason),
        CASE(a_description_that_breaks_the_contract_is_an_argument_error),
        CASE(a_dimension_of_one_may_have_any_stride),
        CASE(workspace_is_answered_and_a_limit_below_it_is_kept),
        CASE(a_prepared_kernel_keeps_its_own_copy_of_the_description),
        CASE(a_launch_with_other_addresses_than_prepared_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
