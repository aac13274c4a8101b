/* attention: forward. A task is up to eight blocks of queries of one head. It walks over the blocks of keys and brings
 * each to all of its queries that see it, so that a block of keys is packed once for up to 512 queries. */
#include "kernels/attention_block.h"

#define TASK_BLOCKS      8 /* most of a task */
#define TASKS_PER_THREAD 8 /* at least, as long as there are blocks, so that threads end together */

struct forward {
    struct attention attention;
    int64_t task_blocks;
    int64_t parts; /* tasks of a head */
};

/* What a block of queries has after some blocks of keys. */
struct state {
    struct queries queries;
    uint32_t *panel; /* [words][BLOCK] of q */
    float *sums;     /* [query][columns]: o before it is divided */
    float *maximum;  /* [query] */
    float *total;    /* [query] sum of p */
    float *factor;   /* [query] for what was summed before the last block of keys */
};

/* What a task works on: one part a thread of the workspace. */
struct scratch {
    uint32_t *keys;    /* one block, as pack_rows makes it */
    uint32_t *values;  /* the same */
    float *scores;     /* [key][query] */
    uint32_t *weights; /* [key word][query] */
    float *factors;    /* [key][query] of dropout */
    struct state state[TASK_BLOCKS];
};

/* Lays the scratch out in `workspace`, which may be NULL; returns its bytes. */
static int64_t lay_out(const struct attention *a, void *workspace, struct scratch *s)
{
    struct arena arena = {workspace, 0};

    s->keys = arena_take(&arena, packed_rows_bytes(a));
    s->values = arena_take(&arena, packed_rows_bytes(a));
    s->scores = arena_take(&arena, BLOCK * BLOCK * 4);
    s->weights = arena_take(&arena, BLOCK * BLOCK * 4);
    s->factors = arena_take(&arena, a->threshold > 0 ? BLOCK * BLOCK * 4 : 0);
    for (int i = 0; i < TASK_BLOCKS; i++) {
        struct state *state = &s->state[i];

        state->panel = arena_take(&arena, a->words * BLOCK * 4);
        state->sums = arena_take(&arena, BLOCK * a->columns * 4);
        state->maximum = arena_take(&arena, BLOCK * 4);
        state->total = arena_take(&arena, BLOCK * 4);
        state->factor = arena_take(&arena, BLOCK * 4);
    }
    return arena.used;
}

/* Scales the scores of sixteen queries, masks them and finds the new maximum. Its order does not matter, so four keys
 * go side by side. */
static struct f32x16 block_maximum(const struct queries *queries, float scale, float *scores, int64_t key_block,
                                   int64_t keys, int64_t vector, struct f32x16 found)
{
    struct f32x16 lowest = vec_set(-INFINITY), maximum[2] = {found, lowest};
    int all = sees_all(queries, key_block);

    for (int64_t j = 0; j < keys; j += 2) {
        float *even = scores + j * BLOCK + vector * VEC_LANES, *odd = even + BLOCK;
        struct f32x16 x = vec_mul(vec_set(scale), vec_load(even)), y = vec_mul(vec_set(scale), vec_load(odd));

        if (!all) {
            x = vec_select(sees(queries, vector, key_block * BLOCK + j), x, lowest);
            y = vec_select(sees(queries, vector, key_block * BLOCK + j + 1), y, lowest);
        }
        vec_store(even, x);
        vec_store(odd, y);
        maximum[0] = vec_max(maximum[0], x);
        maximum[1] = vec_max(maximum[1], y);
    }
    return vec_max(maximum[0], maximum[1]);
}

