/* The files beside a tokenizer's vocabulary from any bytes, and text through what they make.
 *
 * Input: a byte for the mode, then tokenizer_config.json, special_tokens_map.json, added_tokens.json, config.json and a
 * text with a byte 0xFF between them. In odd modes they stand beside a tokenizer.json, else beside vocab.json and
 * merges.txt. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strict_json.h"
#include "tokenizer/bpe.h"
#include "tokenizer/tokenizer_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STAGES                                                                                                         \
    "\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false}, \"decoder\": {\"type\": "              \
    "\"ByteLevel\"},"

static const char *next_part(const char **rest, int64_t *bytes, int64_t *part_bytes)
{
    const char *part = *rest, *end = *bytes > 0 ? memchr(*rest, 0xFF, (size_t)*bytes) : NULL;

    *part_bytes = end != NULL ? end - part : *bytes;
    *rest += *part_bytes + (end != NULL);
    *bytes -= *part_bytes + (end != NULL);
    return part;
}

static bool read_side(struct side_file *file, const char *name, bool reals, const char **rest, int64_t *bytes)
{
    int64_t part_bytes;
    const char *part = next_part(rest, bytes, &part_bytes);
    struct error error;

    snprintf(file->path, sizeof file->path, "%s", name);
    if (part_bytes == 0)
        return true;
    return (reals ? strict_json_parse_reals(part, part_bytes, name, &file->root, &error)
                  : strict_json_parse(part, part_bytes, name, &file->root, &error)) == STATUS_OK;
}

static size_t write_vocabulary(char *out, size_t out_bytes)
{
    size_t used = (size_t)snprintf(out, out_bytes, "{");
    int byte, next = 256;

    for (byte = 0; byte < 256; byte++) {
        int visible = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;

        used += (size_t)snprintf(out + used, out_bytes - used, "\"\\u%04x\": %d,", visible ? byte : next++, byte);
    }
    return used + (size_t)snprintf(out + used, out_bytes - used, "\"ab\": 256, \"<|endoftext|>\": 257}");
}

static int parse(const struct tokenizer_config *config, bool beside_file, struct tokenizer **out, struct error *error)
{
    static char vocabulary[8192], file[16384];
    const struct bpe_source merges = {"merges.txt", "a b\n", 4};
    struct bpe_source source = {"vocab.json", vocabulary, (int64_t)write_vocabulary(vocabulary, sizeof vocabulary)};

    if (!beside_file)
        return bpe_parse(&source, &merges, config, out, error);
    source = (struct bpe_source){"tokenizer.json", file,
                                 snprintf(file, sizeof file,
                                          "{\"added_tokens\": [{\"id\": 258, \"content\": \"<x>\"}], " STAGES
                                          "\"model\": {\"vocab\": %s, \"merges\": [\"a b\"]}}",
                                          vocabulary)};
    return bpe_parse_tokenizer_json(&source, config, out, error);
}

static void encode(const struct tokenizer *tokenizer, const char *text, int64_t bytes)
{
    struct token_list ids = {0};
    struct byte_list back = {0};
    int64_t index;

    if (tokenizer_encode(tokenizer, text, bytes, &ids, NULL) != STATUS_OK ||
        tokenizer_encode_prompt(tokenizer, text, bytes, true, &ids, NULL) != STATUS_OK ||
        tokenizer_decode(tokenizer, ids.ids, ids.count, &back, NULL) != STATUS_OK)
        abort();
    for (index = 0; index < ids.count; index++)
        if (ids.ids[index] < 0 || ids.ids[index] >= tokenizer_vocabulary(tokenizer))
            abort();
    free(ids.ids);
    free(back.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tokenizer_config config;
    const char *rest = (const char *)data + 1;
    int64_t bytes = (int64_t)size - 1;
    struct tokenizer *tokenizer = NULL;
    struct error error = {0};
    bool readable;

    if (size == 0)
        return 0;
    readable = read_side(&config.config, "tokenizer_config.json", true, &rest, &bytes) &&
               read_side(&config.map, "special_tokens_map.json", true, &rest, &bytes) &&
               read_side(&config.added, "added_tokens.json", false, &rest, &bytes) &&
               read_side(&config.model, "config.json", true, &rest, &bytes);
    if (readable) {
        if (parse(&config, data[0] & 1, &tokenizer, &error) == STATUS_OK)
            encode(tokenizer, rest, bytes);
        else if (error.message[0] == '\0')
            abort();
    }
    tokenizer_close(tokenizer);
    tokenizer_config_finish(&config);
    return 0;
}
