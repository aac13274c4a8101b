/* embedding, embedding_grad */
#include <stdio.h>
#include <string.h>

#include "kernels/lanes.h"

/* One token: y = row (+ addend). row NULL: the id lies outside of the table, and -0 stands for it. */
LANES_INLINE void embed_row(const void *row, const void *addend, void *y, int64_t at, int64_t channels, int bf16)
{
    for (int64_t c = 0; c < channels; c += VEC_LANES) {
        int count = vec_lanes_left(channels, c);
        struct f32x16 v = row != NULL ? lanes_load(row, bf16, c, count) : vec_set(-0.0f);

        if (addend != NULL)
            v = vec_add(v, lanes_load(addend, bf16, at + c, count));
        lanes_store(y, bf16, at + c, v, count);
    }
}

static void embedding_task(void *context, int64_t task, int thread)
{
    const struct kernel_call *call = context;
    const struct llmrun_embedding_attributes *attributes = call->op->attributes;
    const struct llmrun_tensor *table = &call->op->operands[LLMRUN_EMBEDDING_TABLE];
    const int32_t *ids = call->operands[LLMRUN_EMBEDDING_IDS];
    const char *rows = call->operands[LLMRUN_EMBEDDING_TABLE];
    const void *addend = call->operands[LLMRUN_EMBEDDING_ADDEND];
    void *y = call->operands[LLMRUN_EMBEDDING_Y];
    int64_t channels = table->shape[1];
    int bf16 = operand_is_bf16(call->op, LLMRUN_EMBEDDING_TABLE);
    struct lanes_range tokens =
        lanes_part(call->op->operands[LLMRUN_EMBEDDING_IDS].shape[0], lanes_part_rows(channels), task);

    (void)thread;
    for (int64_t token = tokens.begin; token < tokens.end; token++) {
        int64_t id = ids[token] - attributes->row_first;
        const char *row = id >= 0 && id < table->shape[0] ? rows + id * channels * (bf16 ? 2 : 4) : NULL;

        if (bf16)
            embed_row(row, addend, y, token * channels, channels, 1);
        else
            embed_row(row, addend, y, token * channels, channels, 0);
    }
}

static void embedding_run(const struct kernel_call *call)
{
    const struct llmrun_tensor *y = &call->op->operands[LLMRUN_EMBEDDING_Y];

    pool_run(call->pool, lanes_parts(y->shape[0], lanes_part_rows(y->shape[1])), embedding_task, (void *)call);
}

static void clear_task(void *context, int64_t task, int thread)
{
    const struct kernel_call *call = context;
    int64_t elements = operand_elements(&call->op->operands[LLMRUN_EMBEDDING_GRAD_DTABLE]);
    struct lanes_range range = lanes_part(elements, LANES_PART, task);
    float *dtable = call->operands[LLMRUN_EMBEDDING_GRAD_DTABLE];

    (void)thread;
    memset(dtable + range.begin, 0, (size_t)(range.end - range.begin) * sizeof(dtable[0]));
}

/* The row of dtable that a token adds to, -1 where there is none. */
static inline int64_t row_of(const struct kernel_call *call, int64_t token)
{
    const struct llmrun_embedding_grad_attributes *attributes = call->op->attributes;
    int64_t row = ((const int32_t *)call->operands[LLMRUN_EMBEDDING_GRAD_IDS])[token] - attributes->row_first;

    return row >= 0 && row < call->op->operands[LLMRUN_EMBEDDING_GRAD_DTABLE].shape[0] ? row : -1;
}

#define EMBEDDING_LEVELS 9 /* of a tree of 256 lanes */

/* All tokens in order, for some of the channels. */
LANES_INLINE void scatter_add(const struct kernel_call *call, struct lanes_range channels, int bf16)
{
    const void *dy = call->operands[LLMRUN_EMBEDDING_GRAD_DY];
    float *dtable = call->operands[LLMRUN_EMBEDDING_GRAD_DTABLE];
    int64_t width = call->op->operands[LLMRUN_EMBEDDING_GRAD_DTABLE].shape[1];

    for (int64_t token = 0; token < call->op->operands[LLMRUN_EMBEDDING_GRAD_IDS].shape[0]; token++) {
        const int64_t row = row_of(call, token);

        for (int64_t c = channels.begin; c < channels.end && row >= 0; c += VEC_LANES) {
            int count = vec_lanes_left(channels.end, c);
            struct f32x16 sum = vec_load_part(dtable + row * width + c, count, 0.0f);

            sum = vec_add(sum, lanes_load(dy, bf16, token * width + c, count));
            vec_store_part(dtable + row * width + c, sum, count);
        }
    }
}

static void scatter_task(void *context, int64_t task, int thread)
{
    const struct kernel_call *call = context;
    int64_t width = call->op->operands[LLMRUN_EMBEDDING_GRAD_DTABLE].shape[1];
    struct lanes_range channels = lanes_part(width, lanes_part_channels(width, pool_threads(call->pool)), task);

    (void)thread;
    if (operand_is_bf16(call->op, LLMRUN_EMBEDDING_GRAD_DY))
        scatter_add(call, channels, 1);
    else
        scatter_add(call, channels, 0);
}

/* Tokens of each row in ascending order, as lists: -1 ends one. In the workspace. */
struct token_lists {
    int32_t *first; /* [rows] */
    int32_t *next;  /* [tokens] */
};

static struct token_lists lists_in(const struct kernel_call *call)
{
    int32_t *words = call->workspace;

