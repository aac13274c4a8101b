/* Checksums of a part of a tensor are those of its blocks, so that a reader of a slice can check what it reads and need
 * not read the rest. */
#ifndef LLMRUN_CHECKPOINT_BLOCKS_H
#define LLMRUN_CHECKPOINT_BLOCKS_H

#include <stdint.h>

#include "base/status.h"
#include "checkpoint/checksum.h"

#define BLOCKS_MOST_BYTES  ((int64_t)4 << 20) /* of one block */
#define BLOCKS_LEAST_BYTES 512                /* more where a row is longer */
#define BLOCKS_COUNT       256 /* of a part, where the two limits above allow it: a slice reads little beside its own */

/* Bytes of each block of a part of `bytes` bytes but the last, which may be shorter: whole rows (runs of the last
 * dimension) where one fits a block. 0 where there is nothing. */
int64_t blocks_bytes(int64_t bytes, int64_t row_bytes);
int64_t blocks_count(int64_t bytes, int64_t block_bytes);

/* No part of so many bytes has more blocks, whatever its rows. */
int64_t blocks_most(int64_t bytes);

/* The blocks of a part that comes in pieces. */
struct blocks {
    int64_t block_bytes, count;
    uint64_t *checksums; /* [count] */
    int64_t done;        /* blocks */
    int64_t filled;      /* bytes of the block after them */
    int64_t left;        /* bytes of the part */
    struct checksum *running;
};

int blocks_init(struct blocks *blocks, int64_t bytes, int64_t row_bytes, struct error *error);
void blocks_finish(struct blocks *blocks); /* accepts a zeroed struct */

/* The next bytes, in all no more than the part has. */
void blocks_add(struct blocks *blocks, const void *data, int64_t bytes);

#endif
