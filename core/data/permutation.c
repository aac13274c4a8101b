#include "data/permutation.h"

#include "llmrun/random.h"

/* Counters of the shuffle carry these in their last word, where ops carry the hash of their name. */
#define ORDER_KEY  0x6f726465u
#define OFFSET_KEY 0x6f666673u
#define ROUNDS     6

static struct llmrun_random_block random_block(uint64_t seed, uint32_t epoch, uint32_t value, uint32_t round,
                                               uint32_t purpose)
{
    uint32_t counter[4] = {value, round, epoch, purpose};
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};

    return llmrun_philox(counter, key);
}

int64_t permutation_index(uint64_t seed, uint32_t epoch, int64_t count, int64_t place)
{
    uint64_t value = (uint64_t)place;
    int bits = count > 1 ? 64 - __builtin_clzll((uint64_t)count - 1) : 1;
    int half = (bits + 1) / 2;
    uint32_t mask = (uint32_t)((1ull << half) - 1);

    do {
        uint32_t left = (uint32_t)(value >> half) & mask;
        uint32_t right = (uint32_t)value & mask;
        uint32_t round;

        for (round = 0; round < ROUNDS; round++) {
            uint32_t mixed = left ^ (random_block(seed, epoch, right, round, ORDER_KEY).word[0] & mask);

            left = right;
            right = mixed;
        }
        value = (uint64_t)left << half | right;
    } while (value >= (uint64_t)count);
    return (int64_t)value;
}

int64_t permutation_offset(uint64_t seed, uint32_t epoch, int64_t limit)
{
    struct llmrun_random_block block = random_block(seed, epoch, 0, 0, OFFSET_KEY);

    return (int64_t)(((uint64_t)block.word[1] << 32 | block.word[0]) % ((uint64_t)limit + 1));
}
