#include "runtime/fill.h"

#include <stddef.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define LINE 64 /* bytes of a cache line */

/* From this size on the caches could not keep what is written, so it goes past them: ordinary stores would read each
 * line first. */
#define STREAMED ((int64_t)32 << 20)

struct fill {
    char *memory;
    int64_t bytes;
    uint32_t pattern;
    int streamed;
};

static void store_words(char *memory, uint32_t pattern, int64_t bytes)
{
    uint32_t *words = (uint32_t *)(void *)memory;

    for (int64_t i = 0; i < bytes / 4; i++)
        words[i] = pattern;
}

#if defined(__SSE2__)
static void stream_words(char *memory, uint32_t pattern, int64_t bytes)
{
    const __m128i words = _mm_set1_epi32((int)pattern);
    int64_t head = (int64_t)(-(uintptr_t)memory % LINE), body;

    head = head < bytes ? head : bytes;
    body = (bytes - head) / LINE * LINE;
    store_words(memory, pattern, head);
    for (int64_t i = head; i < head + body; i += 16)
        _mm_stream_si128((__m128i *)(void *)(memory + i), words);
    _mm_sfence();
    store_words(memory + head + body, pattern, bytes - head - body);
}
#else
static void stream_words(char *memory, uint32_t pattern, int64_t bytes)
{
    store_words(memory, pattern, bytes);
}
#endif

static void fill_piece(void *context, int64_t task, int thread)
{
    const struct fill *fill = context;
    int64_t first = task * FILL_SMALL, left = fill->bytes - first;
    int64_t bytes = left < FILL_SMALL ? left : FILL_SMALL;

    (void)thread;
    if (fill->streamed)
        stream_words(fill->memory + first, fill->pattern, bytes);
    else
        store_words(fill->memory + first, fill->pattern, bytes);
}

void fill_words(struct pool *pool, void *memory, uint32_t pattern, int64_t bytes)
{
    struct fill fill = {memory, bytes, pattern, bytes >= STREAMED};

    if (bytes <= FILL_SMALL)
        store_words(memory, pattern, bytes);
    else
        pool_run(pool, (bytes + FILL_SMALL - 1) / FILL_SMALL, fill_piece, &fill);
}
