/* What the forward and the backward kernel of attention share: the call, the blocks it is cut into, and the forms that
 * attention_product.h wants operands in. For sources that are compiled once for each instruction set.
 *
 * Keys are taken in blocks of 64, which is part of the definition (docs/numerics.md), and queries in blocks of 64,
 * which is not. A tile has a row a key and a column a query: the sixteen lanes are sixteen queries, so what softmax
 * does along the keys of a query it does in order, and the same on every instruction set. */
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

/* attention or attention_grad, whose first five operands and whose attributes are the same. */
struct attention {
    const struct kernel_call *call;
    int bf16;
    int64_t element_bytes;
    int64_t sequences;
    int64_t sequence; /* positions */
    int64_t blocks;   /* of a sequence */
    int64_t heads;
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
        .sequences = q->shape[0] / attributes->sequence,
        .sequence = attributes->sequence,
        .blocks = (attributes->sequence + BLOCK - 1) / BLOCK,
        .heads = attributes->heads,
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
    attention.random = call->operands[LLMRUN_ATTENTION_RANDOM];
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

/* Positions of block `block` that exist. */
static inline int64_t block_rows(const struct attention *a, int64_t block)
{
    return a->sequence - block * BLOCK < BLOCK ? a->sequence - block * BLOCK : BLOCK;
}

/* Bytes from row to row of an operand with `heads` heads, and the address of a row. */
static inline int64_t row_bytes(const struct attention *a, int64_t heads)
{
    return heads * a->width * a->element_bytes;
}

static inline char *row_at(const struct attention *a, int operand, int64_t heads, int64_t sequence, int64_t head,
                           int64_t position)
{
    char *data = a->call->operands[operand];

    return data + (sequence * a->sequence + position) * row_bytes(a, heads) + head * a->width * a->element_bytes;
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
static inline void fetch_next_block(const struct attention *a, const char *rows, int64_t stride, int64_t row)
{
    uintptr_t next = (uintptr_t)rows + (uintptr_t)((row + BLOCK) * stride);

    for (int64_t byte = 0; byte < a->width * a->element_bytes; byte += 64)
        __builtin_prefetch((const char *)next + byte, 0, 2);
}

/* panel[word][query] of `count` rows; queries beyond them are 0. */
static inline void pack_panel(const struct attention *a, const char *rows, int64_t stride, int64_t count,
                              uint32_t *panel)
{
    uint32_t lanes[4][VEC_LANES];

    for (int64_t row = 0; row < count; row++)
        fetch_next_block(a, rows, stride, row);
    for (int64_t word = 0; word < a->words; word += VEC_LANES)
        for (int64_t row = 0; row < BLOCK; row += 4) {
            struct i32x16 v[4];

            for (int r = 0; r < 4; r++)
                v[r] = row + r < count ? load_words(a, rows + (row + r) * stride, word) : vec_int_set(0);
            vec_int_transpose4(v);
            for (int r = 0; r < 4; r++)
                vec_int_store(lanes[r], v[r]);
            for (int w = 0; w < VEC_LANES && word + w < a->words; w++)
                memcpy(panel + (word + w) * BLOCK + row, lanes[w % 4] + w / 4 * 4, 4 * sizeof(*panel));
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

/* Sixteen bf16 numbers of a row from column `c` on, widened; 0 beyond the head's width and in rows from `count` on. */
static inline struct i32x16 load_bf16(const struct attention *a, const char *rows, int64_t stride, int64_t count,
                                      int64_t row, int64_t c)
{
    const uint16_t *numbers;

    if (row >= count)
        return vec_int_set(0);
    numbers = (const uint16_t *)(const void *)(rows + row * stride);
    return vec_to_bits(vec_load_bf16_part(numbers + c, vec_lanes_left(a->width, c), 0.0f));
}

/* Packs rows, which in memory may be far apart and share few sets of the cache; positions beyond `count` are 0. */
static inline struct rows pack_rows(const struct attention *a, const char *rows, int64_t stride, int64_t count,
                                    uint32_t *packed)
{
    for (int64_t row = 0; row < count; row++)
        fetch_next_block(a, rows, stride, row);
    if (a->bf16 && ATTENTION_PAIRS) {
        for (int64_t row = 0; row < BLOCK; row += 2)
            for (int64_t c = 0; c < a->columns; c += VEC_LANES) {
                struct i32x16 even = load_bf16(a, rows, stride, count, row, c);
                struct i32x16 odd = load_bf16(a, rows, stride, count, row + 1, c);

                vec_int_store(packed + row / 2 * a->columns + c, vec_int_or(vec_int_shr(even, 16), odd));
            }
        return (struct rows){rows, stride, packed};
    }
    for (int64_t row = 0; row < BLOCK; row++)
        for (int64_t c = 0; c < a->columns; c += VEC_LANES)
            vec_int_store(packed + row * a->columns + c,
                          row < count ? load_words(a, rows + row * stride, c) : vec_int_set(0));
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

/* What a block of queries sees. */
struct queries {
    int64_t block;
    int64_t count;
    int64_t first_key;     /* smallest start of a segment */
    int64_t last_start;    /* largest one */
    uint32_t start[BLOCK]; /* first key of each query */
    uint32_t seen[BLOCK];  /* number of keys from there on; 0 for queries that do not exist */
};

static inline void queries_of(const struct attention *a, int64_t sequence, int64_t block, struct queries *queries)
{
    const int32_t *starts = a->call->operands[LLMRUN_ATTENTION_SEGMENT_STARTS];
    int64_t first = block * BLOCK;

    memset(queries, 0, sizeof(*queries));
    queries->block = block;
    queries->count = block_rows(a, block);
    queries->first_key = first;
    for (int64_t i = 0; i < queries->count; i++) {
        int64_t start = starts[sequence * a->sequence + first + i];

        queries->start[i] = (uint32_t)start;
        queries->seen[i] = (uint32_t)(first + i + 1 - start);
        if (start < queries->first_key)
            queries->first_key = start;
        if (start > queries->last_start)
            queries->last_start = start;
    }
}

/* Every query of the block sees every key of the block. */
static inline int sees_all(const struct queries *queries, int64_t key_block)
{
    return key_block < queries->block && queries->last_start <= key_block * BLOCK && queries->count == BLOCK;
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

    if (queries->count < BLOCK)
        memset(factor, 0, BLOCK * BLOCK * sizeof(*factor));
    for (int64_t i = 0; i < queries->count; i++) {
        uint64_t token = ((uint64_t)a->random[3] + (uint64_t)sequence) * (uint64_t)a->sequence +
                         (uint64_t)(queries->block * BLOCK + i);
        uint64_t element =
            (token * (uint64_t)a->heads + (uint64_t)head) * (uint64_t)a->sequence + (uint64_t)(key_block * BLOCK);
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
