/* Runs of the string of bytes that the blocks of a side make (llmrun/collective.h: struct llmrun_blocks). */
#ifndef LLMRUN_HOST_SPAN_H
#define LLMRUN_HOST_SPAN_H

#include <stdbool.h>
#include <sys/uio.h>

#include <llmrun/collective.h>

/* `bytes` bytes of a side's string, from its byte `first` on. */
struct span {
    struct llmrun_blocks side;
    int64_t first;
    int64_t bytes;
};

/* May the side, with `parts` parts, be used? `bytes` as in span_of_part. */
bool span_allows(const struct llmrun_blocks *side, const int64_t *bytes, int32_t parts);

struct span span_of(const struct llmrun_blocks *side);
/* The part of `rank`, of a side that has one for each rank. `bytes`: those of a block of each part; NULL: all equal. */
struct span span_of_part(const struct llmrun_blocks *side, const int64_t *bytes, int32_t rank);
struct span span_of_memory(const void *memory, int64_t bytes);
/* Of `whole`, the `bytes` bytes from `offset` on. */
struct span span_slice(const struct span *whole, int64_t offset, int64_t bytes);

/* The address of the byte at `offset`, and in *bytes (> 0) how many of the span follow it without a gap. */
char *span_at(const struct span *span, int64_t offset, int64_t *bytes);
/* Describes up to `most` bytes from `offset` on in up to `count` pieces. Returns how many pieces, and in *bytes what
 * they hold. */
int span_pieces(const struct span *span, int64_t offset, int64_t most, struct iovec *pieces, int count, int64_t *bytes);

void span_write(const struct span *to, int64_t offset, const void *from, int64_t bytes);
void span_read(const struct span *from, int64_t offset, void *to, int64_t bytes);
/* `bytes` bytes at `offset` of both, however each is cut. */
void span_copy(const struct span *to, const struct span *from, int64_t offset, int64_t bytes);

#endif