    return (struct token_lists){words, words + call->op->operands[LLMRUN_EMBEDDING_GRAD_DTABLE].shape[0]};
}

/* From the last token to the first, so that each goes to the head of its list. */
static void make_lists(const struct kernel_call *call)
{
    struct token_lists lists = lists_in(call);

    memset(lists.first, 0xff,
           (size_t)call->op->operands[LLMRUN_EMBEDDING_GRAD_DTABLE].shape[0] * sizeof lists.first[0]);
    for (int64_t token = call->op->operands[LLMRUN_EMBEDDING_GRAD_IDS].shape[0] - 1; token >= 0; token--) {
        const int64_t row = row_of(call, token);

        if (row < 0)
            continue;
        lists.next[token] = lists.first[row];
        lists.first[row] = (int32_t)token;
    }
}

/* Sixteen channels of one row: a chain a lane, the lanes as a balanced tree. A lane without tokens is +0, which changes
 * no sum that began at +0. */
LANES_INLINE struct f32x16 sum_lanes(const struct kernel_call *call, int32_t token, int64_t c, int count, int bf16)
{
    const struct llmrun_embedding_grad_attributes *attributes = call->op->attributes;
    const struct llmrun_tensor *dy = &call->op->operands[LLMRUN_EMBEDDING_GRAD_DY];
    const int32_t *next = lists_in(call).next;
    int64_t part = dy->shape[0] / attributes->batch_parts;
    struct f32x16 pending[EMBEDDING_LEVELS], sum;
    uint32_t lane = 0;

    for (;; lane++) {
        int level = 0;

        sum = vec_zero();
        for (; token >= 0 && token < (lane + 1) * part; token = next[token])
            sum = vec_add(sum,
                          lanes_load(call->operands[LLMRUN_EMBEDDING_GRAD_DY], bf16, token * dy->shape[1] + c, count));
        for (; lane >> level & 1; level++)
            sum = vec_add(pending[level], sum);
        if (lane + 1 == attributes->batch_parts)
            return sum;
        pending[level] = sum;
    }
}

static void rows_task(void *context, int64_t task, int thread)
{
    const struct kernel_call *call = context;
    const struct llmrun_tensor *table = &call->op->operands[LLMRUN_EMBEDDING_GRAD_DTABLE];
    struct lanes_range rows = lanes_part(table->shape[0], lanes_part_rows(table->shape[1]), task);
    int bf16 = operand_is_bf16(call->op, LLMRUN_EMBEDDING_GRAD_DY);
    int64_t width = table->shape[1];

    (void)thread;
    for (int64_t row = rows.begin; row < rows.end; row++) {
        float *to = (float *)call->operands[LLMRUN_EMBEDDING_GRAD_DTABLE] + row * width;
        int32_t token = lists_in(call).first[row];

        if (token < 0) {
            memset(to, 0, (size_t)width * sizeof to[0]);
            continue;
        }
        for (int64_t c = 0; c < width; c += VEC_LANES) {
            int count = vec_lanes_left(width, c);

            vec_store_part(to + c, bf16 ? sum_lanes(call, token, c, count, 1) : sum_lanes(call, token, c, count, 0),
                           count);
        }
    }
}

static void embedding_grad_run(const struct kernel_call *call)
{
    const struct llmrun_embedding_grad_attributes *attributes = call->op->attributes;
    const struct llmrun_tensor *table = &call->op->operands[LLMRUN_EMBEDDING_GRAD_DTABLE];
    int64_t part = lanes_part_channels(table->shape[1], pool_threads(call->pool));

    if (attributes->batch_parts > 1) {
        make_lists(call);
        pool_run(call->pool, lanes_parts(table->shape[0], lanes_part_rows(table->shape[1])), rows_task, (void *)call);
        return;
    }
    if (!operand_accumulates(call->op, LLMRUN_EMBEDDING_GRAD_DTABLE))
        pool_run(call->pool, lanes_parts(operand_elements(table), LANES_PART), clear_task, (void *)call);
    pool_run(call->pool, lanes_parts(table->shape[1], part), scatter_task, (void *)call);
}

static int query(const struct llmrun_op *op, int threads, int64_t *workspace_bytes, char *reason, size_t reason_bytes)
{
    const struct llmrun_embedding_grad_attributes *attributes = op->attributes;
    int64_t tokens = op->operands[LLMRUN_EMBEDDING_GRAD_IDS].shape[0], lanes = attributes->batch_parts;

    (void)threads;
    if (!operand_fit(op, 1u << LLMRUN_EMBEDDING_GRAD_DTABLE, reason, reason_bytes))
        return 0;
    if (lanes < 1 || lanes > 1 << (EMBEDDING_LEVELS - 1) || (lanes & (lanes - 1)) != 0 || tokens % lanes != 0 ||
        tokens > INT32_MAX || (lanes > 1 && op->accumulate != 0)) {
        snprintf(reason, reason_bytes, "%lld tokens cannot be summed in %lld lanes here", (long long)tokens,
                 (long long)lanes);
        return 0;
    }
    if (lanes > 1)
        *workspace_bytes = (op->operands[LLMRUN_EMBEDDING_GRAD_DTABLE].shape[0] + tokens) * (int64_t)sizeof(int32_t);
    return 1;
}

extern const struct kernel KERNEL_NAME(embedding_grad);
const struct kernel KERNEL_NAME(embedding_grad) = {
    .name = "embedding_grad " KERNEL_ISA_TEXT, .query = query, .run = embedding_grad_run};

LANES_KERNEL(embedding, 0, embedding_run)
