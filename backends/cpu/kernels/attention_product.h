/* The small products that attention consists of: a block of rows times a panel, on operands where they lie or packed.
 *
 * Their operands are 32-bit words: an fp32 number, or a pair of bf16 numbers that are neighbours on the summed axis,
 * the even one in the lower half. A word of b stands for one column, so a row of b is a vector of columns. */
#ifndef LLMRUN_CPU_ATTENTION_PRODUCT_H
#define LLMRUN_CPU_ATTENTION_PRODUCT_H

#include <stdint.h>

#include "kernels/table.h"

#if defined(__AVX512BF16__)
#define ATTENTION_PAIRS 1
#else
#define ATTENTION_PAIRS 0
#endif

/* Elements of the summed axis that a word holds, and that a step takes: `words` is a multiple of step / word. */
static inline int64_t attention_word_elements(int bf16)
{
    return bf16 && ATTENTION_PAIRS ? 2 : 1;
}

static inline int64_t attention_step_words(int bf16)
{
    return bf16 && !ATTENTION_PAIRS ? 2 : 1;
}

/* On a block of the diagonal, row r and column or word r stand for the same position, and half of the block is masked:
 * what a product may leave out. Left-out columns of c are not written. */
enum attention_part {
    ATTENTION_PART_ALL,
    ATTENTION_PART_COLUMNS_FROM_ROW, /* c[r][n] is needed for n >= r */
    ATTENTION_PART_TERMS_TO_ROW,     /* row r has terms k <= r */
    ATTENTION_PART_TERMS_FROM_ROW    /* row r has terms k >= r */
};

/* c[r][n] = or += the chain over k of a[r][k] b[k][n] that docs/numerics.md defines. */
struct attention_product {
    int bf16; /* words are pairs */
    int add;  /* the chain starts from c, else from +0 */
    enum attention_part part;
    int64_t rows;
    int64_t vectors; /* of 16 columns */
    int64_t words;   /* of the summed axis */
    const void *a;
    int64_t a_row;  /* bytes from row to row, 4-byte words at any address */
    int64_t a_word; /* bytes from word to word */
    const void *b;
    int64_t b_word; /* bytes from one row of words to the next */
    float *c;
    int64_t c_row; /* elements */
};

void KERNEL_NAME(attention_product)(const struct attention_product *product);

#endif
