/* attention_cached. A task is up to four rows of query heads that share a head of keys, so that each key and value that
 * comes from memory serves all of them. Scores have sixteen keys in the lanes, sums sixteen channels of the head. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "kernels/lanes.h"
#include "kernels/math.h"
#include "matmul/float_state.h"
#include "matmul/gemm_rows.h"
#include "runtime/operand.h"

#define BLOCK 64 /* keys, part of the definition */
#define MOST  GEMM_ROWS_MOST

struct cached {
    const struct kernel_call *call;
    int bf16;
    int64_t position, rows, capacity;
    int64_t heads, kv_heads, group;
    int64_t width, columns; /* of a head; in whole vectors */
    float scale;
    int64_t parts; /* tasks of a key-value head */
};

/* The rows of a task, which see ever more keys. */
struct queries {
    const struct cached *cached;
    int count;
    int64_t element[MOST]; /* where each begins in q and in o */
    int64_t seen[MOST];    /* keys */
    int64_t first_element; /* of the head in a row of the caches */
    uint32_t *left;        /* q as gemm_strip wants it */
    float *sums;           /* [count][columns] */
    float maximum[MOST], total[MOST];
    float weights[MOST][BLOCK]; /* scores, then weights of a block of keys */
};

static struct cached cached_of_op(const struct llmrun_op *op)
{
    const struct llmrun_attention_cached_attributes *attributes = op->attributes;
    const struct llmrun_tensor *q = &op->operands[LLMRUN_ATTENTION_CACHED_Q];
    struct cached cached = {
        .bf16 = q->dtype == LLMRUN_BF16,
        .rows = q->shape[0],
        .capacity = op->operands[LLMRUN_ATTENTION_CACHED_K_CACHE].shape[0],
        .heads = attributes->heads,
        .kv_heads = attributes->kv_heads,
        .group = attributes->heads / attributes->kv_heads,
        .width = q->shape[1] / attributes->heads,
        .scale = attributes->scale,
    };

    cached.columns = (cached.width + VEC_LANES - 1) / VEC_LANES * VEC_LANES;
    cached.parts = (cached.rows * cached.group + MOST - 1) / MOST;
    return cached;
}

static int64_t left_bytes(const struct cached *cached)
{
    return (MOST * (cached->width + 1) * 4 + 63) / 64 * 64;
}

static int64_t scratch_bytes(const struct cached *cached)
{
    return left_bytes(cached) + MOST * cached->columns * 4;
}

static uint32_t left_word(const struct queries *queries, int query, int64_t c)
{
    const void *q = queries->cached->call->operands[LLMRUN_ATTENTION_CACHED_Q];
    uint32_t word;

    if (c >= queries->cached->width)
        return 0;
    if (queries->cached->bf16)
        return (uint32_t)((const uint16_t *)q)[queries->element[query] + c] << 16;
    memcpy(&word, (const float *)q + queries->element[query] + c, sizeof(word));
    return word;
}

static void start(struct queries *queries, int64_t kv_head, int64_t part)
{
    const struct cached *cached = queries->cached;
    int64_t left = cached->rows * cached->group - part * MOST;
    uint32_t *to = queries->left;

    queries->count = left < MOST ? (int)left : MOST;
    queries->first_element = kv_head * cached->width;
    for (int i = 0; i < queries->count; i++) {
        int64_t row = (part * MOST + i) / cached->group,
                head = kv_head * cached->group + (part * MOST + i) % cached->group;

        queries->element[i] = (row * cached->heads + head) * cached->width;
        queries->seen[i] = cached->position + row + 1;
        queries->maximum[i] = -FLT_MAX;
        queries->total[i] = 0.0f;
    }
    memset(queries->sums, 0, (size_t)(queries->count * cached->columns) * sizeof(float));
    /* A pair of bf16 has its odd element first. */
    for (int64_t c = 0; c < cached->width + (cached->bf16 && cached->width % 2); c++)
        for (int i = 0; i < queries->count; i++)
            *to++ = left_word(queries, i, cached->bf16 ? c ^ 1 : c);
}

static const char *cache_row(const struct queries *queries, int operand, int64_t key)
{
    const struct cached *cached = queries->cached;
    int64_t element = key * cached->kv_heads * cached->width + queries->first_element;

    return (const char *)cached->call->operands[operand] + element * (cached->bf16 ? 2 : 4);
}

