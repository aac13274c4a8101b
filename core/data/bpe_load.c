/* vocab.json: an object of token text -> id. merges.txt: a line "#version ...", then one "left right" a line, in order
 * of rank. Token texts are written in GPT-2's alphabet of visible characters, one for each byte. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "data/bpe.h"
#include "data/unicode.h"

#define MOST_FILE_BYTES (256 << 20)
#define MOST_TOKENS     (1 << 24)
#define ALPHABET_END    324 /* one past the last character of the alphabet */

/* byte_of[c]: the byte that character c stands for, -1 for none. Bytes that are visible in Latin-1 stand for
 * themselves, the others in their order for 256, 257, ... (openai/gpt-2, encoder.py, bytes_to_unicode). */
static void make_alphabet(int byte_of[ALPHABET_END])
{
    int byte, next = 256, character;

    for (character = 0; character < ALPHABET_END; character++)
        byte_of[character] = -1;
    for (byte = 0; byte < 256; byte++) {
        int visible = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;

        byte_of[visible ? byte : next++] = byte;
    }
}

/* Writes the bytes that `key` stands for and returns their count. A text with a character outside the alphabet (an
 * added token) stands for itself: then *plain is set. */
static int64_t token_text(const int *byte_of, const char *key, int64_t key_bytes, char *out, bool *plain)
{
    int64_t at = 0, count = 0;

    *plain = false;
    while (at < key_bytes) {
        uint32_t code;

        at += utf8_read(key + at, key_bytes - at, &code);
        if (code >= ALPHABET_END || byte_of[code] < 0) {
            *plain = true;
            memcpy(out, key, (size_t)key_bytes);
            return key_bytes;
        }
        out[count++] = (char)byte_of[code];
    }
    return count;
}

/* keys[id] = token text, ids being exactly 0 to count - 1. */
static int order_keys(json_t *object, const char *name, const char **keys, struct error *error)
{
    int64_t count = (int64_t)json_object_size(object);
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value)
    {
        json_int_t id = json_integer_value(value);

        if (!json_is_integer(value))
            return error_set(error, STATUS_INPUT, "%s: the id of a token is not an integer", name);
        if (id < 0 || id >= count)
            return error_set(error, STATUS_INPUT,
                             "%s: there is a token id %lld, but %lld tokens have the ids 0 to %lld", name,
                             (long long)id, (long long)count, (long long)count - 1);
        if (keys[id] != NULL)
            return error_set(error, STATUS_INPUT, "%s: two tokens have the id %lld", name, (long long)id);
        if (key[0] == '\0')
            return error_set(error, STATUS_INPUT, "%s: the token %lld is empty", name, (long long)id);
        keys[id] = key;
    }
    return STATUS_OK;
}

static int store_tokens(struct bpe *bpe, const char *name, const char *const *keys, int64_t count, struct error *error)
{
    int byte_of[ALPHABET_END];
    int64_t id, total = 0;
    int byte;

    make_alphabet(byte_of);
    for (id = 0; id < count; id++)
        total += (int64_t)strlen(keys[id]);
    bpe->text = malloc((size_t)total);
    bpe->offsets = malloc((size_t)(count + 1) * sizeof *bpe->offsets);
    if (bpe->text == NULL || bpe->offsets == NULL)
        return error_set(error, STATUS_MEMORY, "%s: no memory for %lld tokens", name, (long long)count);
    for (byte = 0; byte < 256; byte++)
        bpe->byte_ids[byte] = -1;
    bpe->offsets[0] = 0;
    bpe->base.end_of_text = -1;
    for (id = 0; id < count; id++) {
        char *text = bpe->text + bpe->offsets[id];
        bool plain;
        int64_t bytes = token_text(byte_of, keys[id], (int64_t)strlen(keys[id]), text, &plain);

        bpe->offsets[id + 1] = bpe->offsets[id] + bytes;
        if (bytes == 1 && !plain)
            bpe->byte_ids[(unsigned char)text[0]] = (int32_t)id;
        if (strcmp(keys[id], "<|endoftext|>") == 0)
            bpe->base.end_of_text = (int32_t)id;
    }
    bpe->base.vocabulary = (int32_t)count;
    for (byte = 0; byte < 256; byte++)
        if (bpe->byte_ids[byte] < 0)
            return error_set(error, STATUS_INPUT, "%s: there is no token for the byte 0x%02x", name, byte);
    return STATUS_OK;
}

static int take_vocabulary(struct bpe *bpe, const struct bpe_source *source, json_t **object, struct error *error)
{
    const char **keys = NULL;
    json_error_t where;
    int64_t count;
    int result;

    *object = json_loadb(source->data, (size_t)source->bytes, JSON_REJECT_DUPLICATES, &where);
    if (*object == NULL)
        return error_set(error, STATUS_INPUT, "%s:%d:%d: %s", source->name, where.line, where.column, where.text);
    if (!json_is_object(*object))
        return error_set(error, STATUS_INPUT, "%s: an object of token texts and ids is wanted", source->name);
    count = (int64_t)json_object_size(*object);
    if (count > MOST_TOKENS)
        return error_set(error, STATUS_INPUT, "%s has %lld tokens; at most %d are read", source->name, (long long)count,
                         MOST_TOKENS);
    keys = calloc((size_t)count + 1, sizeof *keys);
    if (keys == NULL)
        return error_set(error, STATUS_MEMORY, "%s: no memory for %lld tokens", source->name, (long long)count);
    result = order_keys(*object, source->name, keys, error);
    if (result == STATUS_OK)
        result = store_tokens(bpe, source->name, keys, count, error);
    free(keys);
    return result;
}

