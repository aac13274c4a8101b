#include "kernels/attention_product.h"

#include <string.h>

#include "kernels/vec.h"
#include "matmul/gemm.h"

/* Sums that stay in registers: rows x vectors of them, beside the vectors of b and one of a. */
#if defined(__AVX512F__)
#define TILE_ROWS    6
#define TILE_VECTORS 4
#elif defined(__AVX2__)
#define TILE_ROWS    6
#define TILE_VECTORS 1
#else
#define TILE_ROWS    2
#define TILE_VECTORS 1
#endif
#define UNROLL _Pragma("GCC unroll 8")

#if ATTENTION_PAIRS
static inline struct f32x16 step_bf16(struct i32x16 a, struct i32x16 b, struct f32x16 sum)
{
    return vec_add_pairs(a, b, sum);
}
#elif defined(__AVX2__)
/* Runs with numbers below the normal range taken and left as zero: see attention_product. */
static inline struct f32x16 step_bf16(struct i32x16 a, struct i32x16 b, struct f32x16 sum)
{
    return vec_fma(vec_from_bits(a), vec_from_bits(b), sum);
}
#else
static inline struct f32x16 step_bf16(struct i32x16 a, struct i32x16 b, struct f32x16 sum)
{
    float lanes_a[VEC_LANES], lanes_b[VEC_LANES], sums[VEC_LANES];

    vec_int_store(lanes_a, a);
    vec_int_store(lanes_b, b);
    vec_store(sums, sum);
    for (int lane = 0; lane < VEC_LANES; lane++)
        sums[lane] = gemm_step_bf16(lanes_a[lane], lanes_b[lane], sums[lane]);
    return vec_load(sums);
}
#endif

struct tile_sums {
    struct f32x16 of[TILE_ROWS][TILE_VECTORS];
};

/* One word of the summed axis onto all sums. */
static inline __attribute__((always_inline)) void step_tile(const int bf16, const int vectors, const char *const *a,
                                                            int64_t offset, const char *b, struct tile_sums *sum)
{
    struct i32x16 right[TILE_VECTORS];

    UNROLL
    for (int v = 0; v < vectors; v++)
        right[v] = vec_int_load(b + v * 4 * VEC_LANES);
    UNROLL
    for (int r = 0; r < TILE_ROWS; r++) {
        struct i32x16 left;
        uint32_t word;

        memcpy(&word, a[r] + offset, sizeof(word));
        left = vec_int_set(word);
        UNROLL
        for (int v = 0; v < vectors; v++)
            sum->of[r][v] = bf16 ? step_bf16(left, right[v], sum->of[r][v])
                                 : vec_fma(vec_from_bits(left), vec_from_bits(right[v]), sum->of[r][v]);
    }
}

/* One tile of c: `vectors` and `bf16` are constants in each caller, so that all loops over the sums unroll. */
static inline __attribute__((always_inline)) void multiply_tile(const struct attention_product *p, const int bf16,
                                                                const int vectors, int64_t row, int64_t vector,
                                                                int64_t begin, int64_t end)
{
    struct tile_sums sum;
    const char *a[TILE_ROWS];
    const char *b = (const char *)p->b + vector * 4 * VEC_LANES + begin * p->b_word;
    float *c = p->c + row * p->c_row + vector * VEC_LANES;
    int64_t rows = p->rows - row < TILE_ROWS ? p->rows - row : TILE_ROWS;
    int64_t a_word = p->a_word, b_word = p->b_word;

    UNROLL
    for (int r = 0; r < TILE_ROWS; r++) {
        int64_t at = r < rows ? r : rows - 1; /* rows that are not there repeat the last one */

        a[r] = (const char *)p->a + (row + at) * p->a_row + begin * a_word;
        UNROLL
        for (int v = 0; v < vectors; v++)
            sum.of[r][v] = p->add ? vec_load(c + at * p->c_row + v * VEC_LANES) : vec_zero();
    }
    if (bf16 && !ATTENTION_PAIRS) {
        for (int64_t k = begin, offset = 0; k < end; k += 2, offset += 2 * a_word, b += 2 * b_word) {
            step_tile(bf16, vectors, a, offset + a_word, b + b_word, &sum);
            step_tile(bf16, vectors, a, offset, b, &sum);
        }
    } else {
        for (int64_t k = begin, offset = 0; k < end; k++, offset += a_word, b += b_word)
            step_tile(bf16, vectors, a, offset, b, &sum);
    }
    UNROLL
    for (int r = 0; r < TILE_ROWS; r++) {
        if (r >= rows)
            break;
        UNROLL
        for (int v = 0; v < vectors; v++)
            vec_store(c + r * p->c_row + v * VEC_LANES, sum.of[r][v]);
    }
}

