#include "span.h"

#include <string.h>

bool span_allows(const struct llmrun_blocks *side, const int64_t *bytes, int32_t parts)
{
    int64_t all = 0, string;

    if (side->blocks < 0 || side->bytes < 0)
        return false;
    for (int32_t i = 0; i < parts; i++) {
        const int64_t own = bytes != NULL ? bytes[i] : side->bytes;

        if (own < 0 || __builtin_add_overflow(all, own, &all))
            return false;
    }
    if (all == 0 || side->blocks == 0)
        return true;
    return side->address != 0 && (side->blocks == 1 || side->pitch >= all) &&
           !__builtin_mul_overflow(side->blocks, side->blocks == 1 ? all : side->pitch, &string);
}

struct span span_of(const struct llmrun_blocks *side)
{
    return (struct span){.side = *side, .bytes = side->blocks * side->bytes};
}

struct span span_of_part(const struct llmrun_blocks *side, const int64_t *bytes, int32_t rank)
{
    struct llmrun_blocks part = *side;

    if (bytes == NULL) {
        part.address += (uint64_t)(rank * side->bytes);
    } else {
        for (int32_t i = 0; i < rank; i++)
            part.address += (uint64_t)bytes[i];
        part.bytes = bytes[rank];
    }
    return span_of(&part);
}

struct span span_of_memory(const void *memory, int64_t bytes)
{
    return (struct span){.side = {(uint64_t)(uintptr_t)memory, 1, bytes, bytes}, .bytes = bytes};
}

struct span span_slice(const struct span *whole, int64_t offset, int64_t bytes)
{
    return (struct span){.side = whole->side, .first = whole->first + offset, .bytes = bytes};
}

char *span_at(const struct span *span, int64_t offset, int64_t *bytes)
{
    const struct llmrun_blocks *side = &span->side;
    const int64_t byte = span->first + offset;
    const bool dense = side->blocks == 1 || side->pitch == side->bytes;
    const int64_t block = dense ? 0 : byte / side->bytes, within = byte - block * side->bytes;
    const int64_t left = span->bytes - offset, run = dense ? left : side->bytes - within;

    *bytes = run < left ? run : left;
    return (char *)(uintptr_t)side->address + block * side->pitch + within;
}

int span_pieces(const struct span *span, int64_t offset, int64_t most, struct iovec *pieces, int count, int64_t *bytes)
{
    int used = 0;
    int64_t run;

    most = span->bytes - offset < most ? span->bytes - offset : most;
    for (*bytes = 0; *bytes < most && used < count; *bytes += run) {
        char *at = span_at(span, offset + *bytes, &run);

        run = run < most - *bytes ? run : most - *bytes;
        pieces[used++] = (struct iovec){at, (size_t)run};
    }
    return used;
}

void span_write(const struct span *to, int64_t offset, const void *from, int64_t bytes)
{
    for (int64_t done = 0, run; done < bytes; done += run) {
        char *at = span_at(to, offset + done, &run);

        run = run < bytes - done ? run : bytes - done;
        memcpy(at, (const char *)from + done, (size_t)run);
    }
}

void span_read(const struct span *from, int64_t offset, void *to, int64_t bytes)
{
    for (int64_t done = 0, run; done < bytes; done += run) {
        const char *at = span_at(from, offset + done, &run);

        run = run < bytes - done ? run : bytes - done;
        memcpy((char *)to + done, at, (size_t)run);
    }
}

void span_copy(const struct span *to, const struct span *from, int64_t offset, int64_t bytes)
{
    for (int64_t done = 0, run; done < bytes; done += run) {
        const char *at = span_at(from, offset + done, &run);

        run = run < bytes - done ? run : bytes - done;
        span_write(to, offset + done, at, run);
    }
}
