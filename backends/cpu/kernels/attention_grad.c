/* attention_grad. A task is one key-value head of one sequence. For each of its query heads it walks over the blocks of
 * keys, and within over the blocks of queries that see them: each key's dk and dv is then a chain over queries, and
 * each query's dq a chain over keys, both ascending. */
#include "kernels/attention_block.h"

#define MOST_HALVINGS 32 /* levels of the tree over the query heads of a group */

/* Gradients of all keys of a head: [key_blocks * BLOCK][columns] each. */
struct key_grads {
    float *keys;
    float *values;
};

/* What a task works on: one part a thread of the workspace. Blocks of one kind lie one after the other, those of
 * queries from first_block on. */
struct scratch {
    uint32_t *queries;    /* [block][words][BLOCK] */
    uint32_t *gradients;  /* of o, the same */
    uint32_t *outputs;    /* o of one block, the same */
    uint32_t *query_rows; /* [block], as pack_rows makes them */
    uint32_t *do_rows;    /* [block], as pack_rows makes them */
    float *query_grads;   /* [blocks * BLOCK][columns] */
    float *lse;           /* [blocks * BLOCK] */
    float *delta;         /* [blocks * BLOCK] */
    uint32_t *key_rows;   /* of one block */
    uint32_t *value_rows;
    float *scores;         /* [key][query] */
    float *products;       /* [key][query] do . v */
    float *factors;        /* [key][query] of dropout */
    uint32_t *weights;     /* [key][query word] */
    uint32_t *score_grads; /* the same */
    uint32_t *over_keys;   /* score_grads as [key word][query], where that is another form */
    struct queries *of_block;
    struct key_grads sums[MOST_HALVINGS]; /* of the heads so far, as many as their number has bits */
    int levels;
};

static int64_t lay_out(const struct attention *a, void *workspace, struct scratch *s)
{
    struct arena arena = {workspace, 0};
    int64_t positions = a->blocks * BLOCK, keys = a->key_blocks * BLOCK, tile = BLOCK * BLOCK * 4;

    s->queries = arena_take(&arena, a->words * positions * 4);
    s->gradients = arena_take(&arena, a->words * positions * 4);
    s->outputs = arena_take(&arena, a->words * BLOCK * 4);
    s->query_rows = arena_take(&arena, a->blocks * packed_rows_bytes(a));
    s->do_rows = arena_take(&arena, a->blocks * packed_rows_bytes(a));
    s->query_grads = arena_take(&arena, positions * a->columns * 4);
    s->lse = arena_take(&arena, positions * 4);
    s->delta = arena_take(&arena, positions * 4);
    s->key_rows = arena_take(&arena, packed_rows_bytes(a));
    s->value_rows = arena_take(&arena, packed_rows_bytes(a));
    s->scores = arena_take(&arena, tile);
    s->products = arena_take(&arena, tile);
    s->factors = arena_take(&arena, a->threshold > 0 ? tile : 0);
    s->weights = arena_take(&arena, tile);
    s->score_grads = arena_take(&arena, tile);
    s->over_keys = arena_take(&arena, tile);
    if (!a->bf16 || !ATTENTION_PAIRS)
        s->over_keys = s->score_grads;
    s->of_block = arena_take(&arena, a->blocks * (int64_t)sizeof(*s->of_block));
    for (s->levels = 0; a->group >> s->levels > 0; s->levels++) {
        s->sums[s->levels].keys = arena_take(&arena, keys * a->columns * 4);
        s->sums[s->levels].values = arena_take(&arena, keys * a->columns * 4);
    }
    return arena.used;
}

/* ---- once a query head ---------------------------------------------------------------------------------------------
 */

/* The fp32 numbers of a word, in the order of the summed axis. */
static struct f32x16 word_number(struct i32x16 word, int number)
{
    return vec_from_bits(number == 0 ? vec_int_shl(word, 16) : vec_int_and(word, vec_int_set(0xffff0000u)));
}

