/* llmrun plugin contract: random numbers, as every backend makes them.
 *
 * Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a block of four
 * 32-bit numbers is a pure function of a 128-bit counter and a 64-bit key. The counter is made from what the number is
 * for, never from the order of its making, so that any part of any tensor can be made anywhere with the same result. */
#ifndef LLMRUN_RANDOM_H
#define LLMRUN_RANDOM_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct llmrun_random_block {
    uint32_t word[4];
};

static inline struct llmrun_random_block llmrun_philox(const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    struct llmrun_random_block block;
    int round;

    for (round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;

        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    block.word[0] = c0;
    block.word[1] = c1;
    block.word[2] = c2;
    block.word[3] = c3;
    return block;
}

/* Word of `element`, the logical index in a tensor, for the op named `op_key`. The `rng_state` operand of an op is
 * {seed low, seed high, step, first sequence, op_key}, so that ops which differ in nothing else are prepared as one.
 * The element index counts from the first sequence of the step's global batch, so an op adds first sequence *
 * (elements of one sequence) to its local index. counter = {block low, block high, step, op_key}, key = seed, block =
 * element / 4, word = element % 4. */
static inline uint32_t llmrun_random_word(const uint32_t random[4], uint32_t op_key, uint64_t element)
{
    uint64_t number = element / 4;
    uint32_t counter[4], key[2];

    counter[0] = (uint32_t)number;
    counter[1] = (uint32_t)(number >> 32);
    counter[2] = random[2];
    counter[3] = op_key;
    key[0] = random[0];
    key[1] = random[1];
    return llmrun_philox(counter, key).word[element % 4];
}

/* An element is dropped when its word is below this. 0 <= probability < 1. */
static inline uint32_t llmrun_dropout_threshold(float probability)
{
    return (uint32_t)((double)probability * 4294967296.0);
}

#ifdef __cplusplus
}
#endif

#endif
