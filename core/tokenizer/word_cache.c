#include "tokenizer/word_cache.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS  (1 << 16)
#define PROBES 8

struct word_cache {
    _Atomic(struct cached_word *) slots[SLOTS];
};

struct word_cache *word_cache_create(void)
{
    return calloc(1, sizeof(struct word_cache));
}

void word_cache_destroy(struct word_cache *cache)
{
    size_t slot;

    if (cache == NULL)
        return;
    for (slot = 0; slot < SLOTS; slot++) {
        struct cached_word *word = atomic_load_explicit(&cache->slots[slot], memory_order_relaxed);

        if (word != NULL)
            free(word);
    }
    free(cache);
}

static _Atomic(struct cached_word *) *slot_of(struct word_cache *cache, uint64_t hash, uint64_t probe)
{
    return &cache->slots[(hash + probe) & (SLOTS - 1)];
}

const struct cached_word *word_cache_find(struct word_cache *cache, uint64_t hash, const char *text, int64_t bytes)
{
    uint64_t probe;

    for (probe = 0; probe < PROBES; probe++) {
        const struct cached_word *word = atomic_load_explicit(slot_of(cache, hash, probe), memory_order_acquire);

        if (word == NULL)
            return NULL;
        if (word->hash == hash && word->bytes == bytes && memcmp(word->ids + word->count, text, (size_t)bytes) == 0)
            return word;
    }
    return NULL;
}

void word_cache_add(struct word_cache *cache, uint64_t hash, const char *text, int64_t bytes, const int32_t *ids,
                    int64_t count)
{
    struct cached_word *word = NULL;
    uint64_t probe;

    for (probe = 0; probe < PROBES; probe++) {
        _Atomic(struct cached_word *) *slot = slot_of(cache, hash, probe);
        struct cached_word *free_slot = NULL;

        if (atomic_load_explicit(slot, memory_order_relaxed) != NULL)
            continue;
        if (word == NULL) {
            word = malloc(sizeof *word + (size_t)count * sizeof *ids + (size_t)bytes);
            if (word == NULL)
                return;
            word->hash = hash;
            word->bytes = (int32_t)bytes;
            word->count = (int32_t)count;
            memcpy(word->ids, ids, (size_t)count * sizeof *ids);
            memcpy(word->ids + count, text, (size_t)bytes);
        }
        if (atomic_compare_exchange_strong_explicit(slot, &free_slot, word, memory_order_release, memory_order_relaxed))
            return;
    }
    free(word);
}