/* delta = chain over the head's width of do o, for each query of a block. */
static void find_deltas(const struct attention *a, const uint32_t *gradients, const uint32_t *outputs, float *delta)
{
    for (int64_t i = 0; i < BLOCK; i += VEC_LANES) {
        struct f32x16 sum = vec_zero();

        for (int64_t word = 0; word < a->words; word++) {
            struct i32x16 d = vec_int_load(gradients + word * BLOCK + i), o = vec_int_load(outputs + word * BLOCK + i);

            if (a->bf16 && ATTENTION_PAIRS) {
                sum = vec_fma(word_number(d, 0), word_number(o, 0), sum);
                sum = vec_fma(word_number(d, 1), word_number(o, 1), sum);
            } else {
                sum = vec_fma(vec_from_bits(d), vec_from_bits(o), sum);
            }
        }
        vec_store(delta + i, sum);
    }
}

static void load_queries(const struct attention *a, struct scratch *s, int64_t sequence, int64_t head, int64_t at)
{
    const struct queries *queries = &s->of_block[at];
    const float *lse = a->call->operands[LLMRUN_ATTENTION_GRAD_LSE];
    int64_t panel = a->words * BLOCK, packed = packed_rows_bytes(a) / 4;
    int64_t first = sequence * a->sequence + queries->block * BLOCK - a->query_first;
    struct source q = query_source(a, LLMRUN_ATTENTION_GRAD_Q, sequence, head, queries);
    struct source gradients = query_source(a, LLMRUN_ATTENTION_GRAD_DO, sequence, head, queries);

    pack_panel(a, q, s->queries + at * panel);
    pack_panel(a, gradients, s->gradients + at * panel);
    pack_panel(a, query_source(a, LLMRUN_ATTENTION_GRAD_O, sequence, head, queries), s->outputs);
    pack_rows(a, q, s->query_rows + at * packed);
    pack_rows(a, gradients, s->do_rows + at * packed);
    find_deltas(a, s->gradients + at * panel, s->outputs, s->delta + at * BLOCK);
    for (int64_t i = 0; i < BLOCK; i++)
        s->lse[at * BLOCK + i] = i >= queries->from && i < queries->end ? lse[(first + i) * a->heads + head] : 0.0f;
}

/* ---- one block of keys with one block of queries -------------------------------------------------------------------
 */

/* A tile of weights that is summed over queries: [key][query word]. */
VEC_INLINE void put_over_queries(int bf16, uint32_t *tile, int64_t key, int64_t vector, struct f32x16 x)
{
    if (bf16 && ATTENTION_PAIRS)
        vec_store_bf16((uint16_t *)(void *)(tile + key * BLOCK) + vector * VEC_LANES, x);
    else
        vec_int_store(tile + key * BLOCK + vector * VEC_LANES, vec_to_bits(bf16 ? vec_round_bf16(x) : x));
}

struct weighed {
    struct f32x16 weight;
    struct f32x16 score_grad;
};

/* Steps 1, 3 and 4 of the definition for one key and sixteen queries. */
VEC_INLINE struct weighed weigh(const struct attention *a, const struct scratch *s, const struct queries *queries,
                                int64_t key_block, int64_t j, int64_t vector, int all)
{
    int64_t first = (queries->block - a->first_block) * BLOCK + vector * VEC_LANES;
    int64_t at = j * BLOCK + vector * VEC_LANES;
    struct f32x16 x = vec_mul(vec_set(a->scale), vec_load(s->scores + at));
    struct f32x16 p = math_exp(vec_sub(x, vec_load(s->lse + first)));
    struct f32x16 gradient = vec_load(s->products + at);
    struct weighed weighed = {.weight = p};

    if (a->threshold > 0) {
        weighed.weight = vec_mul(p, vec_load(s->factors + at));
        gradient = vec_mul(gradient, vec_load(s->factors + at));
    }
    weighed.score_grad = vec_mul(p, vec_sub(gradient, vec_load(s->delta + first)));
    if (!all) {
        struct mask16 seen = sees(queries, vector, key_block * BLOCK + j);

        weighed.weight = vec_select(seen, weighed.weight, vec_zero());
        weighed.score_grad = vec_select(seen, weighed.score_grad, vec_zero());
    }
    return weighed;
}

