/* Writing one pattern over much memory. */
#ifndef LLMRUN_CPU_FILL_H
#define LLMRUN_CPU_FILL_H

#include <stdint.h>

#include "runtime/pool.h"

/* What one thread does as fast as several. */
#define FILL_SMALL ((int64_t)1 << 20)

/* `bytes` bytes from `memory` on become copies of the 32-bit pattern; both are multiples of 4. Up to FILL_SMALL bytes
 * the pool is not used and may be NULL; else as pool_run: one caller of the pool at a time. */
void fill_words(struct pool *pool, void *memory, uint32_t pattern, int64_t bytes);

#endif
