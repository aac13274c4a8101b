#include <float.h>
#include <math.h>

#include "cpu_ref/attention.h"
#include "cpu_ref/chain.h"
#include "cpu_ref/exact.h"

/* One row of one query head. */
struct row {
    const struct kernel_call *call;
    int bf16;
    float scale;
    int64_t width;
    int64_t q;         /* its first element, of q and of o */
    int64_t seen;      /* keys */
    int64_t key;       /* first element of key 0 of the head */
    int64_t key_row;   /* elements from key to key */
    int64_t first;     /* key of the block at hand */
    const float *w;    /* weights of the block's keys */
    int64_t score_key; /* element where the key of a score begins */
    int64_t column;
};

static struct chain_term score_term(const void *context, int64_t c)
{
    const struct row *row = context;

    return (struct chain_term){reference_read(row->call, LLMRUN_ATTENTION_CACHED_Q, row->q + c),
                               reference_read(row->call, LLMRUN_ATTENTION_CACHED_K_CACHE, row->score_key + c)};
}

static struct chain_term value_term(const void *context, int64_t j)
{
    const struct row *row = context;

    if (j >= row->seen)
        return (struct chain_term){0.0f, 0.0f};
    return (struct chain_term){row->w[j - row->first], reference_read(row->call, LLMRUN_ATTENTION_CACHED_V_CACHE,
                                                                      row->key + j * row->key_row + row->column)};
}

static void row_exact(struct row *row)
{
    float *sums = row->call->workspace, score[ATTENTION_KEY_BLOCK], weight[ATTENTION_KEY_BLOCK];
    float maximum = -FLT_MAX, sum = 0.0f;

    memset(sums, 0, (size_t)row->width * sizeof(*sums));
    row->w = weight;
    for (row->first = 0; row->first < row->seen; row->first += ATTENTION_KEY_BLOCK) {
        int64_t left = row->seen - row->first, count = left < ATTENTION_KEY_BLOCK ? left : ATTENTION_KEY_BLOCK;
        float before = maximum, factor;

        for (int64_t j = 0; j < count; j++) {
            row->score_key = row->key + (row->first + j) * row->key_row;
            score[j] = row->scale * chain_sum(row->bf16, score_term, row, 0, row->width, 0.0f);
            maximum = fmaxf(maximum, score[j]);
        }
        factor = exact_exp(before - maximum);
        sum *= factor;
        for (int64_t j = 0; j < count; j++) {
            float p = exact_exp(score[j] - maximum);

            sum += p;
            weight[j] = row->bf16 ? reference_widen(reference_narrow(p)) : p;
        }
        for (row->column = 0; row->column < row->width; row->column++)
            sums[row->column] = chain_sum(row->bf16, value_term, row, row->first, row->first + ATTENTION_KEY_BLOCK,
                                          factor * sums[row->column]);
    }
    for (int64_t c = 0; c < row->width; c++)
        reference_write(row->call, LLMRUN_ATTENTION_CACHED_O, row->q + c, fmaf(sums[c], 1.0f / sum, 0.0f));
}

static double score_double(const struct row *row, int64_t j)
{
    double sum = 0;

    for (int64_t c = 0; c < row->width; c++)
        sum += reference_read_double(row->call, LLMRUN_ATTENTION_CACHED_Q, row->q + c) *
               reference_read_double(row->call, LLMRUN_ATTENTION_CACHED_K_CACHE, row->key + j * row->key_row + c);
    return row->scale * sum;
}

static void row_double(struct row *row)
{
    double *sums = row->call->workspace, maximum = -INFINITY, sum = 0;

    memset(sums, 0, (size_t)row->width * sizeof(*sums));
    for (int64_t j = 0; j < row->seen; j++)
        maximum = fmax(maximum, score_double(row, j));
    for (int64_t j = 0; j < row->seen; j++) {
        double p = exp(score_double(row, j) - maximum);

        sum += p;
        for (int64_t c = 0; c < row->width; c++)
            sums[c] +=
                p * reference_read_double(row->call, LLMRUN_ATTENTION_CACHED_V_CACHE, row->key + j * row->key_row + c);
    }
    for (int64_t c = 0; c < row->width; c++)
        reference_write(row->call, LLMRUN_ATTENTION_CACHED_O, row->q + c, sums[c] / sum);
}

static void store(const struct kernel_call *call, int rows, int cache, int64_t position)
{
    const int64_t row = reference_extent(call, rows, 1), count = reference_elements(call, rows);

    for (int64_t i = 0; i < count; i++)
        reference_write(call, cache, position * row + i, reference_read_double(call, rows, i));
}

static void each_row(const struct kernel_call *call, void (*compute)(struct row *row))
{
    const struct llmrun_attention_cached_attributes *a = call->op->attributes;
    const int64_t position = *(const int32_t *)call->operands[LLMRUN_ATTENTION_CACHED_POSITION];
    const int64_t rows = reference_extent(call, LLMRUN_ATTENTION_CACHED_Q, 0);
    struct row row = {.call = call, .bf16 = operand_is_bf16(call->op, LLMRUN_ATTENTION_CACHED_Q), .scale = a->scale};

    if (position < 0 || position + rows > reference_extent(call, LLMRUN_ATTENTION_CACHED_K_CACHE, 0)) {
        for (int64_t i = 0; i < reference_elements(call, LLMRUN_ATTENTION_CACHED_O); i++)
            reference_write(call, LLMRUN_ATTENTION_CACHED_O, i, NAN);
        return;
    }
    store(call, LLMRUN_ATTENTION_CACHED_K, LLMRUN_ATTENTION_CACHED_K_CACHE, position);
    store(call, LLMRUN_ATTENTION_CACHED_V, LLMRUN_ATTENTION_CACHED_V_CACHE, position);
    row.width = reference_extent(call, LLMRUN_ATTENTION_CACHED_Q, 1) / a->heads;
    row.key_row = a->kv_heads * row.width;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t head = 0; head < a->heads; head++) {
            row.q = (i * a->heads + head) * row.width;
            row.key = head / (a->heads / a->kv_heads) * row.width;
            row.seen = position + i + 1;
            compute(&row);
        }
}

static void cached_exact(const struct kernel_call *call)
{
    each_row(call, row_exact);
}

static void cached_double(const struct kernel_call *call)
{
    each_row(call, row_double);
}

static int query(const struct llmrun_op *op, int threads, int64_t *workspace_bytes, char *reason, size_t reason_bytes)
{
    (void)threads;
    if (!operand_fit(op, 0, reason, reason_bytes))
        return 0;
    *workspace_bytes = op->operands[LLMRUN_ATTENTION_CACHED_Q].shape[1] * (int64_t)sizeof(double);
    return 1;
}

extern const struct kernel reference_attention_cached_exact, reference_attention_cached_double;
const struct kernel reference_attention_cached_exact = {"attention_cached reference exact", query, cached_exact};
const struct kernel reference_attention_cached_double = {"attention_cached reference f64", query, cached_double};
