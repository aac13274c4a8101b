/* vocab.json and merges.txt from any bytes, and text through what they make.
 *
 * Input: a byte for the mode, then vocabulary, merges and text with a byte 0xFF between them. In odd modes the
 * vocabulary is put behind the 256 byte tokens that every vocabulary needs, so that the fuzzer gets past them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer/bpe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t byte_tokens(char *out, size_t out_bytes)
{
    size_t used = (size_t)snprintf(out, out_bytes, "{");
    int byte, next = 256;

    for (byte = 0; byte < 256; byte++) {
        int visible = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;

        used += (size_t)snprintf(out + used, out_bytes - used, "\"\\u%04x\": %d,", visible ? byte : next++, byte);
    }
    return used;
}

static struct bpe_source take_part(const char *name, const char **rest, int64_t *bytes)
{
    const char *end = *bytes > 0 ? memchr(*rest, 0xFF, (size_t)*bytes) : NULL;
    struct bpe_source part = {name, *rest, end != NULL ? end - *rest : *bytes};

    *rest += part.bytes + (end != NULL);
    *bytes -= part.bytes + (end != NULL);
    return part;
}

static void encode_and_decode(const struct tokenizer *tokenizer, const char *text, int64_t bytes)
{
    struct token_list ids = {0};
    struct byte_list back = {0};
    int result = tokenizer_encode(tokenizer, text, bytes, &ids, NULL);

    /* A vocabulary may lack bytes, in even modes. */
    if (result != STATUS_OK && result != STATUS_INPUT)
        abort();
    if (tokenizer_decode(tokenizer, ids.ids, ids.count, &back, NULL) != STATUS_OK)
        abort();
    free(ids.ids);
    free(back.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char prefix[8192];
    const char *rest = (const char *)data + 1;
    int64_t bytes = (int64_t)size - 1;
    struct bpe_source vocabulary, merges;
    struct tokenizer *tokenizer = NULL;
    struct error error;
    char *joined = NULL;

    if (size == 0)
        return 0;
    vocabulary = take_part("vocab.json", &rest, &bytes);
    merges = take_part("merges.txt", &rest, &bytes);
    if (data[0] & 1) {
        size_t used = byte_tokens(prefix, sizeof prefix);

        joined = malloc(used + (size_t)vocabulary.bytes + 1);
        memcpy(joined, prefix, used);
        memcpy(joined + used, vocabulary.data, (size_t)vocabulary.bytes);
        vocabulary.data = joined;
        vocabulary.bytes += (int64_t)used;
    }
    if (bpe_parse(&vocabulary, &merges, NULL, &tokenizer, &error) == STATUS_OK)
        encode_and_decode(tokenizer, rest, bytes);
    tokenizer_close(tokenizer);
    free(joined);
    return 0;
}
