/* Tokens of words that were seen before. Words are only added, never changed or taken out, and a slot is set once by an
 * atomic exchange: any number of threads read and add at the same time without a lock. When the places for a word are
 * taken it is not kept, so the memory is bounded: about 8 MiB. */
#ifndef LLMRUN_TOKENIZER_WORD_CACHE_H
#define LLMRUN_TOKENIZER_WORD_CACHE_H

#include <stdint.h>

#define WORD_CACHE_LONGEST 48 /* bytes of a word that is kept */

struct word_cache;

struct cached_word {
    uint64_t hash;
    int32_t bytes;
    int32_t count;
    int32_t ids[]; /* [count]; the bytes of the word follow */
};

struct word_cache *word_cache_create(void); /* NULL: no memory */
void word_cache_destroy(struct word_cache *cache);

/* `hash` is of the word's bytes. NULL when the word is not there. The entry lives as long as the cache. */
const struct cached_word *word_cache_find(struct word_cache *cache, uint64_t hash, const char *text, int64_t bytes);

/* bytes <= WORD_CACHE_LONGEST */
void word_cache_add(struct word_cache *cache, uint64_t hash, const char *text, int64_t bytes, const int32_t *ids,
                    int64_t count);

#endif
