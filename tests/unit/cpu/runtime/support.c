#include "support.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Atomic int gate;
static _Atomic int inside;
static _Atomic int most_inside;

void gate_open(void)
{
    atomic_store(&gate, 1);
}

int most_at_once(void)
{
    return atomic_load(&most_inside);
}

static int accept(const struct llmrun_op *op, int threads, int64_t *workspace_bytes, char *reason, size_t reason_bytes)
{
    (void)op, (void)threads, (void)workspace_bytes, (void)reason, (void)reason_bytes;
    return 1;
}

static int decline(const struct llmrun_op *op, int threads, int64_t *workspace_bytes, char *reason, size_t reason_bytes)
{
    (void)op, (void)threads, (void)workspace_bytes;
    strncpy(reason, "this kernel declines everything", reason_bytes - 1);
    return 0;
}

static int accept_with_workspace(const struct llmrun_op *op, int threads, int64_t *workspace_bytes, char *reason,
                                 size_t reason_bytes)
{
    (void)op, (void)threads, (void)reason, (void)reason_bytes;
    *workspace_bytes = 4096;
    return 1;
}

static void add_row(void *context, int64_t row, int thread)
{
    const struct kernel_call *call = context;
    int64_t columns = call->op->operands[0].shape[1];
    const float *a = (const float *)call->operands[0] + row * columns;
    const float *b = (const float *)call->operands[1] + row * columns;
    float *y = (float *)call->operands[2] + row * columns;
    int64_t i;

    (void)thread;
    for (i = 0; i < columns; i++)
        y[i] = a[i] + b[i];
}

static void run_add(const struct kernel_call *call)
{
    pool_run(call->pool, call->op->operands[0].shape[0], add_row, (void *)(uintptr_t)call);
}

static void run_gate(const struct kernel_call *call)
{
    (void)call;
    while (!atomic_load(&gate))
        usleep(100);
}

static void run_failing(const struct kernel_call *call)
{
    call->error->code = LLMRUN_ERROR_DEVICE;
    strcpy(call->error->message, "the test kernel fails");
}

static void crowd_task(void *context, int64_t task, int thread)
{
    (void)context, (void)task, (void)thread;
    usleep(200);
}

static void run_crowd(const struct kernel_call *call)
{
    int now = atomic_fetch_add(&inside, 1) + 1;

    if (now > atomic_load(&most_inside))
        atomic_store(&most_inside, now);
    pool_run(call->pool, 4, crowd_task, NULL);
    atomic_fetch_sub(&inside, 1);
}

static const struct kernel add_kernel = {"add test", accept, run_add};
static const struct kernel gate_kernel = {"gate", accept, run_gate};
static const struct kernel failing_kernel = {"failing", accept, run_failing};
static const struct kernel crowd_kernel = {"crowd", accept, run_crowd};
static const struct kernel declining_kernel = {"declining", decline, run_add};
static const struct kernel hungry_kernel = {"hungry", accept_with_workspace, run_add};

static const struct kernel *const lists[LLMRUN_OPS][3] = {
    [LLMRUN_OP_ADD] = {&declining_kernel, &add_kernel, NULL},
    [LLMRUN_OP_GELU] = {&gate_kernel, NULL},
    [LLMRUN_OP_CAST] = {&failing_kernel, NULL},
    [LLMRUN_OP_DROPOUT] = {&crowd_kernel, NULL},
    [LLMRUN_OP_INIT] = {&declining_kernel, NULL},
    [LLMRUN_OP_GELU_GRAD] = {&hungry_kernel, NULL},
};

static const struct kernel *const *candidates(uint16_t op, int isa, uint32_t flags)
{
    (void)isa, (void)flags;
    return lists[op];
}

const struct kernel_set test_kernels = {"test", "1.0", 0, 1, candidates};

int bench_open(void **state)
{
    static const struct llmrun_host host = {
        .size = sizeof(host), .abi_major = LLMRUN_ABI_MAJOR, .abi_minor = LLMRUN_ABI_MINOR};
    static const struct llmrun_option threads = {"threads", "3"};
    static const struct llmrun_options options = {
        .size = sizeof(options), .count = 1, .items = &threads, .stride = sizeof(threads)};
    struct bench *bench = calloc(1, sizeof(*bench));

    atomic_store(&gate, 0);
    atomic_store(&most_inside, 0);
    bench->backend = cpu_runtime_backend(&test_kernels, &host, &bench->error);
    assert_non_null(bench->backend);
    bench->device = bench->backend->device;
    bench->kernel = bench->backend->kernel;
    assert_int_equal(bench->device->open(0, &options, &bench->host, &bench->error), LLMRUN_OK);
    *state = bench;
    return 0;
}