static int32_t token_id(json_t *object, const char *text, int64_t bytes)
{
    json_t *value = json_object_getn(object, text, (size_t)bytes);

    return value != NULL ? (int32_t)json_integer_value(value) : -1;
}

/* One line "left right". `joined` has room for the line. */
static int parse_merge(json_t *object, const char *line, int64_t bytes, char *joined, struct merge *merge,
                       struct error *error)
{
    const char *space = memchr(line, ' ', (size_t)bytes);
    int64_t left_bytes = space != NULL ? space - line : 0;
    int64_t right_bytes = bytes - left_bytes - 1;
    int64_t at = 0;

    while (at < bytes) {
        uint32_t code;
        int length = utf8_read(line + at, bytes - at, &code);

        if (length == 1 && (unsigned char)line[at] >= 0x80)
            return error_set(error, STATUS_INPUT, "the line is not valid UTF-8");
        at += length;
    }
    if (left_bytes == 0 || right_bytes <= 0 || memchr(space + 1, ' ', (size_t)right_bytes) != NULL)
        return error_set(error, STATUS_INPUT, "the line is not two parts with one space between them");
    memcpy(joined, line, (size_t)left_bytes);
    memcpy(joined + left_bytes, space + 1, (size_t)right_bytes);
    merge->left = token_id(object, line, left_bytes);
    merge->right = token_id(object, space + 1, right_bytes);
    merge->id = token_id(object, joined, left_bytes + right_bytes);
    if (merge->left < 0 || merge->right < 0)
        return error_set(error, STATUS_INPUT, "the %s part is not in the vocabulary",
                         merge->left < 0 ? "left" : "right");
    if (merge->id < 0)
        return error_set(error, STATUS_INPUT, "the two parts joined are not in the vocabulary");
    return STATUS_OK;
}

static int64_t count_lines(const struct bpe_source *source)
{
    int64_t index, lines = 1;

    for (index = 0; index < source->bytes; index++)
        lines += source->data[index] == '\n';
    return lines;
}

static int take_merges(struct bpe *bpe, const struct bpe_source *source, json_t *object, struct error *error)
{
    int64_t done = 0, line = 0, lines = count_lines(source);
    char *joined = malloc((size_t)source->bytes + 1);
    struct merge merge = {0};
    int result = STATUS_OK;

    if (joined == NULL || lines > MOST_TOKENS) {
        result = joined == NULL ? error_set(error, STATUS_MEMORY, "%s: no memory to read it", source->name)
                                : error_set(error, STATUS_INPUT, "%s has %lld lines; at most %d are read", source->name,
                                            (long long)lines, MOST_TOKENS);
        goto out;
    }
    result = merge_table_start(&bpe->merges, lines, error);
    while (done < source->bytes && result == STATUS_OK) {
        const char *text = source->data + done;
        const char *newline = memchr(text, '\n', (size_t)(source->bytes - done));
        int64_t bytes = newline != NULL ? newline - text : source->bytes - done;

        line++;
        done += bytes + 1;
        if (bytes >= 8 && memcmp(text, "#version", 8) == 0)
            continue;
        result = parse_merge(object, text, bytes, joined, &merge, error);
        if (result == STATUS_OK && !merge_table_add(&bpe->merges, merge))
            result = error_set(error, STATUS_INPUT, "the same merge stands on an earlier line");
        if (result != STATUS_OK)
            error_prefix(error, "%s:%lld", source->name, (long long)line);
        merge.rank++;
    }
out:
    free(joined);
    return result;
}

int bpe_parse(const struct bpe_source *vocabulary, const struct bpe_source *merges, struct tokenizer **out,
              struct error *error)
{
    struct bpe *bpe = bpe_create();
    json_t *object = NULL;
    uint64_t hashes[3];
    int result;

    if (bpe == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for a tokenizer");
    result = take_vocabulary(bpe, vocabulary, &object, error);
    if (result == STATUS_OK)
        result = take_merges(bpe, merges, object, error);
    json_decref(object);
    if (result != STATUS_OK) {
        tokenizer_close(&bpe->base);
        return result;
    }
    hashes[0] = hash_bytes(bpe->text, (size_t)bpe->offsets[bpe->base.vocabulary]);
    hashes[1] = hash_bytes(bpe->offsets, (size_t)(bpe->base.vocabulary + 1) * sizeof *bpe->offsets);
    hashes[2] = hash_bytes(merges->data, (size_t)merges->bytes);
    bpe->base.hash = hash_bytes(hashes, sizeof hashes);
    *out = &bpe->base;
    return STATUS_OK;
}

static int read_source(const char *folder, const char *name, char *path, size_t path_bytes, struct bpe_source *source,
                       char **data, struct error *error)
{
    if (!file_join(path, path_bytes, folder, name))
        return error_set(error, STATUS_INPUT, "%s: the name is too long", folder);
    source->name = path;
    if (file_read_all(&file_system_real, path, MOST_FILE_BYTES, data, &source->bytes, error) != STATUS_OK)
        return error_prefix(error, "tokenizer");
    source->data = *data;
    return STATUS_OK;
}

int tokenizer_open_bpe(const char *folder, struct tokenizer **out, struct error *error)
{
    char vocabulary_path[4096], merges_path[4096];
    struct bpe_source vocabulary = {0}, merges = {0};
    char *vocabulary_data = NULL, *merges_data = NULL;
    int result;

    result = read_source(folder, "vocab.json", vocabulary_path, sizeof vocabulary_path, &vocabulary, &vocabulary_data,
                         error);
    if (result == STATUS_OK)
        result = read_source(folder, "merges.txt", merges_path, sizeof merges_path, &merges, &merges_data, error);
    if (result == STATUS_OK)
        result = bpe_parse(&vocabulary, &merges, out, error);
    free(vocabulary_data);
    free(merges_data);
    return result;
}
