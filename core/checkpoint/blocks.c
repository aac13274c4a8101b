#include "checkpoint/blocks.h"

#include <stdlib.h>

int64_t blocks_bytes(int64_t bytes, int64_t row_bytes)
{
    int64_t wanted = (bytes + BLOCKS_COUNT - 1) / BLOCKS_COUNT, rows;

    if (bytes == 0)
        return 0;
    if (row_bytes > BLOCKS_MOST_BYTES)
        return BLOCKS_MOST_BYTES;
    if (wanted < BLOCKS_LEAST_BYTES)
        wanted = BLOCKS_LEAST_BYTES;
    rows = wanted > BLOCKS_MOST_BYTES ? BLOCKS_MOST_BYTES / row_bytes : (wanted + row_bytes - 1) / row_bytes;
    if (rows > BLOCKS_MOST_BYTES / row_bytes)
        rows = BLOCKS_MOST_BYTES / row_bytes;
    return rows * row_bytes < bytes ? rows * row_bytes : bytes;
}

int64_t blocks_count(int64_t bytes, int64_t block_bytes)
{
    return block_bytes > 0 ? bytes / block_bytes + (bytes % block_bytes != 0) : 0;
}

int64_t blocks_most(int64_t bytes)
{
    const int64_t small = blocks_count(bytes, BLOCKS_LEAST_BYTES);

    /* Whole rows take at least half of the largest block. */
    return (small < BLOCKS_COUNT ? small : BLOCKS_COUNT) + blocks_count(bytes, BLOCKS_MOST_BYTES / 2);
}

int blocks_init(struct blocks *blocks, int64_t bytes, int64_t row_bytes, struct error *error)
{
    *blocks = (struct blocks){.block_bytes = blocks_bytes(bytes, row_bytes), .left = bytes};
    blocks->count = blocks_count(bytes, blocks->block_bytes);
    blocks->checksums = malloc((size_t)(blocks->count + 1) * sizeof *blocks->checksums);
    blocks->running = checksum_create();
    if (blocks->checksums != NULL && blocks->running != NULL)
        return STATUS_OK;
    blocks_finish(blocks);
    return error_set(error, STATUS_MEMORY, "no memory for the checksums of %lld bytes", (long long)bytes);
}

void blocks_finish(struct blocks *blocks)
{
    free(blocks->checksums);
    checksum_destroy(blocks->running);
    *blocks = (struct blocks){0};
}

void blocks_add(struct blocks *blocks, const void *data, int64_t bytes)
{
    const char *at = data;

    while (bytes > 0) {
        const int64_t lacking = blocks->block_bytes - blocks->filled;
        const int64_t some = bytes < lacking ? bytes : lacking;

        checksum_add(blocks->running, at, (size_t)some);
        blocks->filled += some;
        blocks->left -= some;
        at += some;
        bytes -= some;
        if (blocks->filled == blocks->block_bytes || blocks->left == 0) {
            blocks->checksums[blocks->done++] = checksum_value(blocks->running);
            checksum_reset(blocks->running);
            blocks->filled = 0;
        }
    }
}
