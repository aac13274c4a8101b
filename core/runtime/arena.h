/* The memory of a plan on a device: one buffer, or several where the device's largest allocation is smaller. What moves
 * or fills a range of it is done buffer by buffer. */
#ifndef LLMRUN_RUNTIME_ARENA_H
#define LLMRUN_RUNTIME_ARENA_H

#include "hal/stream.h"
#include "passes/memory_plan.h"

/* All zero: none. */
struct arena {
    const struct plan_range *ranges; /* the plan's, of each buffer */
    struct buffer *buffers;          /* owned */
    int64_t count;
};

/* The plan outlives the arena. */
int arena_create(struct device *device, const struct memory_plan *plan, struct arena *arena, struct error *error);
void arena_destroy(struct arena *arena);

/* The address of a byte of the arena. Allocates nothing. */
uint64_t arena_address(const struct arena *arena, int64_t offset);

/* As those of hal/stream.h; of `bytes` 0 nothing is enqueued. */
int arena_upload(const struct stream *stream, const struct arena *to, int64_t to_offset, const struct host_buffer *from,
                 int64_t from_offset, int64_t bytes, struct error *error);
int arena_download(const struct stream *stream, const struct host_buffer *to, int64_t to_offset,
                   const struct arena *from, int64_t from_offset, int64_t bytes, struct error *error);
int arena_copy(const struct stream *stream, const struct arena *arena, int64_t to, int64_t from, int64_t bytes,
               struct error *error);
int arena_fill(const struct stream *stream, const struct arena *arena, int64_t offset, uint32_t pattern, int64_t bytes,
               struct error *error);

#endif
