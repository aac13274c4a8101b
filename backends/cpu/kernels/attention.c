/* attention: forward. A task is a block of 64 queries of one head; it walks over the blocks of keys. */
#include "kernels/attention_block.h"

/* What a task works on: one part a thread of the workspace. */
struct scratch {
    uint32_t *queries; /* [words][BLOCK] */
    uint32_t *keys;    /* [BLOCK][columns], where rows are packed */
    uint32_t *values;  /* the same */
    float *scores;     /* [key][query] */
    uint32_t *weights; /* [key word][query] */
    float *factors;    /* [key][query] of dropout */
    float *sums;       /* [query][columns]: o before it is divided */
    float *maximum;    /* [query] */
    float *total;      /* [query] sum of p */
    float *factor;     /* [query] for what was summed before */
};

/* Lays the scratch out in `workspace`, which may be NULL; returns its bytes. */
static int64_t lay_out(const struct attention *a, void *workspace, struct scratch *s)
{
    struct arena arena = {workspace, 0};

    s->queries = arena_take(&arena, a->words * BLOCK * 4);
    s->keys = arena_take(&arena, packed_rows_bytes(a));
    s->values = arena_take(&arena, packed_rows_bytes(a));
    s->scores = arena_take(&arena, BLOCK * BLOCK * 4);
    s->weights = arena_take(&arena, BLOCK * BLOCK * 4);
    s->factors = arena_take(&arena, a->threshold > 0 ? BLOCK * BLOCK * 4 : 0);
    s->sums = arena_take(&arena, BLOCK * a->columns * 4);
    s->maximum = arena_take(&arena, BLOCK * 4);
    s->total = arena_take(&arena, BLOCK * 4);
    s->factor = arena_take(&arena, BLOCK * 4);
    return arena.used;
}

/* Scales the scores of sixteen queries, masks them and finds the new maximum. Its order does not matter, so four keys
 * go side by side. */
static struct f32x16 block_maximum(const struct attention *a, struct scratch *s, const struct queries *queries,
                                   int64_t key_block, int64_t keys, int64_t vector)
{
    struct f32x16 lowest = vec_set(-INFINITY), scale = vec_set(a->scale);
    struct f32x16 maximum[4] = {vec_load(s->maximum + vector * VEC_LANES), lowest, lowest, lowest};
    int all = sees_all(queries, key_block);

    for (int64_t j = 0; j < keys; j++) {
        float *at = s->scores + j * BLOCK + vector * VEC_LANES;
        struct f32x16 x = vec_mul(scale, vec_load(at));

        if (!all)
            x = vec_select(sees(queries, vector, key_block * BLOCK + j), x, lowest);
        vec_store(at, x);
        maximum[j % 4] = vec_max(maximum[j % 4], x);
    }
    return vec_max(vec_max(maximum[0], maximum[1]), vec_max(maximum[2], maximum[3]));
}

/* Steps 1 to 4 of the definition for sixteen queries and one block of keys. */
static void weigh(const struct attention *a, struct scratch *s, const struct queries *queries, int64_t key_block,
                  int64_t keys, int64_t vector)
{
    int64_t at = vector * VEC_LANES, count = tile_keys(queries, key_block, keys, vector);
    struct f32x16 maximum = block_maximum(a, s, queries, key_block, count, vector);
    struct f32x16 factor = math_exp(vec_sub(vec_load(s->maximum + at), maximum));
    struct f32x16 total = vec_mul(vec_load(s->total + at), factor);

    for (int64_t j = 0; j < count; j += 2) {
        struct f32x16 even = math_exp(vec_sub(vec_load(s->scores + j * BLOCK + at), maximum));
        struct f32x16 odd = math_exp(vec_sub(vec_load(s->scores + (j + 1) * BLOCK + at), maximum));

        total = vec_add(vec_add(total, even), odd);
        if (a->threshold > 0) {
            even = vec_mul(even, vec_load(s->factors + j * BLOCK + at));
            odd = vec_mul(odd, vec_load(s->factors + (j + 1) * BLOCK + at));
        }
        put_over_keys(a->bf16, s->weights, j, vector, even, odd);
    }
    for (int64_t j = count; j < keys; j += 2)
        put_over_keys(a->bf16, s->weights, j, vector, vec_zero(), vec_zero());
    vec_store(s->maximum + at, maximum);
    vec_store(s->total + at, total);
    vec_store(s->factor + at, factor);
}

static void scale_sums(const struct attention *a, struct scratch *s, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        struct f32x16 factor = vec_set(s->factor[i]);

        if (s->factor[i] == 1.0f)
            continue;
        for (int64_t c = 0; c < a->columns; c += VEC_LANES)
            vec_store(s->sums + i * a->columns + c, vec_mul(factor, vec_load(s->sums + i * a->columns + c)));
    }
}

