/* What the forward and the backward kernel of attention share: the call, the blocks it is cut into, and the forms that
 * attention_product.h wants operands in. For sources that are compiled once for each instruction set.
 *
 * Keys are taken in blocks of 64, which is part of the definition (docs/numerics.md). Queries stand in the same blocks
 * of positions, so that the first and the last of these blocks may not be full. A tile has a row a key and a column a
 * query: the sixteen lanes are sixteen queries, so what softmax does along the keys of a query it does in order, and
 * the same on every instruction set. */
#ifndef LLMRUN_CPU_ATTENTION_BLOCK_H
#define LLMRUN_CPU_ATTENTION_BLOCK_H

#include <float.h>
#include <llmrun/random.h>
#include <math.h>
#include <string.h>

#include "kernels/attention_product.h"
#include "kernels/math.h"
#include "kernels/philox.h"
#include "runtime/operand.h"

#define BLOCK 64

/* attention or attention_grad, whose first six operands and whose attributes are the same. */
struct attention {
    const struct kernel_call *call;
    int bf16;
    int64_t element_bytes;
    int64_t sequences;
    int64_t sequence; /* queries */
    int64_t keys;
    int64_t query_first; /* position of the first query */
    int64_t first_block; /* of positions, that has queries */
    int64_t blocks;      /* that have queries */
    int64_t key_blocks;
    int64_t documents; /* elements of document_offsets */
    int64_t heads;
    int64_t heads_full, head_first; /* as dropout counts them */
    int64_t kv_heads;
    int64_t group;   /* query heads of one key-value head */
    int64_t width;   /* of a head */
    int64_t words;   /* of a head, as products take it on the summed axis */
    int64_t columns; /* of a head, in whole vectors */
    float scale;
    float keep; /* 1 / (1 - dropout) */
    uint32_t threshold;
    const uint32_t *random; /* or NULL */
};

static inline int64_t round_up(int64_t x, int64_t multiple)
{
    return (x + multiple - 1) / multiple * multiple;
}

/* Positions as words of the summed axis. */
static inline int64_t words_of(int bf16, int64_t positions)
{
    int64_t elements = attention_word_elements(bf16);

    return round_up((positions + elements - 1) / elements, attention_step_words(bf16));
}

static inline struct attention attention_of_op(const struct llmrun_op *op)
{
    const struct llmrun_attention_attributes *attributes = op->attributes;
    const struct llmrun_tensor *q = &op->operands[LLMRUN_ATTENTION_Q];
    int bf16 = q->dtype == LLMRUN_BF16;
    int64_t width = q->shape[1] / attributes->heads;

    return (struct attention){
        .bf16 = bf16,
        .element_bytes = bf16 ? 2 : 4,
        .sequences = q->shape[0] / attributes->seq_len,
        .sequence = attributes->seq_len,
        .keys = attributes->keys,
        .query_first = attributes->query_first,
        .first_block = attributes->query_first / BLOCK,
        .blocks = (attributes->query_first % BLOCK + attributes->seq_len + BLOCK - 1) / BLOCK,
        .key_blocks = (attributes->keys + BLOCK - 1) / BLOCK,
        .documents = op->operands[LLMRUN_ATTENTION_DOCUMENT_OFFSETS].shape[0],
        .heads = attributes->heads,
        .heads_full = (attributes->kv_heads_full > 0 ? attributes->kv_heads_full : attributes->kv_heads) *
                      (attributes->heads / attributes->kv_heads),
        .head_first = (int64_t)attributes->kv_head_first * (attributes->heads / attributes->kv_heads),
        .kv_heads = attributes->kv_heads,
        .group = attributes->heads / attributes->kv_heads,
        .width = width,
        .words = words_of(bf16, width),
        .columns = round_up(width, VEC_LANES),
        .scale = attributes->scale,
        .keep = 1.0f / (1.0f - attributes->dropout),
        .threshold = llmrun_dropout_threshold(attributes->dropout),
    };
}

static inline struct attention attention_of_call(const struct kernel_call *call)
{
    struct attention attention = attention_of_op(call->op);

    attention.call = call;
    attention.random = call->operands[LLMRUN_ATTENTION_RNG_STATE];
    return attention;
}

/* A thread's part of the workspace, handed out in pieces; without memory it only counts. */
struct arena {
    char *memory;
    int64_t used;
};