/* Steps 1 to 4 of the definition for sixteen queries and one block of keys. */
static void weigh(const struct attention *a, const struct scratch *s, struct state *state, int64_t key_block,
                  int64_t keys, int64_t vector)
{
    int64_t at = vector * VEC_LANES, count = tile_keys(&state->queries, key_block, keys, vector);
    struct f32x16 before = vec_load(state->maximum + at);
    struct f32x16 maximum = block_maximum(&state->queries, a->scale, s->scores, key_block, count, vector, before);
    struct f32x16 factor = math_exp(vec_sub(before, maximum));
    struct f32x16 total = vec_mul(vec_load(state->total + at), factor);
    const float *scores = s->scores + at, *factors = s->factors + at;
    uint32_t *weights = s->weights;
    int bf16 = a->bf16, dropout = a->threshold > 0;

    for (int64_t j = 0; j < count; j += 2) {
        struct f32x16 even = math_exp(vec_sub(vec_load(scores + j * BLOCK), maximum));
        struct f32x16 odd = math_exp(vec_sub(vec_load(scores + (j + 1) * BLOCK), maximum));

        total = vec_add(vec_add(total, even), odd);
        if (dropout) {
            even = vec_mul(even, vec_load(factors + j * BLOCK));
            odd = vec_mul(odd, vec_load(factors + (j + 1) * BLOCK));
        }
        put_over_keys(bf16, weights, j, vector, even, odd);
    }
    for (int64_t j = count; j < keys; j += 2)
        put_over_keys(bf16, weights, j, vector, vec_zero(), vec_zero());
    vec_store(state->maximum + at, maximum);
    vec_store(state->total + at, total);
    vec_store(state->factor + at, factor);
}

static void scale_sums(const struct attention *a, struct state *state)
{
    for (int64_t i = 0; i < state->queries.end; i++) {
        struct f32x16 factor = vec_set(state->factor[i]);
        float *sums = state->sums + i * a->columns;

        if (state->factor[i] == 1.0f)
            continue;
        for (int64_t c = 0; c < a->columns; c += VEC_LANES)
            vec_store(sums + c, vec_mul(factor, vec_load(sums + c)));
    }
}

static void visit_keys(const struct attention *a, const struct scratch *s, struct state *state, struct rows keys,
                       struct rows values, int64_t key_block)
{
    int diagonal = key_block == state->queries.block;
    int64_t count = block_keys(a, key_block), vectors = (state->queries.end + VEC_LANES - 1) / VEC_LANES;
    struct attention_product scores = {
        .bf16 = a->bf16,
        .part = diagonal ? ATTENTION_PART_COLUMNS_FROM_ROW : ATTENTION_PART_ALL,
        .rows = count,
        .vectors = vectors,
        .words = a->words,
        .a = keys.left,
        .a_row = keys.left_row,
        .a_word = 4,
        .b = state->panel,
        .b_word = BLOCK * 4,
        .c = s->scores,
        .c_row = BLOCK,
    };
    struct attention_product sums = {
        .bf16 = a->bf16,
        .add = 1,
        .part = diagonal ? ATTENTION_PART_TERMS_TO_ROW : ATTENTION_PART_ALL,
        .rows = state->queries.end,
        .vectors = a->columns / VEC_LANES,
        .words = words_of(a->bf16, count),
        .a = s->weights,
        .a_row = 4,
        .a_word = BLOCK * 4,
        .b = values.right,
        .b_word = a->columns * 4,
        .c = state->sums,
        .c_row = a->columns,
    };

    KERNEL_NAME(attention_product)(&scores);
    for (int64_t vector = 0; vector < vectors; vector++)
        weigh(a, s, state, key_block, round_up(count, 2), vector);
    scale_sums(a, state);
    KERNEL_NAME(attention_product)(&sums);
}

static void start(const struct attention *a, struct state *state, int64_t sequence, int64_t head, int64_t block)
{
    queries_of(a, sequence, block, &state->queries);
    pack_panel(a, query_source(a, LLMRUN_ATTENTION_Q, sequence, head, &state->queries), state->panel);
    memset(state->sums, 0, (size_t)(BLOCK * a->columns) * sizeof(*state->sums));
    for (int i = 0; i < BLOCK; i++) {
        state->maximum[i] = -FLT_MAX;
        state->total[i] = 0.0f;
    }
}

