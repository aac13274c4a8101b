#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "support.h"

#define ELEMENTS 16
#define BYTES    ((int64_t)(ELEMENTS * sizeof(float)))

static struct sum sum;
static struct bench bench;

static int set_up(void **state)
{
    (void)state;
    sum_describe(&sum, "sum");
    bench_create(&bench, open_device("fakegraph", 0, NULL, NULL), BYTES);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    bench_destroy(&bench);
    return 0;
}

static void assert_not_built(const char *reason)
{
    struct device_program program;
    struct error error = {0};

    assert_int_equal(device_program_create(bench.device, &sum.desc, &program, &error), STATUS_BACKEND);
    if (strstr(error.message, reason) == NULL)
        fail_msg("the reason is \"%s\", not \"%s\"", error.message, reason);
}

static void it_has_programs_and_no_kernels(void **state)
{
    struct llmrun_tensor tensors[3];
    const struct llmrun_op op = add_op(tensors, 4, 4);
    struct device_kernel kernel;
    struct llmrun_op_support answer;
    struct error error;

    (void)state;
    assert_false(bench.device->backend->has_kernel);
    assert_true(bench.device->backend->has_program);
    assert_string_equal(bench.device->info.architecture, "fakegraph");
    assert_int_equal(device_kernel_create(bench.device, &op, 0, &kernel, &error), STATUS_BACKEND);
    assert_string_equal(error.message, "fakegraph: it runs programs, not single ops");
    assert_ok(capability_query(bench.device, &op, &answer, &error));
    assert_int_equal(answer.support, LLMRUN_SUPPORT_NATIVE);
}

/* Builds the sum and runs it on two orders of its buffers; returns what was built. */
static const struct llmrun_program *run_sum(const struct llmrun_program_desc *desc)
{
    const struct llmrun_program *built;
    struct device_program program;
    struct buffer workspace;
    struct error error;
    bool ready;

    assert_ok(device_program_create(bench.device, desc, &program, &error));
    built = program.handle;
    assert_true(program.workspace_bytes >= BYTES);
    assert_ok(buffer_create(bench.device, LLMRUN_MEMORY_DEVICE, program.workspace_bytes, &workspace, &error));
    for (int run = 0; run < 2; run++) { /* the second time with a and b exchanged */
        const uint64_t addresses[] = {run == 0 ? bench.a.address : bench.b.address,
                                      run == 0 ? bench.b.address : bench.a.address, bench.y.address, 0};

        for (int i = 0; i < ELEMENTS; i++) {
            ((float *)bench.host_a.memory)[i] = (float)i;
            ((float *)bench.host_b.memory)[i] = 100;
        }
        assert_ok(stream_upload(&bench.stream, &bench.a, 0, &bench.host_a, 0, BYTES, &error));
        assert_ok(stream_upload(&bench.stream, &bench.b, 0, &bench.host_b, 0, BYTES, &error));
        assert_ok(stream_launch_program(&bench.stream, &program, addresses, 4, workspace.address, &error));
        assert_ok(stream_download(&bench.stream, &bench.host_y, 0, &bench.y, 0, BYTES, &error));
        assert_ok(stream_record(&bench.stream, &bench.event, &error));
        assert_ok(event_wait(&bench.event, -1, &ready, &error));
        for (int i = 0; i < ELEMENTS; i++)
            assert_float_equal(((float *)bench.host_y.memory)[i], run == 0 ? 2 * i + 100 : i + 200, 0);
    }
    device_program_destroy(&program);
    buffer_destroy(&workspace);
    return built;
}

static void a_list_of_ops_is_built_and_run_on_the_addresses_of_a_launch(void **state)
{
    (void)state;
    run_sum(&sum.desc);
}

static void ops_and_values_may_be_longer_than_the_plugin_knows(void **state)
{
    struct {
        struct llmrun_tensor known;
        int64_t later[3];
    } values[4];
    struct {
        struct llmrun_program_op known;
        int64_t later[2];
    } ops[2];
    struct llmrun_program_desc desc = sum.desc;

    (void)state;
    memset(values, 0xa5, sizeof values);
    memset(ops, 0xa5, sizeof ops);
    for (int i = 0; i < 4; i++)
        values[i].known = sum.values[i];
    for (int i = 0; i < 2; i++)
        ops[i].known = sum.ops[i];
    desc.values = &values[0].known;
    desc.value_stride = sizeof values[0];
    desc.ops = &ops[0].known;
    desc.op_stride = sizeof ops[0];
    assert_ptr_equal(run_sum(&desc), run_sum(&sum.desc)); /* equal descriptions, wherever they lie */
}

static void an_internal_value_that_nothing_wrote_is_found_when_building(void **state)
{
    (void)state;
    memcpy(sum.operands, (const int32_t[2][3]){{3, 0, 2}, {0, 1, 3}}, sizeof sum.operands);
    assert_not_built("sum: op 0 of the list, add, reads the internal value 3, which nothing has written");
    memcpy(sum.operands, (const int32_t[2][3]){{0, 1, 3}, {3, 0, 2}}, sizeof sum.operands);
    sum.ops[0].accumulate = 1u << LLMRUN_ADD_Y;
    assert_not_built("reads the internal value 3, which nothing has written");
}

static void what_cannot_be_compiled_is_found_when_building(void **state)
{
    (void)state;
    sum.values[1].dtype = LLMRUN_F64;
    assert_not_built("add: operand b has the element type f64 and must have f32, the compute type");
    for (int i = 0; i < 4; i++)
        sum.values[i].dtype = LLMRUN_F64;
    assert_not_built("sum: op 0 of the list");
    sum_describe(&sum, "sum");
    sum.ops[1].op = 9999;
    assert_not_built("sum: op 1 of the list has the unknown id 9999");
    sum.ops[1].op = LLMRUN_OP_ADD;
    sum.operands[1][0] = 4;
    assert_not_built("has value 4 as operand 0; there are 4");
    sum.operands[1][0] = 3;
    sum.kinds[2] = 77;
    assert_not_built("value 2 is of the unknown kind 77");
}

static void a_bound_value_needs_an_address_in_every_launch(void **state)
{
    uint64_t addresses[] = {bench.a.address, 0, bench.y.address, 0};
    struct device_program program;
    struct buffer workspace;
    struct error error;

    (void)state;
    assert_ok(device_program_create(bench.device, &sum.desc, &program, &error));
    assert_ok(buffer_create(bench.device, LLMRUN_MEMORY_DEVICE, program.workspace_bytes, &workspace, &error));
    assert_int_equal(stream_launch_program(&bench.stream, &program, addresses, 4, workspace.address, &error),
                     STATUS_BACKEND);
    assert_string_equal(error.message, "fakegraph: value 1 is bound, and came without an address");
    addresses[1] = bench.b.address;
    assert_int_equal(stream_launch_program(&bench.stream, &program, addresses, 4, 0, &error), STATUS_BACKEND);
    assert_int_equal(stream_launch_program(&bench.stream, &program, addresses, 3, workspace.address, &error),
                     STATUS_BACKEND);
    device_program_destroy(&program);
    buffer_destroy(&workspace);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(it_has_programs_and_no_kernels),
        CASE(a_list_of_ops_is_built_and_run_on_the_addresses_of_a_launch),
        CASE(ops_and_values_may_be_longer_than_the_plugin_knows),
        CASE(an_internal_value_that_nothing_wrote_is_found_when_building),
        CASE(what_cannot_be_compiled_is_found_when_building),
        CASE(a_bound_value_needs_an_address_in_every_launch),
    };

    return cmocka_run_group_tests_name("fakegraph", tests, NULL, NULL);
}
