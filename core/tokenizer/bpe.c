#include "tokenizer/bpe.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "tokenizer/normal_form.h"
#include "tokenizer/unicode.h"

#define CUT_SEARCH_BYTES (64 << 10)

/* The token that the whole piece is, -1 for none. */
static int32_t whole_piece(const struct bpe *bpe, const char *text, int64_t bytes)
{
    uint64_t place = hash_bytes(text, (size_t)bytes) & bpe->whole_mask;
    int32_t id;

    for (; (id = bpe->whole[place]) >= 0; place = (place + 1) & bpe->whole_mask)
        if (bpe->offsets[id + 1] - bpe->offsets[id] == bytes &&
            memcmp(bpe->text + bpe->offsets[id], text, (size_t)bytes) == 0)
            break;
    return id;
}

static void say_left_out(const struct bpe *bpe, unsigned char byte)
{
    if (!atomic_exchange(&((struct bpe *)bpe)->said_left_out, true))
        log_line(
            LOG_WARNING,
            "tokenizer %s has no token for the byte 0x%02x, which a text holds: such bytes are left out, as Hugging "
            "Face tokenizers leaves them out",
            bpe->base.name, byte);
}

/* The first ids of a word in which bytes without a token stand: those of a character give the unknown token, or nothing
 * where there is none. */
static int first_ids_with_gaps(const struct bpe *bpe, const char *text, int64_t bytes, int32_t *ids, int64_t *count,
                               struct error *error)
{
    bool behind_unknown = false;
    int64_t index, end = 0, kept = 0;

    for (index = 0; index < bytes; index++) {
        unsigned char byte = (unsigned char)text[index];
        int32_t id = bpe->byte_ids[byte];
        bool begins = index == end;
        uint32_t code;

        if (begins)
            end += utf8_read(text + index, bytes - index, &code);
        if (id < 0 && begins && end == index + 1 && byte >= 0x80)
            return error_set(
                error, STATUS_INPUT,
                "the byte 0x%02x belongs to no UTF-8 character, and the tokenizer has no token for it; save the "
                "text as UTF-8",
                byte);
        if (id < 0 && bpe->unknown == BPE_UNKNOWN_MISSING)
            return error_set(error, STATUS_INPUT,
                             "the tokenizer has no token for the byte 0x%02x, and its 'unk_token' is not in its "
                             "vocabulary",
                             byte);
        if (id < 0 && bpe->unknown == BPE_NO_UNKNOWN)
            say_left_out(bpe, byte);
        else if (id >= 0 || !(bpe->fuse_unknown && behind_unknown))
            ids[kept++] = id >= 0 ? id : bpe->unknown;
        behind_unknown = id < 0;
    }
    *count = kept;
    return STATUS_OK;
}

/* The token of each byte; *count of them. */
static int first_ids(const struct bpe *bpe, const char *text, int64_t bytes, int32_t *ids, int64_t *count,
                     struct error *error)
{
    int32_t signs = 0;
    int64_t index;

    for (index = 0; index < bytes; index++)
        signs |= ids[index] = bpe->byte_ids[(unsigned char)text[index]];
    *count = bytes;
    return signs >= 0 ? STATUS_OK : first_ids_with_gaps(bpe, text, bytes, ids, count, error);
}

/* Appends the tokens of one word at the end of `out`, which has room for one id a byte. */
static int encode_word(const struct bpe *bpe, const char *text, int64_t bytes, struct token_list *out,
                       struct error *error)
{
    int32_t *ids = out->ids + out->count;
    int64_t count;
    int result;

    ids[0] = bpe->whole != NULL ? whole_piece(bpe, text, bytes) : -1;
    if (ids[0] >= 0) {
        out->count++;
        return STATUS_OK;
    }
    result = first_ids(bpe, text, bytes, ids, &count, error);
    if (result == STATUS_OK)
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

/* Text without added tokens, in the form that it is split in. */
static int encode_pieces(const struct bpe *bpe, const char *text, int64_t bytes, struct token_list *out,
                         struct error *error)
{
    int64_t start = 0;
    int result = STATUS_OK;

