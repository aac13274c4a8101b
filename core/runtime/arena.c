#include "runtime/arena.h"

#include <stdlib.h>
#include <string.h>

int arena_create(struct device *device, const struct memory_plan *plan, struct arena *arena, struct error *error)
{
    int status = STATUS_OK;

    *arena = (struct arena){.ranges = plan->buffers};
    arena->buffers = calloc((size_t)plan->buffer_count, sizeof *arena->buffers);
    if (arena->buffers == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the arena");
    for (; status == STATUS_OK && arena->count < plan->buffer_count; arena->count++)
        status = buffer_create(device, LLMRUN_MEMORY_DEVICE, plan->buffers[arena->count].bytes,
                               &arena->buffers[arena->count], error);
    return status;
}

void arena_destroy(struct arena *arena)
{
    for (int64_t i = 0; i < arena->count; i++)
        buffer_destroy(&arena->buffers[i]);
    free(arena->buffers);
    memset(arena, 0, sizeof *arena);
}

/* The buffer that has byte `offset`, which is in the arena. */
static int64_t buffer_at(const struct arena *arena, int64_t offset)
{
    int64_t first = 0, end = arena->count;

    while (end - first > 1) {
        const int64_t middle = first + (end - first) / 2;

        if (offset < arena->ranges[middle].offset)
            end = middle;
        else
            first = middle;
    }
    return first;
}

uint64_t arena_address(const struct arena *arena, int64_t offset)
{
    const int64_t i = buffer_at(arena, offset);

    return arena->buffers[i].address + (uint64_t)(offset - arena->ranges[i].offset);
}

/* A range of the arena from its first byte on, as far as one buffer has it. */
struct piece {
    const struct buffer *buffer;
    int64_t offset, bytes; /* in the buffer */
};

static struct piece piece_at(const struct arena *arena, int64_t offset, int64_t bytes)
{
    const int64_t i = buffer_at(arena, offset);
    const int64_t inside = offset - arena->ranges[i].offset, left = arena->ranges[i].bytes - inside;

    /* Beyond the last buffer the stream refuses what is left. */
    return (struct piece){&arena->buffers[i], inside, bytes > left && i + 1 < arena->count ? left : bytes};
}

int arena_upload(const struct stream *stream, const struct arena *to, int64_t to_offset, const struct host_buffer *from,
                 int64_t from_offset, int64_t bytes, struct error *error)
{
    int status = STATUS_OK;

    for (int64_t done = 0; status == STATUS_OK && done < bytes;) {
        const struct piece piece = piece_at(to, to_offset + done, bytes - done);

        status = stream_upload(stream, piece.buffer, piece.offset, from, from_offset + done, piece.bytes, error);
        done += piece.bytes;
    }
    return status;
}

int arena_download(const struct stream *stream, const struct host_buffer *to, int64_t to_offset,
                   const struct arena *from, int64_t from_offset, int64_t bytes, struct error *error)
{
    int status = STATUS_OK;

    for (int64_t done = 0; status == STATUS_OK && done < bytes;) {
        const struct piece piece = piece_at(from, from_offset + done, bytes - done);

        status = stream_download(stream, to, to_offset + done, piece.buffer, piece.offset, piece.bytes, error);
        done += piece.bytes;
    }
    return status;
}

int arena_copy(const struct stream *stream, const struct arena *arena, int64_t to, int64_t from, int64_t bytes,
               struct error *error)
{
    int status = STATUS_OK;

    for (int64_t done = 0; status == STATUS_OK && done < bytes;) {
        const struct piece target = piece_at(arena, to + done, bytes - done);
        const struct piece source = piece_at(arena, from + done, target.bytes);

        status = stream_copy(stream, target.buffer, target.offset, source.buffer, source.offset, source.bytes, error);
        done += source.bytes;
    }
    return status;
}

int arena_fill(const struct stream *stream, const struct arena *arena, int64_t offset, uint32_t pattern, int64_t bytes,
               struct error *error)
{
    int status = STATUS_OK;

    for (int64_t done = 0; status == STATUS_OK && done < bytes;) {
        const struct piece piece = piece_at(arena, offset + done, bytes - done);

        status = stream_fill(stream, piece.buffer, piece.offset, pattern, piece.bytes, error);
        done += piece.bytes;
    }
    return status;
}
