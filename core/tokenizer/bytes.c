/* The tokenizer that needs no file: a byte is a token. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "tokenizer/tokenizer_kind.h"

struct bytes_tokenizer {
    struct tokenizer base;
    char text[256]; /* text[i] == i: what token i stands for */
};

static int bytes_encode(const struct tokenizer *tokenizer, const char *text, int64_t bytes, bool special,
                        struct token_list *out, struct error *error)
{
    int64_t index;
    int result = token_list_reserve(out, bytes, error);

    (void)tokenizer, (void)special;
    if (result != STATUS_OK)
        return result;
    for (index = 0; index < bytes; index++)
        out->ids[out->count + index] = (unsigned char)text[index];
    out->count += bytes;
    return STATUS_OK;
}

static int64_t bytes_token_bytes(const struct tokenizer *tokenizer, int32_t id, const char **text)
{
    *text = ((const struct bytes_tokenizer *)tokenizer)->text + id;
    return 1;
}

static int64_t bytes_safe_cut(const struct tokenizer *tokenizer, const char *text, int64_t bytes, int64_t from)
{
    (void)tokenizer, (void)text, (void)bytes;
    return from;
}

static void bytes_close(struct tokenizer *tokenizer)
{
    free(tokenizer);
}

static const struct tokenizer_kind bytes_kind = {bytes_encode, bytes_token_bytes, bytes_safe_cut, bytes_close};

int tokenizer_open_bytes(struct tokenizer **out, struct error *error)
{
    struct bytes_tokenizer *tokenizer = calloc(1, sizeof *tokenizer);
    int index;

    if (tokenizer == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the tokenizer");
    tokenizer->base.kind = &bytes_kind;
    tokenizer->base.vocabulary = 256;
    tokenizer->base.begin_of_text = -1;
    tokenizer->base.end_of_text = 0;
    tokenizer->base.hash = hash_text("bytes");
    for (index = 0; index < 256; index++)
        tokenizer->text[index] = (char)index;
    *out = &tokenizer->base;
    return STATUS_OK;
}