#define TILE_OF(type, bf16, vectors)                                                                                   \
    static void tile_##type##_##vectors(const struct attention_product *p, int64_t row, int64_t vector, int64_t begin, \
                                        int64_t end)                                                                   \
    {                                                                                                                  \
        multiply_tile(p, bf16, vectors, row, vector, begin, end);                                                      \
    }

typedef void tile_function(const struct attention_product *p, int64_t row, int64_t vector, int64_t begin, int64_t end);

TILE_OF(f32, 0, 1)
TILE_OF(bf16, 1, 1)
#if TILE_VECTORS == 4
TILE_OF(f32, 0, 2)
TILE_OF(f32, 0, 3)
TILE_OF(f32, 0, 4)
TILE_OF(bf16, 1, 2)
TILE_OF(bf16, 1, 3)
TILE_OF(bf16, 1, 4)
#endif

static tile_function *const tiles[2][TILE_VECTORS] = {
#if TILE_VECTORS == 4
    {tile_f32_1, tile_f32_2, tile_f32_3, tile_f32_4},
    {tile_bf16_1, tile_bf16_2, tile_bf16_3, tile_bf16_4},
#else
    {tile_f32_1},
    {tile_bf16_1},
#endif
};

static void multiply(const struct attention_product *p)
{
    int64_t unit = attention_word_elements(p->bf16), step = attention_step_words(p->bf16);

    for (int64_t row = 0; row < p->rows; row += TILE_ROWS) {
        int64_t vector = p->part == ATTENTION_PART_COLUMNS_FROM_ROW ? row / VEC_LANES : 0;
        int64_t begin = p->part == ATTENTION_PART_TERMS_FROM_ROW ? row / unit / step * step : 0;
        int64_t end = p->words, last = (row + TILE_ROWS + 1) / 2 * 2 / unit;

        if (p->part == ATTENTION_PART_TERMS_TO_ROW && last < end)
            end = last;
        while (vector < p->vectors) {
            int64_t left = p->vectors - vector;
            int64_t parts = (left + TILE_VECTORS - 1) / TILE_VECTORS, vectors = (left + parts - 1) / parts;

            tiles[p->bf16][vectors - 1](p, row, vector, begin, end);
            vector += vectors;
        }
    }
}

#if defined(__AVX2__) && !ATTENTION_PAIRS
/* Denormals are zeros, and results are flushed to zero (MXCSR bits 6 and 15). */
#define MXCSR_NO_DENORMALS 0x8040u

static __attribute__((noinline)) void multiply_apart(const struct attention_product *p)
{
    multiply(p);
}

void KERNEL_NAME(attention_product)(const struct attention_product *product)
{
    unsigned mode = _mm_getcsr();

    if (!product->bf16) {
        multiply(product);
        return;
    }
    _mm_setcsr(mode | MXCSR_NO_DENORMALS);
    multiply_apart(product);
    _mm_setcsr(mode);
}
#else
void KERNEL_NAME(attention_product)(const struct attention_product *product)
{
    multiply(product);
}
#endif
