#include "data/bpe.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "data/split.h"

#define CUT_SEARCH_BYTES (64 << 10)

/* Appends the tokens of one word at the end of `out`, which has room for one id a byte. */
static int encode_word(const struct bpe *bpe, const char *text, int64_t bytes, struct token_list *out,
                       struct error *error)
{
    int32_t *ids = out->ids + out->count;
    int64_t count = bytes, index;
    int result;

    for (index = 0; index < bytes; index++)
        ids[index] = bpe->byte_ids[(unsigned char)text[index]];
    result = merge_word(&bpe->merges, ids, &count, error);
    if (result == STATUS_OK)
        out->count += count;
    return result;
}

static int encode_cached(const struct bpe *bpe, const char *text, int64_t bytes, struct token_list *out,
                         struct error *error)
{
    uint64_t hash = hash_bytes(text, (size_t)bytes);
    const struct cached_word *word = word_cache_find(bpe->cache, hash, text, bytes);
    int64_t before = out->count;
    int result;

    if (word != NULL) {
        memcpy(out->ids + out->count, word->ids, (size_t)word->count * sizeof *word->ids);
        out->count += word->count;
        return STATUS_OK;
    }
    result = encode_word(bpe, text, bytes, out, error);
    if (result == STATUS_OK)
        word_cache_add(bpe->cache, hash, text, bytes, out->ids + before, out->count - before);
    return result;
}

static int bpe_encode(const struct tokenizer *tokenizer, const char *text, int64_t bytes, struct token_list *out,
                      struct error *error)
{
    const struct bpe *bpe = (const struct bpe *)tokenizer;
    int64_t start = 0;
    int result = STATUS_OK;

    while (start < bytes && result == STATUS_OK) {
        int64_t end = split_next(text, bytes, start);
        int64_t length = end - start;

        result = token_list_reserve(out, length, error);
        if (result == STATUS_OK && length <= WORD_CACHE_LONGEST)
            result = encode_cached(bpe, text + start, length, out, error);
        else if (result == STATUS_OK)
            result = encode_word(bpe, text + start, length, out, error);
        start = end;
    }
    return result;
}

static int64_t bpe_token_bytes(const struct tokenizer *tokenizer, int32_t id, const char **text)
{
    const struct bpe *bpe = (const struct bpe *)tokenizer;

    *text = bpe->text + bpe->offsets[id];
    return bpe->offsets[id + 1] - bpe->offsets[id];
}

static int64_t bpe_safe_cut(const struct tokenizer *tokenizer, const char *text, int64_t bytes, int64_t from)
{
    int64_t limit = bytes - from > CUT_SEARCH_BYTES ? from + CUT_SEARCH_BYTES : bytes;
    int64_t border = split_find_border(text, from, limit);

    (void)tokenizer;
    return border >= 0 ? border : bytes;
}

static void bpe_close(struct tokenizer *tokenizer)
{
    struct bpe *bpe = (struct bpe *)tokenizer;

    free(bpe->text);
    free(bpe->offsets);
    merge_table_finish(&bpe->merges);
    word_cache_destroy(bpe->cache);
    free(bpe);
}

static const struct tokenizer_kind bpe_kind = {bpe_encode, bpe_token_bytes, bpe_safe_cut, bpe_close};

struct bpe *bpe_create(void)
{
    struct bpe *bpe = calloc(1, sizeof *bpe);

    if (bpe == NULL)
        return NULL;
    bpe->base.kind = &bpe_kind;
    bpe->cache = word_cache_create();
    if (bpe->cache != NULL)
        return bpe;
    free(bpe);
    return NULL;
}