/* Step 1 of the definition, but for the scale. Rows of the cache that no query sees give scores that no one reads. */
static void score(struct queries *queries, int64_t first, int64_t keys)
{
    const struct cached *cached = queries->cached;
    struct gemm_micro_panel panel = {.rows = queries->count, .k = cached->width, .a = queries->left};
    float sums[MOST * GEMM_MICRO_COLUMNS];
    unsigned state = float_state_set(cached->bf16 && VEC_FORM != 1);

    panel.b_column = cached->kv_heads * cached->width;
    panel.row_k = cached->width;
    panel.sum = sums;
    for (int64_t key = 0; key < keys; key += GEMM_MICRO_COLUMNS) {
        int64_t there = cached->capacity - first - key;

        panel.columns = there < GEMM_MICRO_COLUMNS ? (int)there : GEMM_MICRO_COLUMNS;
        panel.b = cache_row(queries, LLMRUN_ATTENTION_CACHED_K_CACHE, first + key);
        memset(sums, 0, sizeof(sums));
        if (cached->bf16)
            KERNEL_NAME(gemm_micro_panel_wide)(&panel);
        else
            KERNEL_NAME(gemm_micro_panel_f32)(&panel);
        for (int i = 0; i < queries->count; i++)
            memcpy(queries->weights[i] + key, sums + i * GEMM_MICRO_COLUMNS, GEMM_MICRO_COLUMNS * sizeof(float));
    }
    float_state_restore(state);
}

/* Steps 1 to 4 for one query; keys that it does not see get the weight +0. */
static void weigh(struct queries *queries, int query, int64_t first)
{
    const struct cached *cached = queries->cached;
    float *weights = queries->weights[query], *sums = queries->sums + query * cached->columns;
    int64_t left = queries->seen[query] - first, seen = left < 0 ? 0 : left < BLOCK ? left : BLOCK;
    struct f32x16 highest = vec_set(queries->maximum[query]), factor, maximum;

    for (int64_t j = 0; j < seen; j += VEC_LANES) {
        int lanes = vec_lanes_left(seen, j);
        struct f32x16 x = vec_mul(vec_set(cached->scale), vec_load(weights + j));

        vec_store(weights + j, x);
        highest = vec_max(highest, vec_load_part(weights + j, lanes, -INFINITY));
    }
    maximum = vec_set(vec_maximum(highest));
    factor = math_exp(vec_sub(vec_set(queries->maximum[query]), maximum));
    for (int64_t j = 0; j < BLOCK; j += VEC_LANES) {
        int lanes = j >= seen ? 0 : vec_lanes_left(seen, j);

        vec_store(weights + j, vec_keep(math_exp(vec_sub(vec_load(weights + j), maximum)), lanes));
    }
    vec_store_part(&queries->maximum[query], maximum, 1);
    for (int64_t c = 0; c < cached->columns; c += VEC_LANES)
        vec_store(sums + c, vec_mul(factor, vec_load(sums + c)));
    vec_store_part(&queries->total[query], vec_mul(factor, vec_set(queries->total[query])), 1);
}

/* Rows that see the block add their weights side by side: each is a chain of its own. */
static void add_weights(struct queries *queries)
{
    for (int64_t j = 0; j < BLOCK; j++)
        for (int i = 0; i < queries->count; i++)
            queries->total[i] = queries->total[i] + queries->weights[i][j];
    if (!queries->cached->bf16)
        return;
    for (int i = 0; i < queries->count; i++)
        for (int64_t j = 0; j < BLOCK; j += VEC_LANES)
            vec_store(queries->weights[i] + j, vec_round_bf16(vec_load(queries->weights[i] + j)));
}

LANES_INLINE struct f32x16 value_step(int bf16, struct f32x16 weight, struct f32x16 value, struct f32x16 sum)
{
#if VEC_FORM == 1
    if (bf16) {
        float a[VEC_LANES], b[VEC_LANES], c[VEC_LANES];

        vec_store(a, weight);
        vec_store(b, value);
        vec_store(c, sum);
        for (int lane = 0; lane < VEC_LANES; lane++)
            c[lane] = gemm_step_bf16(a[lane], b[lane], c[lane]);
        return vec_load(c);
    }
#endif
    (void)bf16;
    return vec_fma(weight, value, sum);
}

/* The sums of `vectors` vectors of channels from c on over the block's keys; the counts are constants in each caller,
 * so that sums stay in registers. */
LANES_INLINE void add_values_of(struct queries *queries, const int bf16, const int count, const int vectors,
                                int64_t first, int64_t keys, int64_t c)
{
    const struct cached *cached = queries->cached;
    const char *v = cache_row(queries, LLMRUN_ATTENTION_CACHED_V_CACHE, first);
    const int64_t row = cached->kv_heads * cached->width * (bf16 ? 2 : 4);
    struct f32x16 sum[MOST][4];

    for (int i = 0; i < count; i++)
        for (int n = 0; n < vectors; n++)
            sum[i][n] = vec_load(queries->sums + i * cached->columns + c + n * VEC_LANES);
    for (int64_t step = 0; step < keys + (bf16 && keys % 2); step++) {
        int64_t key = bf16 ? step ^ 1 : step;

        for (int n = 0; n < vectors; n++) {
            int64_t channel = c + n * VEC_LANES;
            struct f32x16 value = vec_zero();

            if (key < keys)
                value = lanes_load(v + key * row, bf16, channel, vec_lanes_left(cached->width, channel));
            for (int i = 0; i < count; i++)
                sum[i][n] = value_step(bf16, vec_set(queries->weights[i][key]), value, sum[i][n]);
        }
    }
    for (int i = 0; i < count; i++)
        for (int n = 0; n < vectors; n++)
            vec_store(queries->sums + i * cached->columns + c + n * VEC_LANES, sum[i][n]);
}