static void weigh_tile(const struct attention *a, struct scratch *s, const struct queries *queries, int64_t key_block,
                       int64_t vector)
{
    int64_t keys = round_up(block_keys(a, key_block), 2), count = tile_keys(queries, key_block, keys, vector);
    int all = sees_all(queries, key_block), pairs = a->bf16 && ATTENTION_PAIRS;
    struct weighed none = {vec_zero(), vec_zero()};

    for (int64_t j = 0; j < keys; j += 2) {
        struct weighed even = j < count ? weigh(a, s, queries, key_block, j, vector, all) : none;
        struct weighed odd = j < count ? weigh(a, s, queries, key_block, j + 1, vector, all) : none;

        put_over_queries(a->bf16, s->weights, j, vector, even.weight);
        put_over_queries(a->bf16, s->weights, j + 1, vector, odd.weight);
        put_over_queries(a->bf16, s->score_grads, j, vector, even.score_grad);
        put_over_queries(a->bf16, s->score_grads, j + 1, vector, odd.score_grad);
        if (pairs)
            put_over_keys(a->bf16, s->over_keys, j, vector, even.score_grad, odd.score_grad);
    }
}

/* A block of keys: its rows and where its gradients are summed. */
struct keys {
    int64_t block;
    int64_t count;
    struct rows keys;
    struct rows values;
    struct key_grads grads;
    int met; /* by a block of queries */
};

/* scores = k q and products = v do, as far as a diagonal block needs them. */
static void find_scores(const struct attention *a, struct scratch *s, const struct queries *queries,
                        const struct keys *keys, int diagonal)
{
    int64_t panel = (queries->block - a->first_block) * a->words * BLOCK;
    struct attention_product product = {
        .bf16 = a->bf16,
        .part = diagonal ? ATTENTION_PART_COLUMNS_FROM_ROW : ATTENTION_PART_ALL,
        .rows = keys->count,
        .vectors = (queries->end + VEC_LANES - 1) / VEC_LANES,
        .words = a->words,
        .a = keys->keys.left,
        .a_row = keys->keys.left_row,
        .a_word = 4,
        .b = s->queries + panel,
        .b_word = BLOCK * 4,
        .c = s->scores,
        .c_row = BLOCK,
    };

    KERNEL_NAME(attention_product)(&product);
    product.a = keys->values.left;
    product.a_row = keys->values.left_row;
    product.b = s->gradients + panel;
    product.c = s->products;
    KERNEL_NAME(attention_product)(&product);
}

static void add_gradients(const struct attention *a, struct scratch *s, const struct queries *queries,
                          const struct keys *keys)
{
    int64_t at = queries->block - a->first_block, rows = at * (packed_rows_bytes(a) / 4);
    int diagonal = queries->block == keys->block;
    struct attention_product product = {
        .bf16 = a->bf16,
        .add = keys->met,
        .part = diagonal ? ATTENTION_PART_TERMS_FROM_ROW : ATTENTION_PART_ALL,
        .rows = keys->count,
        .vectors = a->columns / VEC_LANES,
        .words = words_of(a->bf16, queries->end),
        .a = s->weights,
        .a_row = BLOCK * 4,
        .a_word = 4,
        .b = s->do_rows + rows,
        .b_word = a->columns * 4,
        .c = keys->grads.values,
        .c_row = a->columns,
    };

    KERNEL_NAME(attention_product)(&product);
    product.a = s->score_grads;
    product.b = s->query_rows + rows;
    product.c = keys->grads.keys;
    KERNEL_NAME(attention_product)(&product);
    product = (struct attention_product){
        .bf16 = a->bf16,
        .add = keys->block > queries->first_key / BLOCK,
        .part = diagonal ? ATTENTION_PART_TERMS_TO_ROW : ATTENTION_PART_ALL,
        .rows = queries->end,
        .vectors = a->columns / VEC_LANES,
        .words = words_of(a->bf16, keys->count),
        .a = s->over_keys,
        .a_row = 4,
        .a_word = BLOCK * 4,
        .b = keys->keys.right,
        .b_word = a->columns * 4,
        .c = s->query_grads + at * BLOCK * a->columns,
        .c_row = a->columns,
    };
    KERNEL_NAME(attention_product)(&product);
}

static void visit_queries(const struct attention *a, struct scratch *s, int64_t sequence, int64_t head,
                          struct keys *keys, const struct queries *queries)
{
    if (queries->first_key >= (keys->block + 1) * BLOCK)
        return;
    find_scores(a, s, queries, keys, queries->block == keys->block);
    if (a->threshold > 0)
        dropout_factors(a, sequence, head, queries, keys->block, s->factors);
    for (int64_t vector = 0; vector * VEC_LANES < queries->end; vector++)
        weigh_tile(a, s, queries, keys->block, vector);
    add_gradients(a, s, queries, keys);
    keys->met = 1;
}

