/* tokenizer.json from any bytes, and text through what it makes.
 *
 * Input: a byte for the mode, then the file and a text with a byte 0xFF between them. In odd modes the file stands
 * behind a vocabulary of the 256 byte tokens that every vocabulary needs, and behind stages of one of the patterns, so
 * that the fuzzer gets past them: what it writes goes on inside the object of the vocabulary. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer/bpe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* LLaMA-3's expression, in JSON, with `digits` behind its numbers: "{1,3}", or "", which is Qwen2's. */
#define PATTERN(digits)                                                                                                \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}" digits                             \
    "| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"
#define SPLIT(pattern)                                                                                                 \
    "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex\": \"" pattern           \
    "\"}, \"behavior\": \"Isolated\"}, {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"use_regex\": false}]}"

static const char *const stages[] = {
    "\"normalizer\": null, \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false},",
    "\"normalizer\": null, \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true},",
    "\"normalizer\": {\"type\": \"NFC\"}, \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false},",
    "\"normalizer\": null, \"pre_tokenizer\": " SPLIT(PATTERN("{1,3}")) ",",
    "\"normalizer\": {\"type\": \"NFC\"}, \"pre_tokenizer\": " SPLIT(PATTERN("")) ",",
};

static size_t write_head(char *out, size_t out_bytes, int mode)
{
    size_t used =
        (size_t)snprintf(out, out_bytes, "{%s \"decoder\": {\"type\": \"ByteLevel\"}, \"model\": {\"vocab\": {",
                         stages[mode % (int)(sizeof stages / sizeof stages[0])]);
    int byte, next = 256;

    for (byte = 0; byte < 256; byte++) {
        int visible = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;

        used += (size_t)snprintf(out + used, out_bytes - used, "%s\"\\u%04x\": %d", byte > 0 ? "," : "",
                                 visible ? byte : next++, byte);
    }
    return used;
}

static void encode_and_decode(const struct tokenizer *tokenizer, const char *text, int64_t bytes)
{
    struct token_list ids = {0};
    struct byte_list back = {0};
    int64_t cut;
    int result;

    for (cut = 0; cut < bytes; cut = tokenizer_safe_cut(tokenizer, text, bytes, cut + 1))
        continue;
    /* A vocabulary may lack bytes, in even modes. */
    result = tokenizer_encode(tokenizer, text, bytes, &ids, NULL);
    if (result == STATUS_OK)
        result = tokenizer_encode_special(tokenizer, text, bytes, &ids, NULL);
    if ((result != STATUS_OK && result != STATUS_INPUT) ||
        tokenizer_decode(tokenizer, ids.ids, ids.count, &back, NULL) != STATUS_OK)
        abort();
    free(ids.ids);
    free(back.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char head[8192];
    const char *text = (const char *)data + 1, *end;
    int64_t bytes = (int64_t)size - 1;
    struct tokenizer *tokenizer = NULL;
    struct bpe_source source = {"tokenizer.json", text, bytes};
    struct error error = {0};
    char *joined = NULL;

    if (size == 0)
        return 0;
    end = bytes > 0 ? memchr(text, 0xFF, (size_t)bytes) : NULL;
    if (end != NULL) {
        source.bytes = end - text;
        bytes -= source.bytes + 1;
        text = end + 1;
    }
    if (data[0] & 1) {
        size_t used = write_head(head, sizeof head, data[0] >> 1);

        joined = malloc(used + (size_t)source.bytes + 1);
        memcpy(joined, head, used);
        memcpy(joined + used, source.data, (size_t)source.bytes);
        source.data = joined;
        source.bytes += (int64_t)used;
    }
    if (bpe_parse_tokenizer_json(&source, NULL, &tokenizer, &error) == STATUS_OK)
        encode_and_decode(tokenizer, text, bytes);
    else if (error.message[0] == '\0')
        abort();
    tokenizer_close(tokenizer);
    free(joined);
    return 0;
}