static void visit_keys(const struct attention *a, struct scratch *s, const struct queries *queries, int64_t sequence,
                       int64_t head, int64_t key_block)
{
    int64_t stride = row_bytes(a, a->kv_heads), count = block_rows(a, key_block), kv_head = head / a->group;
    struct rows keys = pack_rows(a, row_at(a, LLMRUN_ATTENTION_K, a->kv_heads, sequence, kv_head, key_block * BLOCK),
                                 stride, count, s->keys);
    struct rows values = pack_rows(a, row_at(a, LLMRUN_ATTENTION_V, a->kv_heads, sequence, kv_head, key_block * BLOCK),
                                   stride, count, s->values);
    int diagonal = key_block == queries->block;
    int64_t vectors = (queries->count + VEC_LANES - 1) / VEC_LANES;
    struct attention_product scores = {
        .bf16 = a->bf16,
        .part = diagonal ? ATTENTION_PART_COLUMNS_FROM_ROW : ATTENTION_PART_ALL,
        .rows = count,
        .vectors = vectors,
        .words = a->words,
        .a = keys.left,
        .a_row = keys.left_row,
        .a_word = 4,
        .b = s->queries,
        .b_word = BLOCK * 4,
        .c = s->scores,
        .c_row = BLOCK,
    };
    struct attention_product sums = {
        .bf16 = a->bf16,
        .add = 1,
        .part = diagonal ? ATTENTION_PART_TERMS_TO_ROW : ATTENTION_PART_ALL,
        .rows = queries->count,
        .vectors = a->columns / VEC_LANES,
        .words = words_of(a->bf16, count),
        .a = s->weights,
        .a_row = 4,
        .a_word = BLOCK * 4,
        .b = values.right,
        .b_word = values.right_word,
        .c = s->sums,
        .c_row = a->columns,
    };

    KERNEL_NAME(attention_product)(&scores);
    if (a->threshold > 0)
        dropout_factors(a, sequence, head, queries, key_block, s->factors);
    for (int64_t vector = 0; vector < vectors; vector++)
        weigh(a, s, queries, key_block, round_up(count, 2), vector);
    scale_sums(a, s, queries->count);
    KERNEL_NAME(attention_product)(&sums);
}

static void finish(const struct attention *a, struct scratch *s, const struct queries *queries, int64_t sequence,
                   int64_t head)
{
    float *lse = a->call->operands[LLMRUN_ATTENTION_LSE];
    float lses[BLOCK];

    for (int64_t i = 0; i < BLOCK; i += VEC_LANES)
        vec_store(lses + i, vec_add(vec_load(s->maximum + i), math_log(vec_load(s->total + i))));
    for (int64_t i = 0; i < queries->count; i++) {
        int64_t position = queries->block * BLOCK + i;
        void *row = row_at(a, LLMRUN_ATTENTION_O, a->heads, sequence, head, position);
        struct f32x16 inverse = vec_set(1.0f / s->total[i]);

        for (int64_t c = 0; c < a->width; c += VEC_LANES) {
            struct f32x16 o = vec_fma(vec_load(s->sums + i * a->columns + c), inverse, vec_zero());

            if (a->bf16)
                vec_store_bf16_part((uint16_t *)row + c, o, vec_lanes_left(a->width, c));
            else
                vec_store_part((float *)row + c, o, vec_lanes_left(a->width, c));
        }
        lse[(sequence * a->sequence + position) * a->heads + head] = lses[i];
    }
}

/* The longest walks of a head come first, so that threads end together. */
static void task(void *context, int64_t index, int thread)
{
    const struct attention *a = context;
    int64_t block = a->blocks - 1 - index % a->blocks;
    int64_t head = index / a->blocks % a->heads, sequence = index / a->blocks / a->heads;
    struct queries queries;
    struct scratch s;
    int64_t bytes = lay_out(a, a->call->workspace, &s);

    lay_out(a, (char *)a->call->workspace + thread * bytes, &s);
    queries_of(a, sequence, block, &queries);
    pack_panel(a, row_at(a, LLMRUN_ATTENTION_Q, a->heads, sequence, head, block * BLOCK), row_bytes(a, a->heads),
               queries.count, s.queries);
    memset(s.sums, 0, (size_t)(BLOCK * a->columns) * sizeof(*s.sums));
    for (int i = 0; i < BLOCK; i++) {
        s.maximum[i] = -FLT_MAX;
        s.total[i] = 0.0f;
    }
    for (int64_t key_block = queries.first_key / BLOCK; key_block <= block; key_block++)
        visit_keys(a, &s, &queries, sequence, head, key_block);
    finish(a, &s, &queries, sequence, head);
}

static void run(const struct kernel_call *call)
{
    struct attention attention = attention_of_call(call);

    pool_run(call->pool, attention.sequences * attention.heads * attention.blocks, task, &attention);
}

static int query(const struct llmrun_op *op, int threads, int64_t *workspace_bytes, char *reason, size_t reason_bytes)
{
    struct attention attention;
    struct scratch scratch;

    if (!KERNEL_NAME(attention_fit)(op, "ccciucf", reason, reason_bytes))
        return 0;
    attention = attention_of_op(op);
    *workspace_bytes = threads * lay_out(&attention, NULL, &scratch);
    return 1;
}

extern const struct kernel KERNEL_NAME(attention);
const struct kernel KERNEL_NAME(attention) = {.name = "attention " KERNEL_ISA_TEXT, .query = query, .run = run};
