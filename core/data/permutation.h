/* A shuffle without a table: place -> index is a bijection of 0..count-1 that is a pure function of (seed, epoch), so
 * any rank finds any sample of any epoch at once.
 *
 * A Feistel network (Luby, Rackoff: "How to construct pseudorandom permutations from pseudorandom functions", 1988)
 * over the smallest even number of bits that holds `count`, with Philox as its round function, walked until the result
 * is below `count` (Black, Rogaway: "Ciphers with arbitrary finite domains", CT-RSA 2002). Fewer than 4 walks on
 * average. */
#ifndef LLMRUN_DATA_PERMUTATION_H
#define LLMRUN_DATA_PERMUTATION_H

#include <stdint.h>

/* 0 <= place < count; the result is in the same range. */
int64_t permutation_index(uint64_t seed, uint32_t epoch, int64_t count, int64_t place);

/* A number in 0..limit, another one for each epoch; the same (seed, epoch) gives the same number. */
int64_t permutation_offset(uint64_t seed, uint32_t epoch, int64_t limit);

#endif
