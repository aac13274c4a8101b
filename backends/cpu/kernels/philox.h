/* The numbers of llmrun/random.h, sixty-four at a time. */
#ifndef LLMRUN_CPU_PHILOX_H
#define LLMRUN_CPU_PHILOX_H

#include "kernels/vec.h"

#define PHILOX_BATCH 64

/* words[i] = llmrun_random_word(random, op_key, first + i). `first` is a multiple of PHILOX_BATCH.
 *
 * Lane 4a + b computes block 4b + a, so that transposing the four words within groups of four lanes leaves them in the
 * order of the elements. */
VEC_INLINE void philox_batch(const uint32_t random[4], uint32_t op_key, uint64_t first, uint32_t words[PHILOX_BATCH])
{
    static const uint32_t block_of_lane[VEC_LANES] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};
    uint64_t block = first / 4;
    struct i32x16 c[4];
    uint32_t k0 = random[0], k1 = random[1];

    c[0] = vec_int_add(vec_int_set((uint32_t)block), vec_int_load(block_of_lane));
    c[1] = vec_int_set((uint32_t)(block >> 32));
    c[2] = vec_int_set(random[2]);
    c[3] = vec_int_set(op_key);
    for (int round = 0; round < 10; round++) {
        struct i32x16 low0, high0, low1, high1;

        vec_int_wide(c[0], vec_int_set(0xD2511F53u), &low0, &high0);
        vec_int_wide(c[2], vec_int_set(0xCD9E8D57u), &low1, &high1);
        c[0] = vec_int_xor(vec_int_xor(high1, c[1]), vec_int_set(k0));
        c[1] = low1;
        c[2] = vec_int_xor(vec_int_xor(high0, c[3]), vec_int_set(k1));
        c[3] = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    vec_int_transpose4(c);
    for (int row = 0; row < 4; row++)
        vec_int_store(words + row * VEC_LANES, c[row]);
}

#endif