static inline void *arena_take(struct arena *arena, int64_t bytes)
{
    char *taken = arena->memory == NULL ? NULL : arena->memory + arena->used;

    arena->used += round_up(bytes, 64);
    return taken;
}

/* Where this build takes `op`: see attention_product.h for the two forms of bf16. */
int KERNEL_NAME(attention_fit)(const struct llmrun_op *op, char *reason, size_t reason_bytes);

/* ---- positions and their rows ------------------------------------------------------------------------------------ */

/* The queries of a block, and what they see. */
struct queries {
    int64_t block;
    int64_t from;          /* the first place of the block that is a query */
    int64_t end;           /* one past the last */
    int64_t first_key;     /* smallest start of a segment */
    int64_t last_start;    /* largest one */
    uint32_t start[BLOCK]; /* first key of each query */
    uint32_t seen[BLOCK];  /* number of keys from there on; 0 for queries that do not exist */
};

/* Where the keys of a query begin. */
static inline int64_t start_of(const struct attention *a, int64_t sequence, int64_t query)
{
    const int32_t *starts = a->call->operands[LLMRUN_ATTENTION_SEGMENT_STARTS];
    const int32_t *offsets = a->call->operands[LLMRUN_ATTENTION_DOCUMENT_OFFSETS];
    int64_t begin = sequence * a->keys, low = 0, high = a->documents;

    if (starts != NULL)
        return starts[sequence * a->sequence + query];
    if (offsets == NULL)
        return 0;
    while (high - low > 1) {
        int64_t middle = (low + high) / 2;

        if (offsets[middle] <= begin + a->query_first + query)
            low = middle;
        else
            high = middle;
    }
    return offsets[low] > begin ? offsets[low] - begin : 0;
}

static inline void queries_of(const struct attention *a, int64_t sequence, int64_t block, struct queries *queries)
{
    int64_t first = block * BLOCK, end = a->query_first + a->sequence - first;

    memset(queries, 0, sizeof(*queries));
    queries->block = block;
    queries->from = a->query_first > first ? a->query_first - first : 0;
    queries->end = end < BLOCK ? end : BLOCK;
    queries->first_key = first;
    for (int64_t i = queries->from; i < queries->end; i++) {
        int64_t start = start_of(a, sequence, first + i - a->query_first);

        queries->start[i] = (uint32_t)start;
        queries->seen[i] = (uint32_t)(first + i + 1 - start);
        if (start < queries->first_key)
            queries->first_key = start;
        if (start > queries->last_start)
            queries->last_start = start;
    }
}

/* Keys of block `block`. */
static inline int64_t block_keys(const struct attention *a, int64_t block)
{
    return a->keys - block * BLOCK < BLOCK ? a->keys - block * BLOCK : BLOCK;
}

/* Bytes from row to row of an operand with `heads` heads, and the addresses of rows: of a query, counted from the first
 * one of the sequence, and of a key. */
static inline int64_t row_bytes(const struct attention *a, int64_t heads)
{
    return heads * a->width * a->element_bytes;
}

static inline char *query_row(const struct attention *a, int operand, int64_t sequence, int64_t head, int64_t query)
{
    char *data = a->call->operands[operand];

    return data + (sequence * a->sequence + query) * row_bytes(a, a->heads) + head * a->width * a->element_bytes;
}

static inline char *key_row(const struct attention *a, int operand, int64_t sequence, int64_t kv_head, int64_t key)
{
    char *data = a->call->operands[operand];

    return data + (sequence * a->keys + key) * row_bytes(a, a->kv_heads) + kv_head * a->width * a->element_bytes;
}

/* The rows of a block in an operand: those of its places `from` to end - 1. */
struct source {
    const char *rows; /* of place `from` */
    int64_t stride;   /* bytes */
    int64_t from, end;
};

static inline struct source query_source(const struct attention *a, int operand, int64_t sequence, int64_t head,
                                         const struct queries *queries)
{
    int64_t query = queries->block * BLOCK + queries->from - a->query_first;

    return (struct source){query_row(a, operand, sequence, head, query), row_bytes(a, a->heads), queries->from,
                           queries->end};
}

static inline struct source key_source(const struct attention *a, int operand, int64_t sequence, int64_t kv_head,
                                       int64_t block)
{
    return (struct source){key_row(a, operand, sequence, kv_head, block * BLOCK), row_bytes(a, a->kv_heads), 0,
                           block_keys(a, block)};
}

