/* add, cast, finish, reduce_rows, reduce */
#include "kernels/lanes.h"
#include "kernels/math.h"

LANES_INLINE void add_range(const struct kernel_call *call, struct lanes_range range, int bf16)
{
    const void *a = call->operands[LLMRUN_ADD_A], *b = call->operands[LLMRUN_ADD_B];
    void *y = call->operands[LLMRUN_ADD_Y];

    for (int64_t i = range.begin; i < range.end; i += VEC_LANES) {
        int count = vec_lanes_left(range.end, i);

        lanes_store(y, bf16, i, vec_add(lanes_load(a, bf16, i, count), lanes_load(b, bf16, i, count)), count);
    }
}

LANES_INLINE void cast_range(const void *x, int from_bf16, void *y, int to_bf16, struct lanes_range range)
{
    for (int64_t i = range.begin; i < range.end; i += VEC_LANES) {
        int count = vec_lanes_left(range.end, i);

        lanes_store(y, to_bf16, i, lanes_load(x, from_bf16, i, count), count);
    }
}

static void cast_task(void *context, int64_t task, int thread)
{
    const struct kernel_call *call = context;
    const void *x = call->operands[LLMRUN_CAST_X];
    void *y = call->operands[LLMRUN_CAST_Y];
    int from_bf16 = operand_is_bf16(call->op, LLMRUN_CAST_X), to_bf16 = operand_is_bf16(call->op, LLMRUN_CAST_Y);
    struct lanes_range range = lanes_part(operand_elements(&call->op->operands[LLMRUN_CAST_Y]), LANES_PART, task);

    (void)thread;
    if (from_bf16 && to_bf16)
        cast_range(x, 1, y, 1, range);
    else if (from_bf16)
        cast_range(x, 1, y, 0, range);
    else if (to_bf16)
        cast_range(x, 0, y, 1, range);
    else
        cast_range(x, 0, y, 0, range);
}

static void cast_run(const struct kernel_call *call)
{
    pool_run(call->pool, lanes_parts(operand_elements(&call->op->operands[LLMRUN_CAST_Y]), LANES_PART), cast_task,
             (void *)call);
}

LANES_INLINE void finish_range(const struct kernel_call *call, struct lanes_range range, int bf16)
{
    const struct llmrun_finish_attributes *attributes = call->op->attributes;
    const float *partial = call->operands[LLMRUN_FINISH_PARTIAL], *bias = call->operands[LLMRUN_FINISH_BIAS];
    void *y = call->operands[LLMRUN_FINISH_Y], *aux = call->operands[LLMRUN_FINISH_AUX];
    const int64_t columns = call->op->operands[LLMRUN_FINISH_Y].shape[1];

    for (int64_t row = range.begin; row < range.end; row++)
        for (int64_t c = 0; c < columns; c += VEC_LANES) {
            const int64_t at = row * columns + c;
            int count = vec_lanes_left(columns, c);
            struct f32x16 v = vec_load_part(partial + at, count, 0.0f);

            if (bias != NULL)
                v = vec_add(v, vec_load_part(bias + c, count, 0.0f));
            if (aux != NULL)
                lanes_store(aux, bf16, at, v, count);
            lanes_store(y, bf16, at, v, count);
            if (attributes->activation == LLMRUN_ACTIVATION_GELU) /* of the rounded number */
                lanes_store(y, bf16, at, math_gelu(lanes_load(y, bf16, at, count)), count);
        }
}

/* Rows first to first + count - 1 of x at c: a balanced tree, nearest first. */
static struct f32x16 reduce_rows(const float *x, int64_t channels, int64_t first, int64_t count, int lanes)
{
    int64_t half = 1;

    if (count == 1)
        return vec_load_part(x + first * channels, lanes, 0.0f);
    while (2 * half < count)
        half *= 2;
    return vec_add(reduce_rows(x, channels, first, half, lanes),
                   reduce_rows(x, channels, first + half, count - half, lanes));
}

/* Groups ascend in each column, so that y may be the first rows of x. */
static void reduce_rows_task(void *context, int64_t task, int thread)
{
    const struct kernel_call *call = context;
    const struct llmrun_tensor *shape = &call->op->operands[LLMRUN_REDUCE_ROWS_X];
    const float *x = call->operands[LLMRUN_REDUCE_ROWS_X];
    float *y = call->operands[LLMRUN_REDUCE_ROWS_Y];
    int64_t columns = shape->shape[1], groups = operand_elements(&call->op->operands[LLMRUN_REDUCE_ROWS_Y]) / columns;
    int64_t rows = shape->shape[0] / groups;
    struct lanes_range range = lanes_part(columns, lanes_part_channels(columns, pool_threads(call->pool)), task);

    (void)thread;
    for (int64_t group = 0; group < groups; group++)
        for (int64_t c = range.begin; c < range.end; c += VEC_LANES) {
            int lanes = vec_lanes_left(range.end, c);

            vec_store_part(y + group * columns + c, reduce_rows(x + c, columns, group * rows, rows, lanes), lanes);
        }
}

static void reduce_rows_run(const struct kernel_call *call)
{
    int64_t columns = call->op->operands[LLMRUN_REDUCE_ROWS_X].shape[1];

    pool_run(call->pool, lanes_parts(columns, lanes_part_channels(columns, pool_threads(call->pool))), reduce_rows_task,
             (void *)call);
}

static void reduce_task(void *context, int64_t task, int thread)
{
    const struct kernel_call *call = context;
    const float *a = call->operands[LLMRUN_REDUCE_A], *b = call->operands[LLMRUN_REDUCE_B];
    float *y = call->operands[LLMRUN_REDUCE_Y];
    struct lanes_range range = lanes_part(operand_elements(&call->op->operands[LLMRUN_REDUCE_Y]), LANES_PART, task);

    (void)thread;
    for (int64_t i = range.begin; i < range.end; i += VEC_LANES) {
        int count = vec_lanes_left(range.end, i);
        struct f32x16 v = vec_load_part(a + i, count, 0.0f);

        vec_store_part(y + i, b == NULL ? v : vec_add(v, vec_load_part(b + i, count, 0.0f)), count);
    }
}

static void reduce_run(const struct kernel_call *call)
{
    pool_run(call->pool, lanes_parts(operand_elements(&call->op->operands[LLMRUN_REDUCE_Y]), LANES_PART), reduce_task,
             (void *)call);
}

LANES_RUN(finish, LLMRUN_FINISH_Y, lanes_rows, finish_range)
LANES_KERNEL(finish, 0, finish_run)
LANES_RUN(add, LLMRUN_ADD_Y, lanes_elements, add_range)
LANES_KERNEL(add, 0, add_run)
LANES_KERNEL(reduce_rows, 0, reduce_rows_run)
LANES_KERNEL(reduce, 0, reduce_run)
LANES_KERNEL(cast, 0, cast_run)
