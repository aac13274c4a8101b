#include "bench/product.h"

#include <string.h>

#include <llmrun/ops.h>

#define STAGING_BYTES ((int64_t)8 << 20)
#define ALIGNMENT     64

enum { LEFT, RIGHT, RESULT };

const char *product_kind_name(enum product_kind kind)
{
    static const char *const names[] = {"forward", "dX", "dW"};

    return names[kind];
}

double product_flops(const struct product *product)
{
    return 2.0 * (double)product->rows * (double)product->outputs * (double)product->inputs;
}

/* splitmix64 (Steele, Lea, Flood 2014), as a hash. */
static uint64_t hash(uint64_t x)
{
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

struct product_choice product_choose(const struct product *product, uint32_t seed)
{
    int64_t rows = product->kind == PRODUCT_WEIGHT_GRAD ? product->outputs : product->rows;
    int64_t columns = product->kind == PRODUCT_FORWARD ? product->outputs : product->inputs;
    struct product_choice choice;

    for (uint64_t i = 0; i < PRODUCT_SAMPLES; i++) {
        choice.rows[i] = (int64_t)(hash((uint64_t)seed << 32 | i) % (uint64_t)rows);
        choice.columns[i] = (int64_t)(hash((uint64_t)seed << 32 | 1u << 16 | i) % (uint64_t)columns);
    }
    return choice;
}

static void set_extents(struct product_run *run)
{
    const struct product *p = &run->product;
    const int64_t of_kind[PRODUCT_KINDS][3][2] = {
        {{p->rows, p->inputs}, {p->outputs, p->inputs}, {p->rows, p->outputs}},
        {{p->rows, p->outputs}, {p->outputs, p->inputs}, {p->rows, p->inputs}},
        {{p->rows, p->outputs}, {p->rows, p->inputs}, {p->outputs, p->inputs}},
    };

    memcpy(run->extents, of_kind[p->kind], sizeof run->extents);
    run->dtypes[LEFT] = run->dtypes[RIGHT] = p->dtype;
    run->dtypes[RESULT] = p->kind == PRODUCT_WEIGHT_GRAD ? LLMRUN_F32 : p->dtype;
}

static int64_t element_bytes(const struct product_run *run, int operand)
{
    return run->dtypes[operand] == LLMRUN_BF16 ? 2 : 4;
}

/* Which rows and columns of the whole operand a cut-down one has; NULL: all. */
struct cut {
    const int64_t *rows, *columns;
    int64_t whole_columns;
};

static struct cut cut_operand(const struct product_run *run, const struct product_choice *choice, int operand)
{
    struct cut cut = {.whole_columns = run->extents[operand][1]};
    bool left = operand == LEFT;

    if (choice == NULL)
        return cut;
    switch (run->product.kind) {
    case PRODUCT_FORWARD:
        cut.rows = left ? choice->rows : choice->columns;
        break;
    case PRODUCT_INPUT_GRAD:
        cut.rows = left ? choice->rows : NULL;
        cut.columns = left ? NULL : choice->columns;
        break;
    default:
        cut.columns = left ? choice->rows : choice->columns;
        break;
    }
    return cut;
}

/* Between -1 and 1: whole multiples of 2^-23, or of 2^-7 where bf16 is to hold them. */
static void write_element(const struct product_run *run, int operand, int64_t index, char *to)
{
    uint64_t random = hash((uint64_t)operand << 60 | (uint64_t)index);
    bool bf16 = run->dtypes[operand] == LLMRUN_BF16;
    float value =
        bf16 ? (float)((int)(random >> 56) - 128) * 0x1p-7f : (float)((int)(random >> 40) - (1 << 23)) * 0x1p-23f;
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    if (bf16) {
        uint16_t high = (uint16_t)(bits >> 16);

        memcpy(to, &high, sizeof high);
    } else {
        memcpy(to, &bits, sizeof bits);
    }
}

static int settle(struct product_run *run, struct error *error)
{
    int status = stream_record(&run->stream, &run->end, error);

    return status == STATUS_OK
               ? event_finish(&run->end, run->end.device->timeout_ns, &(struct awaited){.what = "a product"}, error)
               : status;
}

static int make_operand(struct product_run *run, const struct cut *cut, int operand, struct error *error)
{
    const int64_t columns = run->extents[operand][1], elements = run->extents[operand][0] * columns;
    const int64_t bytes = element_bytes(run, operand), most = STAGING_BYTES / bytes;
    int status = STATUS_OK;

    for (int64_t first = 0; status == STATUS_OK && first < elements; first += most) {
        int64_t count = elements - first < most ? elements - first : most;

        for (int64_t i = 0; i < count; i++) {
            int64_t row = (first + i) / columns, column = (first + i) % columns;

            row = cut->rows != NULL ? cut->rows[row] : row;
            column = cut->columns != NULL ? cut->columns[column] : column;
            write_element(run, operand, row * cut->whole_columns + column, (char *)run->staging.memory + i * bytes);
        }
        status =
            stream_upload(&run->stream, &run->operands[operand], first * bytes, &run->staging, 0, count * bytes, error);
        if (status == STATUS_OK)
            status = settle(run, error);
    }
    return status;
}

static struct llmrun_tensor tensor_of(const struct product_run *run, int operand)
{
    return (struct llmrun_tensor){.dtype = run->dtypes[operand],
                                  .rank = 2,
                                  .shape = {run->extents[operand][0], run->extents[operand][1]},
                                  .stride = {run->extents[operand][1], 1},
                                  .alignment = ALIGNMENT};
}

/* Where the three operands stand among those of the op. */
static const struct {
    uint16_t op, version;
    uint32_t operand_count, at[3];
} forms[PRODUCT_KINDS] = {
    {LLMRUN_OP_MATMUL,
     LLMRUN_OP_MATMUL_VERSION,
     LLMRUN_MATMUL_OPERANDS,
     {LLMRUN_MATMUL_X, LLMRUN_MATMUL_W, LLMRUN_MATMUL_Y}},
    {LLMRUN_OP_MATMUL_INPUT_GRAD,
     LLMRUN_OP_MATMUL_INPUT_GRAD_VERSION,
     LLMRUN_MATMUL_INPUT_GRAD_OPERANDS,
     {LLMRUN_MATMUL_INPUT_GRAD_DY0, LLMRUN_MATMUL_INPUT_GRAD_W0, LLMRUN_MATMUL_INPUT_GRAD_DX}},
    {LLMRUN_OP_MATMUL_WEIGHT_GRAD,
     LLMRUN_OP_MATMUL_WEIGHT_GRAD_VERSION,
     LLMRUN_MATMUL_WEIGHT_GRAD_OPERANDS,
     {LLMRUN_MATMUL_WEIGHT_GRAD_DY, LLMRUN_MATMUL_WEIGHT_GRAD_X, LLMRUN_MATMUL_WEIGHT_GRAD_DW}},
};

static int prepare(struct product_run *run, enum product_order order, struct error *error)
{
    static const struct llmrun_matmul_attributes forward = {.feature_parts = 1};
    static const struct llmrun_matmul_input_grad_attributes input_grad = {.feature_parts = 1};
    static const struct llmrun_matmul_weight_grad_attributes weight_grad = {.batch_parts = 1};
    const enum product_kind kind = run->product.kind;
    struct llmrun_tensor tensors[LLMRUN_MAX_OPERANDS] = {0};
    struct llmrun_op op = {.size = sizeof op,
                           .op = forms[kind].op,
                           .version = forms[kind].version,
                           .flags = LLMRUN_OP_DETERMINISTIC | (order == PRODUCT_EXACT ? LLMRUN_OP_EXACT : 0),
                           .operand_count = forms[kind].operand_count,
                           .operands = tensors,
                           .operand_stride = sizeof tensors[0]};

    for (int i = LEFT; i <= RESULT; i++)
        tensors[forms[kind].at[i]] = tensor_of(run, i);
    if (kind == PRODUCT_WEIGHT_GRAD) {
        op.accumulate = 1u << forms[kind].at[RESULT];
        op.attributes = &weight_grad;
        op.attribute_bytes = sizeof weight_grad;
    }
    if (kind == PRODUCT_FORWARD) {
        op.attributes = &forward;
        op.attribute_bytes = sizeof forward;
    } else if (kind == PRODUCT_INPUT_GRAD) {
        op.attributes = &input_grad;
        op.attribute_bytes = sizeof input_grad;
    }
    return device_kernel_create(run->device, &op, INT64_MAX, &run->kernels[order], error);
}

static int allocate(struct product_run *run, struct error *error)
{
    int64_t workspace = ALIGNMENT;
    int status = STATUS_OK;

    for (int i = LEFT; status == STATUS_OK && i <= RESULT; i++)
        status = buffer_create(run->device, LLMRUN_MEMORY_DEVICE,
                               run->extents[i][0] * run->extents[i][1] * element_bytes(run, i) + ALIGNMENT,
                               &run->operands[i], error);
    for (int i = 0; i < PRODUCT_ORDERS; i++)
        if (run->kernels[i].workspace_bytes > workspace)
            workspace = run->kernels[i].workspace_bytes;
    if (status == STATUS_OK)
        status = buffer_create(run->device, LLMRUN_MEMORY_DEVICE, workspace, &run->workspace, error);
    if (status == STATUS_OK)
        status = host_buffer_create(run->device, STAGING_BYTES, &run->staging, error);
    if (status == STATUS_OK)
        status = stream_create(run->device, LLMRUN_STREAM_COMPUTE, &run->stream, error);
    if (status == STATUS_OK)
        status = event_create(run->device, &run->start, error);
    return status == STATUS_OK ? event_create(run->device, &run->end, error) : status;
}

int product_open(struct product_run *run, struct device *device, const struct product *product,
                 const struct product_choice *choice, bool exact_only, struct error *error)
{
    struct cut cuts[2];
    int status;

    memset(run, 0, sizeof *run);
    run->device = device;
    run->product = *product;
    set_extents(run);
    for (int i = LEFT; i <= RIGHT; i++) {
        cuts[i] = cut_operand(run, choice, i);
        run->extents[i][0] = cuts[i].rows != NULL ? PRODUCT_SAMPLES : run->extents[i][0];
        run->extents[i][1] = cuts[i].columns != NULL ? PRODUCT_SAMPLES : run->extents[i][1];
    }
    if (choice != NULL)
        run->extents[RESULT][0] = run->extents[RESULT][1] = PRODUCT_SAMPLES;
    status = prepare(run, PRODUCT_EXACT, error);
    if (status == STATUS_OK && !exact_only)
        status = prepare(run, PRODUCT_FREE, error);
    if (status == STATUS_OK)
        status = allocate(run, error);
    for (int i = LEFT; status == STATUS_OK && i <= RIGHT; i++)
        status = make_operand(run, &cuts[i], i, error);
    if (status != STATUS_OK)
        product_close(run);
    return status;
}

void product_close(struct product_run *run)
{
    for (int i = 0; i < PRODUCT_ORDERS; i++)
        device_kernel_destroy(&run->kernels[i]);
    event_destroy(&run->start);
    event_destroy(&run->end);
    stream_destroy(&run->stream);
    host_buffer_destroy(&run->staging);
    buffer_destroy(&run->workspace);
    for (int i = LEFT; i <= RESULT; i++)
        buffer_destroy(&run->operands[i]);
    memset(run, 0, sizeof *run);
}

int product_launch(struct product_run *run, enum product_order order, int64_t *ns, struct error *error)
{
    uint64_t addresses[LLMRUN_MAX_OPERANDS] = {0};
    int status;

    for (int i = LEFT; i <= RESULT; i++)
        addresses[forms[run->product.kind].at[i]] = run->operands[i].address;
    status = stream_record(&run->stream, &run->start, error);
    if (status == STATUS_OK)
        status = stream_launch_kernel(&run->stream, &run->kernels[order], addresses,
                                      forms[run->product.kind].operand_count, run->workspace.address, error);
    if (status == STATUS_OK)
        status = settle(run, error);
    return status == STATUS_OK ? event_elapsed(&run->start, &run->end, ns, error) : status;
}

static int read_element(struct product_run *run, int64_t index, uint32_t *bits, struct error *error)
{
    const int64_t bytes = element_bytes(run, RESULT);
    int status = stream_download(&run->stream, &run->staging, 0, &run->operands[RESULT], index * bytes, bytes, error);

    if (status == STATUS_OK)
        status = settle(run, error);
    *bits = 0;
    if (status == STATUS_OK)
        memcpy(bits, run->staging.memory, (size_t)bytes);
    return status;
}

int product_sample(struct product_run *run, enum product_order order, const struct product_choice *choice,
                   bool cut_down, uint32_t bits[PRODUCT_SAMPLES][PRODUCT_SAMPLES], struct error *error)
{
    const int64_t columns = run->extents[RESULT][1];
    int64_t ns;
    int status = stream_fill(&run->stream, &run->operands[RESULT], 0, 0,
                             run->extents[RESULT][0] * columns * element_bytes(run, RESULT) / 4 * 4, error);

    if (status == STATUS_OK)
        status = product_launch(run, order, &ns, error);
    for (int64_t row = 0; row < PRODUCT_SAMPLES; row++)
        for (int64_t column = 0; status == STATUS_OK && column < PRODUCT_SAMPLES; column++) {
            int64_t at = cut_down ? row * columns + column : choice->rows[row] * columns + choice->columns[column];

            status = read_element(run, at, &bits[row][column], error);
        }
    return status;
}
