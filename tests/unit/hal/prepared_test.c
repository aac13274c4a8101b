/* Equal ops are prepared once a device, equal programs are built once. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "support.h"

#define SAME    12
#define THREADS 4

static const struct backend *real;
static struct backend counted;
static int prepares, destroys, builds; /* the cache's lock is held in each of these */
static struct device *device;
static struct error error;

static int32_t prepare(struct llmrun_device *on, const struct llmrun_op *op, int64_t max_workspace,
                       struct llmrun_kernel **kernel, struct llmrun_error *reason)
{
    prepares++;
    return real->kernel.prepare(on, op, max_workspace, kernel, reason);
}

static void destroy_kernel(struct llmrun_kernel *kernel)
{
    destroys++;
    real->kernel.destroy(kernel);
}

static int32_t build(struct llmrun_device *on, const struct llmrun_program_desc *desc, struct llmrun_program **program,
                     struct llmrun_error *reason)
{
    builds++;
    return real->program.build(on, desc, program, reason);
}

static void destroy_program(struct llmrun_program *program)
{
    destroys++;
    real->program.destroy(program);
}

static void open_counted(const char *name)
{
    device = open_device(name, 0, NULL, NULL);
    real = device->backend;
    counted = *real;
    counted.kernel.prepare = prepare;
    counted.kernel.destroy = destroy_kernel;
    counted.program.build = build;
    counted.program.destroy = destroy_program;
    device->backend = &counted;
    prepares = destroys = builds = 0;
}

static void equal_ops_are_prepared_once_and_destroyed_with_the_last(void **state)
{
    struct device_kernel kernels[SAME], again;

    (void)state;
    open_counted("counting");
    for (int i = 0; i < SAME; i++) {
        struct llmrun_tensor operands[LLMRUN_ADD_OPERANDS]; /* of this turn */
        const struct llmrun_op op = add_op(operands, 4, 4);

        assert_ok(device_kernel_create(device, &op, 0, &kernels[i], &error));
        assert_ptr_equal(kernels[i].handle, kernels[0].handle);
    }
    assert_int_equal(prepares, 1);
    for (int i = 0; i < SAME; i++) {
        assert_int_equal(destroys, 0);
        device_kernel_destroy(&kernels[i]);
    }
    assert_int_equal(destroys, 1);
    for (int i = 1; i <= 2; i++) {
        struct llmrun_tensor operands[LLMRUN_ADD_OPERANDS];
        const struct llmrun_op op = add_op(operands, 4, 4);

        assert_ok(device_kernel_create(device, &op, 0, &again, &error));
        device_kernel_destroy(&again);
        assert_int_equal(prepares, 1 + i); /* nobody used it any more */
        assert_int_equal(destroys, 1 + i);
    }
    device_close(device);
}

/* As matmuls of a model: what one of them has otherwise makes another kernel. */
static void ops_that_differ_in_anything_are_prepared_each(void **state)
{
    struct llmrun_matmul_attributes attributes = {.activation = LLMRUN_ACTIVATION_NONE, .feature_parts = 1};
    struct llmrun_tensor operands[LLMRUN_MATMUL_OPERANDS] = {
        [LLMRUN_MATMUL_X] = matrix(4, 4), [LLMRUN_MATMUL_W] = matrix(4, 4), [LLMRUN_MATMUL_Y] = matrix(4, 4)};
    struct llmrun_op op = {.size = sizeof op,
                           .op = LLMRUN_OP_MATMUL,
                           .version = LLMRUN_OP_MATMUL_VERSION,
                           .flags = LLMRUN_OP_EXACT,
                           .attribute_bytes = sizeof attributes,
                           .operand_count = LLMRUN_MATMUL_OPERANDS,
                           .attributes = &attributes,
                           .operands = operands,
                           .operand_stride = sizeof operands[0]};
    struct device_kernel kernels[5];

    (void)state;
    open_counted("counting");
    assert_ok(device_kernel_create(device, &op, 1 << 20, &kernels[0], &error));
    assert_ok(device_kernel_create(device, &op, 1 << 21, &kernels[1], &error));
    attributes.activation = LLMRUN_ACTIVATION_GELU;
    operands[LLMRUN_MATMUL_Y + 1] = matrix(4, 4);
    assert_ok(device_kernel_create(device, &op, 1 << 20, &kernels[2], &error));
    op.flags |= LLMRUN_OP_DETERMINISTIC;
    assert_ok(device_kernel_create(device, &op, 1 << 20, &kernels[3], &error));
    operands[LLMRUN_MATMUL_X].alignment = 64;
    assert_ok(device_kernel_create(device, &op, 1 << 20, &kernels[4], &error));
    assert_int_equal(prepares, 5);
    for (int i = 0; i < 5; i++)
        device_kernel_destroy(&kernels[i]);
    assert_int_equal(destroys, 5);
    device_close(device);
}

