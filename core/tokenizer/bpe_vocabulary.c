#include "tokenizer/bpe_vocabulary.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "tokenizer/unicode.h"

#define ALPHABET_END 324 /* one past the last character of the alphabet */

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

static bool in_alphabet(const int *byte_of, const char *key)
{
    int64_t at = 0, bytes = (int64_t)strlen(key);

    while (at < bytes) {
        uint32_t code;

        at += utf8_read(key + at, bytes - at, &code);
        if (code >= ALPHABET_END || byte_of[code] < 0)
            return false;
    }
    return true;
}

int bpe_raise_largest(json_t *id, const char *text, const char *name, int64_t *largest, struct error *error)
{
    const json_int_t value = json_integer_value(id);

    if (!json_is_integer(id))
        return error_set(error, STATUS_INPUT, "%s: the id of the token '%.100s' is not an integer", name,
                         text != NULL ? text : "");
    if (value < 0 || value >= BPE_MOST_TOKENS)
        return error_set(error, STATUS_INPUT, "%s: there is a token id %lld; ids are 0 to %d", name, (long long)value,
                         BPE_MOST_TOKENS - 1);
    if (value > *largest)
        *largest = value;
    return STATUS_OK;
}

int bpe_largest_id(json_t *object, const char *name, int64_t *largest, struct error *error)
{
    const char *key;
    json_t *value;
    int result = STATUS_OK;

    *largest = -1;
    json_object_foreach(object, key, value)
    {
        result = bpe_raise_largest(value, key, name, largest, error);
        if (result != STATUS_OK)
            return result;
    }
    return result;
}

int bpe_order_keys(json_t *object, const char *name, struct bpe_key *keys, int64_t count, struct error *error)
{
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value)
    {
        const json_int_t id = json_integer_value(value);

        if (id < 0 || id >= count)
            return error_set(error, STATUS_BUG, "%s: the token id %lld is not below %lld", name, (long long)id,
                             (long long)count);
        if (keys[id].text != NULL)
            return error_set(error, STATUS_INPUT, "%s: two tokens have the id %lld", name, (long long)id);
        if (key[0] == '\0')
            return error_set(error, STATUS_INPUT, "%s: the token %lld is empty", name, (long long)id);
        keys[id].text = key;
    }
    return STATUS_OK;
}

/* The bytes 0xC0, 0xC1 and those from 0xF5 on stand in no UTF-8 text. */
bool bpe_lacks_bytes(json_t *object)
{
    int byte_of[ALPHABET_END], character;

    make_alphabet(byte_of);
    for (character = 0; character < ALPHABET_END; character++) {
        const int byte = byte_of[character];
        const char text[] = {(char)(character < 0x80 ? character : 0xC0 | character >> 6),
                             (char)(0x80 | (character & 0x3F))};

        if (byte >= 0 && byte != 0xC0 && byte != 0xC1 && byte < 0xF5 &&
            json_object_getn(object, text, character < 0x80 ? 1 : 2) == NULL)
            return true;
    }
    return false;
}

static int64_t key_bytes(const struct bpe_key *key)
{
    return key->text != NULL ? (int64_t)strlen(key->text) : 0;
}

/* Writes the bytes that the token stands for and returns their count. A text with a character outside the alphabet
 * stands for itself, as that of an added token does: then *plain is set. */
static int64_t store_token(const int *byte_of, const struct bpe_key *key, char *text, bool *plain)
{
    int64_t bytes = key_bytes(key), at = 0, count = 0;

    *plain = bytes == 0 || key->added || !in_alphabet(byte_of, key->text);
    if (bytes > 0 && *plain)
        memcpy(text, key->text, (size_t)bytes);
    if (*plain)
        return bytes;
    while (at < bytes) {
        uint32_t code;

        at += utf8_read(key->text + at, bytes - at, &code);
        text[count++] = (char)byte_of[code];
    }
    return count;
}

int bpe_store_tokens(struct bpe *bpe, const char *name, const struct bpe_key *keys, int64_t count, struct error *error)
{
    int byte_of[ALPHABET_END];
    int64_t id, total = 0, byte_tokens = 0;

    make_alphabet(byte_of);
    for (id = 0; id < count; id++)
        total += key_bytes(&keys[id]);
    bpe->text = malloc((size_t)total + 1);
    bpe->offsets = malloc((size_t)(count + 1) * sizeof *bpe->offsets);
    if (bpe->text == NULL || bpe->offsets == NULL)
        return error_set(error, STATUS_MEMORY, "%s: no memory for %lld tokens", name, (long long)count);
    memset(bpe->byte_ids, -1, sizeof bpe->byte_ids);
    bpe->offsets[0] = 0;
    for (id = 0; id < count; id++) {
        char *text = bpe->text + bpe->offsets[id];
        bool plain;
        int64_t bytes = store_token(byte_of, &keys[id], text, &plain);

        bpe->offsets[id + 1] = bpe->offsets[id] + bytes;
        if (bytes == 1 && !plain) {
            bpe->byte_ids[(unsigned char)text[0]] = (int32_t)id;
            byte_tokens++;
        }
    }
    bpe->base.vocabulary = (int32_t)count;
    if (byte_tokens == 0)
        return error_set(error, STATUS_INPUT,
                         "%s: no token of the vocabulary is a single byte; byte-level BPE is wanted", name);
    return STATUS_OK;
}

int bpe_index_whole(struct bpe *bpe, const struct bpe_key *keys, struct error *error)
{
    int byte_of[ALPHABET_END];
    uint64_t slots = 16, place;
    int32_t id;

    make_alphabet(byte_of);
    while (slots < (uint64_t)bpe->base.vocabulary * 2)
        slots *= 2;
    bpe->whole = malloc(slots * sizeof *bpe->whole);
    if (bpe->whole == NULL)
        return error_set(error, STATUS_MEMORY, "no memory to look for %d tokens", bpe->base.vocabulary);
    memset(bpe->whole, -1, slots * sizeof *bpe->whole);
    bpe->whole_mask = slots - 1;
    for (id = 0; id < bpe->base.vocabulary; id++) {
        int64_t bytes = bpe->offsets[id + 1] - bpe->offsets[id];

        if (bytes == 0 || keys[id].added || !in_alphabet(byte_of, keys[id].text))
            continue;
        place = hash_bytes(bpe->text + bpe->offsets[id], (size_t)bytes) & bpe->whole_mask;
        while (bpe->whole[place] >= 0)
            place = (place + 1) & bpe->whole_mask;
        bpe->whole[place] = id;
    }
    return STATUS_OK;
}

static int32_t token_id(json_t *object, const char *text, int64_t bytes)
{
    json_t *value = json_object_getn(object, text, (size_t)bytes);

    return value != NULL ? (int32_t)json_integer_value(value) : -1;
}

int bpe_make_merge(json_t *object, const char *left, int64_t left_bytes, const char *right, int64_t right_bytes,
                   char *joined, struct merge *merge, struct error *error)
{
    memcpy(joined, left, (size_t)left_bytes);
    memcpy(joined + left_bytes, right, (size_t)right_bytes);
    merge->left = token_id(object, left, left_bytes);
    merge->right = token_id(object, right, right_bytes);
    merge->id = token_id(object, joined, left_bytes + right_bytes);
    if (merge->left < 0 || merge->right < 0)
        return error_set(error, STATUS_INPUT, "the %s part is not in the vocabulary",
                         merge->left < 0 ? "left" : "right");
    if (merge->id < 0)
        return error_set(error, STATUS_INPUT, "the two parts joined are not in the vocabulary");
    return STATUS_OK;
}
