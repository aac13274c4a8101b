#include "tokenizer/tokenizer_kind.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"

void tokenizer_close(struct tokenizer *tokenizer)
{
    if (tokenizer == NULL)
        return;
    free(tokenizer->name);
    tokenizer->kind->close(tokenizer);
}

static int encode(const struct tokenizer *tokenizer, const char *text, int64_t bytes, bool special,
                  struct token_list *out, struct error *error)
{
    int64_t count = out->count;
    int result = tokenizer->kind->encode(tokenizer, text, bytes, special, out, error);

    if (result != STATUS_OK)
        out->count = count;
    return result;
}

int tokenizer_encode(const struct tokenizer *tokenizer, const char *text, int64_t bytes, struct token_list *out,
                     struct error *error)
{
    return encode(tokenizer, text, bytes, false, out, error);
}

int tokenizer_encode_special(const struct tokenizer *tokenizer, const char *text, int64_t bytes, struct token_list *out,
                             struct error *error)
{
    return encode(tokenizer, text, bytes, true, out, error);
}

int tokenizer_encode_prompt(const struct tokenizer *tokenizer, const char *text, int64_t bytes, bool special,
                            struct token_list *out, struct error *error)
{
    int64_t first = out->count;
    int result = token_list_reserve(out, 1, error);

    if (result != STATUS_OK)
        return result;
    if (tokenizer->begin_of_text >= 0)
        out->ids[out->count++] = tokenizer->begin_of_text;
    result = encode(tokenizer, text, bytes, special, out, error);
    if (result != STATUS_OK) {
        out->count = first;
    } else if (tokenizer->begin_of_text >= 0 && out->count > first + 1 &&
               out->ids[first + 1] == tokenizer->begin_of_text) {
        out->count--;
        memmove(out->ids + first, out->ids + first + 1, (size_t)(out->count - first) * sizeof *out->ids);
    }
    return result;
}

int tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids, int64_t count, struct byte_list *out,
                     struct error *error)
{
    int64_t old_count = out->count;
    int64_t index;

    for (index = 0; index < count; index++) {
        const char *text;
        int64_t bytes;
        char *grown;

        if (ids[index] < 0 || ids[index] >= tokenizer->vocabulary) {
            out->count = old_count;
            return error_set(error, STATUS_INPUT, "token %lld is %d, outside the tokenizer's vocabulary of %d",
                             (long long)index, ids[index], tokenizer->vocabulary);
        }
        bytes = tokenizer->kind->token_bytes(tokenizer, ids[index], &text);
        grown = array_reserve(out->bytes, out->count, bytes, &out->capacity, 1);
        if (grown == NULL) {
            out->count = old_count;
            return error_set(error, STATUS_MEMORY, "no memory for the text of %lld tokens", (long long)count);
        }
        out->bytes = grown;
        memcpy(out->bytes + out->count, text, (size_t)bytes);
        out->count += bytes;
    }
    return STATUS_OK;
}

int64_t tokenizer_safe_cut(const struct tokenizer *tokenizer, const char *text, int64_t bytes, int64_t from)
{
    if (from >= bytes)
        return bytes;
    return tokenizer->kind->safe_cut(tokenizer, text, bytes, from);
}

int32_t tokenizer_vocabulary(const struct tokenizer *tokenizer)
{
    return tokenizer->vocabulary;
}

int32_t tokenizer_begin_of_text(const struct tokenizer *tokenizer)
{
    return tokenizer->begin_of_text;
}

int32_t tokenizer_end_of_text(const struct tokenizer *tokenizer)
{
    return tokenizer->end_of_text;
}

uint64_t tokenizer_hash(const struct tokenizer *tokenizer)
{
    return tokenizer->hash;
}