int bench_close(void **state)
{
    struct bench *bench = *state;

    bench->device->close(bench->host);
    free(bench);
    return 0;
}

struct llmrun_tensor matrix_of(uint32_t dtype, int64_t rows, int64_t columns)
{
    return (struct llmrun_tensor){
        .dtype = dtype, .rank = 2, .shape = {rows, columns}, .stride = {columns, 1}, .alignment = 64};
}

struct llmrun_tensor vector_of(uint32_t dtype, int64_t n)
{
    return (struct llmrun_tensor){.dtype = dtype, .rank = 1, .shape = {n}, .stride = {1}, .alignment = 64};
}

struct llmrun_op op_of(uint16_t op, uint16_t version, const struct llmrun_tensor *operands, uint32_t count)
{
    return (struct llmrun_op){.size = sizeof(struct llmrun_op),
                              .op = op,
                              .version = version,
                              .operand_count = count,
                              .operands = operands,
                              .operand_stride = sizeof(*operands)};
}

static struct llmrun_kernel *prepare(struct bench *bench, const struct llmrun_op *op)
{
    struct llmrun_kernel *kernel = NULL;

    assert_int_equal(bench->kernel->prepare(bench->host, op, 0, &kernel, &bench->error), LLMRUN_OK);
    return kernel;
}

struct llmrun_kernel *prepare_add(struct bench *bench, int64_t n)
{
    struct llmrun_tensor operands[3] = {matrix_of(LLMRUN_F32, n, 4), matrix_of(LLMRUN_F32, n, 4),
                                        matrix_of(LLMRUN_F32, n, 4)};
    struct llmrun_op op = op_of(LLMRUN_OP_ADD, LLMRUN_OP_ADD_VERSION, operands, 3);

    return prepare(bench, &op);
}

struct llmrun_kernel *prepare_gate(struct bench *bench)
{
    struct llmrun_tensor operands[2] = {matrix_of(LLMRUN_F32, 1, 4), matrix_of(LLMRUN_F32, 1, 4)};
    struct llmrun_op op = op_of(LLMRUN_OP_GELU, LLMRUN_OP_GELU_VERSION, operands, 2);

    return prepare(bench, &op);
}

struct llmrun_kernel *prepare_failing(struct bench *bench)
{
    struct llmrun_tensor operands[2] = {vector_of(LLMRUN_F32, 4), vector_of(LLMRUN_F32, 4)};
    struct llmrun_op op = op_of(LLMRUN_OP_CAST, LLMRUN_OP_CAST_VERSION, operands, 2);

    return prepare(bench, &op);
}

struct llmrun_kernel *prepare_crowd(struct bench *bench)
{
    struct llmrun_tensor operands[3] = {matrix_of(LLMRUN_F32, 1, 4), vector_of(LLMRUN_U32, 5),
                                        matrix_of(LLMRUN_F32, 1, 4)};
    struct llmrun_dropout_attributes attributes = {.seq_len = 1};
    struct llmrun_op op = op_of(LLMRUN_OP_DROPOUT, LLMRUN_OP_DROPOUT_VERSION, operands, 3);

    op.attributes = &attributes;
    op.attribute_bytes = sizeof(attributes);
    return prepare(bench, &op);
}

void launch_pair(struct bench *bench, struct llmrun_stream *stream, struct llmrun_kernel *kernel, float *memory)
{
    uint64_t address = (uint64_t)(uintptr_t)memory;
    uint64_t addresses[3] = {address, address, address};
    uint32_t count = strcmp(bench->kernel->name(kernel), "crowd") == 0 ? 3 : 2;

    assert_int_equal(bench->kernel->launch(stream, kernel, addresses, count, 0, &bench->error), LLMRUN_OK);
}

struct llmrun_stream *stream_of(struct bench *bench)
{
    struct llmrun_stream *stream = NULL;

    assert_int_equal(bench->device->stream_create(bench->host, LLMRUN_STREAM_COMPUTE, &stream, &bench->error),
                     LLMRUN_OK);
    return stream;
}

struct llmrun_event *event_of(struct bench *bench)
{
    struct llmrun_event *event = NULL;

    assert_int_equal(bench->device->event_create(bench->host, &event, &bench->error), LLMRUN_OK);
    return event;
}