/* NULL where the block has no row. */
static inline const char *source_row(const struct source *source, int64_t place)
{
    return place < source->from || place >= source->end ? NULL : source->rows + (place - source->from) * source->stride;
}

/* ---- operands in the form of products --------------------------------------------------------------------------- */

/* `words` words of a row from `word` on, as they stand in memory or widened; lanes beyond the row are 0. */
VEC_INLINE struct i32x16 load_words(const struct attention *a, const char *row, int64_t word)
{
    int left = vec_lanes_left(a->bf16 && ATTENTION_PAIRS ? a->width / 2 : a->width, word);

    if (left <= 0)
        return vec_int_set(0);
    if (a->bf16 && !ATTENTION_PAIRS)
        return vec_to_bits(vec_load_bf16_part((const uint16_t *)(const void *)row + word, left, 0.0f));
    return vec_to_bits(vec_load_part((const float *)(const void *)row + word, left, 0.0f));
}

/* Rows of a head lie far apart, so the processor does not foresee them: fetches the rows of the next block, to be there
 * when its turn comes. Addresses beyond the operand do no harm. */
static inline void fetch_next_block(const struct attention *a, const struct source *source)
{
    for (int64_t place = source->from; place < source->end; place++) {
        uintptr_t next = (uintptr_t)source->rows + (uintptr_t)((place - source->from + BLOCK) * source->stride);

        for (int64_t byte = 0; byte < a->width * a->element_bytes; byte += 64)
            __builtin_prefetch((const char *)next + byte, 0, 2);
    }
}

/* panel[word][query]; queries that are not there are 0. */
static inline void pack_panel(const struct attention *a, struct source source, uint32_t *panel)
{
    uint32_t lanes[4][VEC_LANES];

    fetch_next_block(a, &source);
    for (int64_t word = 0; word < a->words; word += VEC_LANES)
        for (int64_t place = 0; place < BLOCK; place += 4) {
            struct i32x16 v[4];

            for (int r = 0; r < 4; r++) {
                const char *row = source_row(&source, place + r);

                v[r] = row != NULL ? load_words(a, row, word) : vec_int_set(0);
            }
            vec_int_transpose4(v);
            for (int r = 0; r < 4; r++)
                vec_int_store(lanes[r], v[r]);
            for (int w = 0; w < VEC_LANES && word + w < a->words; w++)
                memcpy(panel + (word + w) * BLOCK + place, lanes[w % 4] + w / 4 * 4, 4 * sizeof(*panel));
        }
}

/* Rows of positions, both as the left operand (a row a position, summed over the head's width) and as the right one (a
 * vector of the head's width, summed over positions). */
struct rows {
    const void *left;
    int64_t left_row;  /* bytes */
    const void *right; /* words, a->columns of them for each word of positions */
};

static inline int64_t packed_rows_bytes(const struct attention *a)
{
    return BLOCK * a->columns * 4;
}

/* Sixteen bf16 numbers of a row from column `c` on, widened; 0 beyond the head's width and where there is no row. */
static inline struct i32x16 load_bf16(const struct attention *a, const char *row, int64_t c)
{
    return row == NULL ? vec_int_set(0)
                       : vec_to_bits(vec_load_bf16_part((const uint16_t *)(const void *)row + c,
                                                        vec_lanes_left(a->width, c), 0.0f));
}

/* Packs rows, which in memory may be far apart and share few sets of the cache; those that are not there are 0. Only of
 * a source from place 0 on they are a left operand. */
static inline struct rows pack_rows(const struct attention *a, struct source source, uint32_t *packed)
{
    fetch_next_block(a, &source);
    if (a->bf16 && ATTENTION_PAIRS) {
        for (int64_t place = 0; place < BLOCK; place += 2) {
            const char *even = source_row(&source, place), *odd = source_row(&source, place + 1);

            for (int64_t c = 0; c < a->columns; c += VEC_LANES)
                vec_int_store(packed + place / 2 * a->columns + c,
                              vec_int_or(vec_int_shr(load_bf16(a, even, c), 16), load_bf16(a, odd, c)));
        }
        return (struct rows){source.rows, source.stride, packed};
    }
    for (int64_t place = 0; place < BLOCK; place++) {
        const char *row = source_row(&source, place);

        for (int64_t c = 0; c < a->columns; c += VEC_LANES)
            vec_int_store(packed + place * a->columns + c, row != NULL ? load_words(a, row, c) : vec_int_set(0));
    }
    return (struct rows){packed, a->columns * 4, packed};
}