static void finish(const struct attention *a, const struct state *state, int64_t sequence, int64_t head)
{
    float *lse = a->call->operands[LLMRUN_ATTENTION_LSE];
    float lses[BLOCK];

    for (int64_t i = 0; i < BLOCK; i += VEC_LANES)
        vec_store(lses + i, vec_add(vec_load(state->maximum + i), math_log(vec_load(state->total + i))));
    for (int64_t i = state->queries.from; i < state->queries.end; i++) {
        int64_t query = state->queries.block * BLOCK + i - a->query_first;
        void *row = query_row(a, LLMRUN_ATTENTION_O, sequence, head, query);

        store_scaled(a, state->sums + i * a->columns, 1.0f / state->total[i], row);
        lse[(sequence * a->sequence + query) * a->heads + head] = lses[i];
    }
}

/* Brings one block of keys to those of `count` blocks of queries that see it. */
static void bring_keys(const struct attention *a, struct scratch *s, int64_t count, int64_t sequence, int64_t head,
                       int64_t key_block)
{
    int64_t kv_head = head / a->group;
    struct rows keys = pack_rows(a, key_source(a, LLMRUN_ATTENTION_K, sequence, kv_head, key_block), s->keys);
    struct rows values = pack_rows(a, key_source(a, LLMRUN_ATTENTION_V, sequence, kv_head, key_block), s->values);

    for (int64_t i = 0; i < count; i++) {
        const struct queries *queries = &s->state[i].queries;

        if (key_block > queries->block || key_block < queries->first_key / BLOCK)
            continue;
        if (a->threshold > 0)
            dropout_factors(a, sequence, head, queries, key_block, s->factors);
        visit_keys(a, s, &s->state[i], keys, values, key_block);
    }
}

/* The blocks of queries with the longest walks come first, so that threads end together. */
static void task(void *context, int64_t index, int thread)
{
    const struct forward *forward = context;
    const struct attention *a = &forward->attention;
    int64_t before = (forward->parts - 1 - index % forward->parts) * forward->task_blocks;
    int64_t first = a->first_block + before, key_block = first;
    int64_t head = index / forward->parts % a->heads, sequence = index / forward->parts / a->heads;
    int64_t count = a->blocks - before < forward->task_blocks ? a->blocks - before : forward->task_blocks;
    struct scratch s;

    lay_out(a, (char *)a->call->workspace + thread * lay_out(a, NULL, &s), &s);
    for (int64_t i = 0; i < count; i++) {
        start(a, &s.state[i], sequence, head, first + i);
        if (s.state[i].queries.first_key / BLOCK < key_block)
            key_block = s.state[i].queries.first_key / BLOCK;
    }
    for (; key_block < first + count; key_block++)
        bring_keys(a, &s, count, sequence, head, key_block);
    for (int64_t i = 0; i < count; i++)
        finish(a, &s.state[i], sequence, head);
}

static void run(const struct kernel_call *call)
{
    struct forward forward = {.attention = attention_of_call(call)};
    int64_t rows = forward.attention.sequences * forward.attention.heads, blocks = forward.attention.blocks;

    forward.task_blocks = rows * blocks / (pool_threads(call->pool) * TASKS_PER_THREAD);
    if (forward.task_blocks > TASK_BLOCKS)
        forward.task_blocks = TASK_BLOCKS;
    if (forward.task_blocks < 1)
        forward.task_blocks = 1;
    forward.parts = (blocks + forward.task_blocks - 1) / forward.task_blocks;
    pool_run(call->pool, rows * forward.parts, task, &forward);
}

static int query(const struct llmrun_op *op, int threads, int64_t *workspace_bytes, char *reason, size_t reason_bytes)
{
    struct attention attention;
    struct scratch scratch;

    if (!KERNEL_NAME(attention_fit)(op, reason, reason_bytes))
        return 0;
    attention = attention_of_op(op);
    *workspace_bytes = threads * lay_out(&attention, NULL, &scratch);
    return 1;
}

extern const struct kernel KERNEL_NAME(attention);
const struct kernel KERNEL_NAME(attention) = {.name = "attention " KERNEL_ISA_TEXT, .query = query, .run = run};