static void an_op_that_could_not_be_prepared_is_tried_again(void **state)
{
    struct llmrun_tensor operands[LLMRUN_ADD_OPERANDS];
    const struct llmrun_op op = add_op(operands, 4, 4);
    struct device_kernel kernel;

    (void)state;
    device = open_device("faulty", 0, "faults", "prepare=1");
    assert_int_equal(device_kernel_create(device, &op, 0, &kernel, &error), STATUS_BACKEND);
    assert_null(kernel.device);
    assert_ok(device_kernel_create(device, &op, 0, &kernel, &error));
    device_kernel_destroy(&kernel);
    device_close(device);
}

static void a_kernel_of_a_lost_device_is_not_destroyed(void **state)
{
    struct llmrun_tensor operands[LLMRUN_ADD_OPERANDS];
    const struct llmrun_op op = add_op(operands, 4, 4);
    struct device_kernel kernel, copy;

    (void)state;
    open_counted("counting");
    assert_ok(device_kernel_create(device, &op, 0, &kernel, &error));
    copy = kernel;
    device->lost = true;
    device_kernel_destroy(&kernel);
    assert_int_equal(destroys, 0);
    device->lost = false;
    device_kernel_destroy(&copy);
    assert_int_equal(destroys, 1);
    device_close(device);
}

static void *create_and_destroy(void *context)
{
    struct llmrun_tensor operands[LLMRUN_ADD_OPERANDS];
    struct llmrun_op op = add_op(operands, 4, 4);
    struct device_kernel kernel;
    struct error why;

    (void)context;
    for (int i = 0; i < 200; i++) {
        operands[0].alignment = 4 << (i % 3);
        if (device_kernel_create(device, &op, 0, &kernel, &why) != STATUS_OK)
            return &counted;
        device_kernel_destroy(&kernel);
    }
    return NULL;
}

static void kernels_come_and_go_in_several_threads(void **state)
{
    pthread_t threads[THREADS];

    (void)state;
    open_counted("counting");
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, create_and_destroy, NULL), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failed;

        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_in_range(prepares, 3, THREADS * 200);
    assert_int_equal(destroys, prepares);
    device_close(device);
}

static void build_once(const struct sum *sum, int builds_after)
{
    struct device_program program;

    assert_ok(device_program_create(device, &sum->desc, &program, &error));
    assert_int_equal(builds, builds_after);
    assert_int_equal(program.workspace_bytes, sum->kinds[3] == LLMRUN_VALUE_INTERNAL ? 64 : 0);
    device_program_destroy(&program);
    assert_int_equal(destroys, 0);
}

static void equal_programs_are_built_once_until_the_device_is_closed(void **state)
{
    struct sum sum, other;

    (void)state;
    open_counted("fakegraph");
    sum_describe(&sum, "forward");
    build_once(&sum, 1);
    build_once(&sum, 1);
    sum_describe(&other, "evaluation");
    build_once(&other, 1);
    other.values[1].alignment = 64;
    build_once(&other, 2);
    other.ops[1].flags = LLMRUN_OP_EXACT;
    build_once(&other, 3);
    other.operands[1][1] = 1;
    build_once(&other, 4);
    other.kinds[3] = LLMRUN_VALUE_BOUND;
    build_once(&other, 5);
    other.desc.op_count = 1;
    build_once(&other, 6);
    build_once(&sum, 6);
    device_close(device);
    assert_int_equal(destroys, 6);
}

static void a_program_that_could_not_be_built_is_tried_again(void **state)
{
    struct device_program program;
    struct sum sum;

    (void)state;
    open_counted("fakegraph");
    sum_describe(&sum, "forward");
    sum.kinds[3] = 9;
    for (int i = 1; i <= 2; i++) {
        assert_int_equal(device_program_create(device, &sum.desc, &program, &error), STATUS_BACKEND);
        assert_string_equal(error.message, "fakegraph: forward: value 3 is of the unknown kind 9");
        assert_null(program.device);
        assert_int_equal(builds, i);
    }
    device_close(device);
    assert_int_equal(destroys, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_ops_are_prepared_once_and_destroyed_with_the_last),
        cmocka_unit_test(ops_that_differ_in_anything_are_prepared_each),
        cmocka_unit_test(an_op_that_could_not_be_prepared_is_tried_again),
        cmocka_unit_test(a_kernel_of_a_lost_device_is_not_destroyed),
        cmocka_unit_test(kernels_come_and_go_in_several_threads),
        cmocka_unit_test(equal_programs_are_built_once_until_the_device_is_closed),
        cmocka_unit_test(a_program_that_could_not_be_built_is_tried_again),
    };

    return cmocka_run_group_tests_name("prepared", tests, NULL, NULL);
}