/* to[c] = fma(sums[c], factor, +0) over the head's width, rounded to the type of the call. */
VEC_INLINE void store_scaled(const struct attention *a, const float *sums, float factor, void *to)
{
    for (int64_t c = 0; c < a->width; c += VEC_LANES) {
        struct f32x16 x = vec_fma(vec_load(sums + c), vec_set(factor), vec_zero());

        if (a->bf16)
            vec_store_bf16_part((uint16_t *)to + c, x, vec_lanes_left(a->width, c));
        else
            vec_store_part((float *)to + c, x, vec_lanes_left(a->width, c));
    }
}

/* ---- the elements of tiles --------------------------------------------------------------------------------------- */

/* Every query of the block sees every key of the block. */
static inline int sees_all(const struct queries *queries, int64_t key_block)
{
    return key_block < queries->block && queries->last_start <= key_block * BLOCK &&
           queries->end - queries->from == BLOCK;
}

/* Which of sixteen queries see the key. */
static inline struct mask16 sees(const struct queries *queries, int64_t vector, int64_t key)
{
    struct i32x16 start = vec_int_load(queries->start + vector * VEC_LANES);
    struct i32x16 seen = vec_int_load(queries->seen + vector * VEC_LANES);

    return vec_int_below(vec_int_sub(vec_int_set((uint32_t)key), start), seen);
}

/* Keys of a tile that sixteen queries can see, rounded up to even: on the diagonal not those after the last query. */
static inline int64_t tile_keys(const struct queries *queries, int64_t key_block, int64_t keys, int64_t vector)
{
    int64_t most = key_block == queries->block ? (vector + 1) * VEC_LANES : BLOCK;

    return round_up(keys < most ? keys : most, 2);
}

/* factor[key][query] = keep where dropout keeps the weight, else 0; 0 for queries that do not exist. */
static inline void dropout_factors(const struct attention *a, int64_t sequence, int64_t head,
                                   const struct queries *queries, int64_t key_block, float *factor)
{
    uint32_t words[2 * PHILOX_BATCH];

    if (queries->end - queries->from < BLOCK)
        memset(factor, 0, BLOCK * BLOCK * sizeof(*factor));
    for (int64_t i = queries->from; i < queries->end; i++) {
        uint64_t token =
            ((uint64_t)a->random[3] + (uint64_t)sequence) * (uint64_t)a->keys + (uint64_t)(queries->block * BLOCK + i);
        uint64_t element = (token * (uint64_t)a->heads_full + (uint64_t)(a->head_first + head)) * (uint64_t)a->keys +
                           (uint64_t)(key_block * BLOCK);
        uint64_t skipped = element % PHILOX_BATCH;

        philox_batch(a->random, a->random[4], element - skipped, words);
        if (skipped > 0)
            philox_batch(a->random, a->random[4], element - skipped + PHILOX_BATCH, words + PHILOX_BATCH);
        for (int64_t j = 0; j < BLOCK; j++)
            factor[j * BLOCK + i] = words[skipped + (uint64_t)j] >= a->threshold ? a->keep : 0.0f;
    }
}

/* A tile of weights that is summed over keys: [key word][query]. Puts those of keys `key` (even) and key + 1. */
VEC_INLINE void put_over_keys(int bf16, uint32_t *tile, int64_t key, int64_t vector, struct f32x16 even,
                              struct f32x16 odd)
{
    uint32_t *at = tile + key * BLOCK + vector * VEC_LANES;
    struct i32x16 even_bits = vec_to_bits(bf16 ? vec_round_bf16(even) : even);
    struct i32x16 odd_bits = vec_to_bits(bf16 ? vec_round_bf16(odd) : odd);

    if (bf16 && ATTENTION_PAIRS) {
        at = tile + key / 2 * BLOCK + vector * VEC_LANES;
        vec_int_store(at, vec_int_or(vec_int_shr(even_bits, 16), odd_bits));
        return;
    }
    vec_int_store(at, even_bits);
    vec_int_store(at + BLOCK, odd_bits);
}

#endif