/* One query head: dq into s->query_grads, its part of dk and dv into `grads`. */
static void visit_head(const struct attention *a, struct scratch *s, int64_t sequence, int64_t head,
                       const struct key_grads *grads)
{
    int64_t kv_head = head / a->group;

    for (int64_t at = 0; at < a->blocks; at++)
        load_queries(a, s, sequence, head, at);
    for (int64_t block = 0; block < a->key_blocks; block++) {
        int64_t first = block * BLOCK * a->columns;
        struct source k = key_source(a, LLMRUN_ATTENTION_GRAD_K, sequence, kv_head, block);
        struct source v = key_source(a, LLMRUN_ATTENTION_GRAD_V, sequence, kv_head, block);
        struct keys keys = {block,
                            k.end,
                            pack_rows(a, k, s->key_rows),
                            pack_rows(a, v, s->value_rows),
                            {grads->keys + first, grads->values + first},
                            0};

        for (int64_t at = block > a->first_block ? block - a->first_block : 0; at < a->blocks; at++)
            visit_queries(a, s, sequence, head, &keys, &s->of_block[at]);
        if (!keys.met) {
            memset(keys.grads.keys, 0, (size_t)(BLOCK * a->columns) * sizeof(float));
            memset(keys.grads.values, 0, (size_t)(BLOCK * a->columns) * sizeof(float));
        }
    }
}

/* ---- results
 * --------------------------------------------------------------------------------------------------------- */

/* fma(sum, scale, +0) of `count` rows of a head, rounded to the type of the operand. */
static void write_grads(const struct attention *a, const float *sums, float scale, int64_t count, char *rows,
                        int64_t stride)
{
    for (int64_t i = 0; i < count; i++)
        store_scaled(a, sums + i * a->columns, scale, rows + i * stride);
}

static void add_sums(float *to, const float *from, int64_t count)
{
    for (int64_t i = 0; i < count; i += VEC_LANES)
        vec_store(to + i, vec_add(vec_load(to + i), vec_load(from + i)));
}

/* Adds the last sums of the stack to those before them. */
static void join_sums(const struct attention *a, struct scratch *s, int top)
{
    add_sums(s->sums[top - 1].keys, s->sums[top].keys, a->keys * a->columns);
    add_sums(s->sums[top - 1].values, s->sums[top].values, a->keys * a->columns);
}

/* The heads of the group make a tree as a binary counter does: the stack holds a sum for each bit of their number. */
static void task(void *context, int64_t index, int thread)
{
    const struct attention *a = context;
    int64_t sequence = index / a->kv_heads, kv_head = index % a->kv_heads, stride = row_bytes(a, a->kv_heads);
    int64_t first = a->query_first % BLOCK * a->columns; /* of dq */
    struct scratch s;
    int depth = 0;

    lay_out(a, (char *)a->call->workspace + thread * lay_out(a, NULL, &s), &s);
    for (int64_t at = 0; at < a->blocks; at++)
        queries_of(a, sequence, a->first_block + at, &s.of_block[at]);
    for (int64_t g = 0; g < a->group; g++) {
        int64_t head = kv_head * a->group + g;

        visit_head(a, &s, sequence, head, &s.sums[depth++]);
        write_grads(a, s.query_grads + first, a->scale, a->sequence,
                    query_row(a, LLMRUN_ATTENTION_GRAD_DQ, sequence, head, 0), row_bytes(a, a->heads));
        for (int64_t bits = g; bits & 1; bits >>= 1)
            join_sums(a, &s, --depth);
    }
    while (depth > 1)
        join_sums(a, &s, --depth);
    write_grads(a, s.sums[0].keys, a->scale, a->keys, key_row(a, LLMRUN_ATTENTION_GRAD_DK, sequence, kv_head, 0),
                stride);
    write_grads(a, s.sums[0].values, 1.0f, a->keys, key_row(a, LLMRUN_ATTENTION_GRAD_DV, sequence, kv_head, 0), stride);
}

static void run(const struct kernel_call *call)
{
    struct attention attention = attention_of_call(call);

    pool_run(call->pool, attention.sequences * attention.kv_heads, task, &attention);
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

extern const struct kernel KERNEL_NAME(attention_grad);
const struct kernel KERNEL_NAME(attention_grad) = {
    .name = "attention_grad " KERNEL_ISA_TEXT, .query = query, .run = run};