LANES_INLINE void add_values_typed(struct queries *queries, const int bf16, int64_t first, int64_t keys)
{
    int64_t columns = queries->cached->columns, c = 0;

    for (; queries->count == 1 && c + 4 * VEC_LANES <= columns; c += 4 * VEC_LANES)
        add_values_of(queries, bf16, 1, 4, first, keys, c);
    for (; c < columns; c += VEC_LANES) {
        if (queries->count == 1)
            add_values_of(queries, bf16, 1, 1, first, keys, c);
        else if (queries->count == 2)
            add_values_of(queries, bf16, 2, 1, first, keys, c);
        else if (queries->count == 3)
            add_values_of(queries, bf16, 3, 1, first, keys, c);
        else
            add_values_of(queries, bf16, 4, 1, first, keys, c);
    }
}

/* Apart, so that no operation moves over a change of the floating-point state. */
static __attribute__((noinline)) void add_values(struct queries *queries, int64_t first, int64_t keys)
{
    if (queries->cached->bf16)
        add_values_typed(queries, 1, first, keys);
    else
        add_values_typed(queries, 0, first, keys);
}

static void visit_block(struct queries *queries, int64_t first)
{
    int64_t left = queries->seen[queries->count - 1] - first, keys = left < BLOCK ? left : BLOCK;
    unsigned state;

    score(queries, first, keys);
    for (int i = 0; i < queries->count; i++)
        weigh(queries, i, first);
    add_weights(queries);
    state = float_state_set(queries->cached->bf16 && VEC_FORM != 1);
    add_values(queries, first, keys);
    float_state_restore(state);
}

static void finish(const struct queries *queries)
{
    const struct cached *cached = queries->cached;
    void *o = cached->call->operands[LLMRUN_ATTENTION_CACHED_O];

    for (int i = 0; i < queries->count; i++) {
        struct f32x16 factor = vec_set(1.0f / queries->total[i]);

        for (int64_t c = 0; c < cached->width; c += VEC_LANES)
            lanes_store(o, cached->bf16, queries->element[i] + c,
                        vec_fma(vec_load(queries->sums + i * cached->columns + c), factor, vec_zero()),
                        vec_lanes_left(cached->width, c));
    }
}

static void task(void *context, int64_t index, int thread)
{
    const struct cached *cached = context;
    char *scratch = (char *)cached->call->workspace + thread * scratch_bytes(cached);
    struct queries queries = {.cached = cached, .left = (uint32_t *)(void *)scratch};
    unsigned state = float_state_set(0);

    queries.sums = (float *)(void *)(scratch + left_bytes(cached));
    start(&queries, index % cached->kv_heads, index / cached->kv_heads);
    for (int64_t first = 0; first < queries.seen[queries.count - 1]; first += BLOCK)
        visit_block(&queries, first);
    finish(&queries);
    float_state_restore(state);
}

static void store(const struct kernel_call *call, int rows, int cache, int64_t position)
{
    const struct llmrun_tensor *tensor = &call->op->operands[rows];
    int64_t bytes = tensor->shape[1] * (tensor->dtype == LLMRUN_BF16 ? 2 : 4);

    memcpy((char *)call->operands[cache] + position * bytes, call->operands[rows], (size_t)(tensor->shape[0] * bytes));
}

static void fill_with_nan(const struct kernel_call *call)
{
    const struct llmrun_tensor *o = &call->op->operands[LLMRUN_ATTENTION_CACHED_O];

    for (int64_t i = 0; i < operand_elements(o); i++)
        lanes_store(call->operands[LLMRUN_ATTENTION_CACHED_O], o->dtype == LLMRUN_BF16, i, vec_set(NAN), 1);
}

static void run(const struct kernel_call *call)
{
    struct cached cached = cached_of_op(call->op);

    cached.call = call;
    cached.position = *(const int32_t *)call->operands[LLMRUN_ATTENTION_CACHED_POSITION];
    if (cached.position < 0 || cached.position > cached.capacity - cached.rows) {
        fill_with_nan(call);
        return;
    }
    store(call, LLMRUN_ATTENTION_CACHED_K, LLMRUN_ATTENTION_CACHED_K_CACHE, cached.position);
    store(call, LLMRUN_ATTENTION_CACHED_V, LLMRUN_ATTENTION_CACHED_V_CACHE, cached.position);
    pool_run(call->pool, cached.parts * cached.kv_heads, task, &cached);
}

static int query(const struct llmrun_op *op, int threads, int64_t *workspace_bytes, char *reason, size_t reason_bytes)
{
    struct cached cached;

    if (!operand_fit(op, 0, reason, reason_bytes))
        return 0;
    cached = cached_of_op(op);
    *workspace_bytes = threads * scratch_bytes(&cached);
    return 1;
}

extern const struct kernel KERNEL_NAME(attention_cached);
const struct kernel KERNEL_NAME(attention_cached) = {
    .name = "attention_cached " KERNEL_ISA_TEXT, .query = query, .run = run};