    while (start < bytes && result == STATUS_OK) {
        int64_t end = split_next(bpe->pattern, text, bytes, start);
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

static int encode_plain(const struct bpe *bpe, const char *text, int64_t bytes, struct token_list *out,
                        struct error *error)
{
    char *prefixed;
    int result;

    if (!bpe->prefix_space || bytes == 0 || text[0] == ' ')
        return encode_pieces(bpe, text, bytes, out, error);
    prefixed = malloc((size_t)bytes + 1);
    if (prefixed == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for a text of %lld bytes", (long long)bytes + 1);
    prefixed[0] = ' ';
    memcpy(prefixed + 1, text, (size_t)bytes);
    result = encode_pieces(bpe, prefixed, bytes + 1, out, error);
    free(prefixed);
    return result;
}

static int encode_normalized(const struct bpe *bpe, const char *text, int64_t bytes, bool special,
                             struct token_list *out, struct error *error);

/* Cuts the text at the tokens of `list`; what stands between them goes to the next stage. */
static int encode_around(const struct bpe *bpe, const struct added_token_list *list, const char *text, int64_t bytes,
                         bool special, struct token_list *out, struct error *error)
{
    bool normalized = list == &bpe->added_normalized;
    int64_t from = 0, done = 0;
    struct added_match match;
    int result = STATUS_OK;

    do {
        match = added_token_find(list, text, bytes, &from, done, special);
        if (done < match.start)
            result = normalized ? encode_plain(bpe, text + done, match.start - done, out, error)
                                : encode_normalized(bpe, text + done, match.start - done, special, out, error);
        if (result == STATUS_OK && match.token != NULL && (result = token_list_reserve(out, 1, error)) == STATUS_OK)
            out->ids[out->count++] = match.token->id;
        done = match.end;
    } while (result == STATUS_OK && match.token != NULL);
    return result;
}

static int encode_normalized(const struct bpe *bpe, const char *text, int64_t bytes, bool special,
                             struct token_list *out, struct error *error)
{
    struct byte_list normal = {0};
    int result;

    if (!bpe->normalize || normal_form_is_plain(text, bytes))
        return encode_around(bpe, &bpe->added_normalized, text, bytes, special, out, error);
    result = normal_form_append(text, bytes, &normal, error);
    if (result == STATUS_OK)
        result = encode_around(bpe, &bpe->added_normalized, normal.bytes, normal.count, special, out, error);
    free(normal.bytes);
    return result;
}

static int bpe_encode(const struct tokenizer *tokenizer, const char *text, int64_t bytes, bool special,
                      struct token_list *out, struct error *error)
{
    const struct bpe *bpe = (const struct bpe *)tokenizer;

    return encode_around(bpe, &bpe->added, text, bytes, special, out, error);
}

static int64_t bpe_token_bytes(const struct tokenizer *tokenizer, int32_t id, const char **text)
{
    const struct bpe *bpe = (const struct bpe *)tokenizer;

    *text = bpe->text + bpe->offsets[id];
    return bpe->offsets[id + 1] - bpe->offsets[id];
}

/* Whether a token that is found in normalized text could be written in another way at the cut. */
static bool has_unnormalized_forms(const struct bpe *bpe)
{
    int64_t token, byte;

    for (token = 0; bpe->normalize && token < bpe->added_normalized.count; token++)
        for (byte = 0; byte < bpe->added_normalized.tokens[token].bytes; byte++)
            if ((unsigned char)bpe->added_normalized.tokens[token].text[byte] >= 0x80)
                return true;
    return false;
}

static int64_t bpe_safe_cut(const struct tokenizer *tokenizer, const char *text, int64_t bytes, int64_t from)
{
    const struct bpe *bpe = (const struct bpe *)tokenizer;
    int64_t limit = bytes - from > CUT_SEARCH_BYTES ? from + CUT_SEARCH_BYTES : bytes;
    int64_t border;

    if (has_unnormalized_forms(bpe))
        return bytes;
    for (border = split_find_border(text, from, limit); border >= 0;
         border = split_find_border(text, border + 1, limit))
        if (!(bpe->prefix_space && text[border] != ' ') && !added_token_touches(&bpe->added, text, bytes, border) &&
            !added_token_touches(&bpe->added_normalized, text, bytes, border))
            return border;
    return bytes;
}

static void bpe_close(struct tokenizer *tokenizer)
{
    struct bpe *bpe = (struct bpe *)tokenizer;

    free(bpe->text);
    free(bpe->offsets);
    merge_table_finish(&bpe->merges);
    free(bpe->whole);
    added_token_list_finish(&bpe->added);
    added_token_list_finish(&bpe->added_normalized);
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
    bpe->base.begin_of_text = bpe->base.end_of_text = -1;
    bpe->unknown = BPE_NO_UNKNOWN;
    bpe->cache = word_cache_create();
    if (bpe->cache != NULL)
        return bpe;
    free(bpe);
    return NULL;
}

static int32_t find_added(const struct added_token_list *list, const char *text, int64_t bytes)
{
    int64_t index;

    for (index = 0; index < list->count; index++)
        if (list->tokens[index].bytes == bytes && memcmp(list->tokens[index].text, text, (size_t)bytes) == 0)
            return list->tokens[index].id;
    return -1;
}

int32_t bpe_find_token(const struct bpe *bpe, const char *text, int64_t bytes)
{
    int32_t id = find_added(&bpe->added, text, bytes);

    if (id < 0)
        id = find_added(&bpe->added_normalized, text, bytes);
    if (id >= 0 || bytes == 0)
        return id;
    for (id = 0; id < bpe->base.vocabulary; id++)
        if (bpe->offsets[id + 1] - bpe->offsets[id] == bytes &&
            memcmp(bpe->text + bpe->offsets[id], text, (size_t)bytes) == 0)
            return id;
    return -1;
}
