#include "data/end_of_text.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/strict_json.h"
#include "data/tokenizer_file.h"

#define MOST_FILE_BYTES (64 << 20) /* a tokenizer_config.json lists all added tokens again */

int32_t end_of_text_by_name(const struct bpe *bpe)
{
    static const char *const names[] = {"<|endoftext|>", "<|end_of_text|>", "</s>"};
    int32_t id = -1;
    size_t index;

    for (index = 0; index < sizeof names / sizeof names[0] && id < 0; index++)
        id = bpe_find_token(bpe, names[index], (int64_t)strlen(names[index]));
    return id;
}

/* *id stays where the member names no token. */
static int take_text(json_t *root, const char *path, const struct bpe *bpe, int32_t *id, struct error *error)
{
    json_t *value = json_object_get(root, "eos_token");
    const char *text;

    if (json_is_object(value))
        value = json_object_get(value, "content");
    if (value == NULL || json_is_null(value))
        return STATUS_OK;
    text = json_string_value(value);
    if (text == NULL)
        return error_set(error, STATUS_INPUT,
                         "%s: 'eos_token' has the wrong type; a text, or an object whose 'content' is one, is wanted",
                         path);
    *id = bpe_find_token(bpe, text, (int64_t)strlen(text));
    if (*id < 0)
        return error_set(error, STATUS_INPUT, "%s: 'eos_token' is '%.100s', which is no token of the vocabulary", path,
                         text);
    return STATUS_OK;
}

static int read_file(const struct file_system *fs, const char *folder, const char *name, const struct bpe *bpe,
                     int32_t *id, struct error *error)
{
    struct tokenizer_file file;
    json_t *root = NULL;
    int result;

    if (file_join(file.path, sizeof file.path, folder, name) && !file_is_there(fs, file.path))
        return STATUS_OK;
    /* "model_max_length" is 10^30 in many of these files. */
    result = tokenizer_file_read(fs, folder, name, MOST_FILE_BYTES, &file, error);
    if (result == STATUS_OK)
        result = strict_json_parse_reals(file.text, file.bytes, file.path, &root, error);
    if (result == STATUS_OK)
        result = take_text(root, file.path, bpe, id, error);
    json_decref(root);
    free(file.memory);
    return result;
}

int end_of_text_read(const struct file_system *fs, const char *folder, struct bpe *bpe, struct error *error)
{
    static const char *const files[] = {"tokenizer_config.json", "special_tokens_map.json"};
    int32_t id = -1;
    size_t index;

    for (index = 0; index < sizeof files / sizeof files[0] && id < 0; index++) {
        int result = read_file(fs, folder, files[index], bpe, &id, error);

        if (result != STATUS_OK)
            return result;
    }
    if (id >= 0 && id != bpe->base.end_of_text) {
        uint64_t parts[2] = {bpe->base.hash, (uint64_t)id};

        bpe->base.end_of_text = id;
        bpe->base.hash = hash_bytes(parts, sizeof parts);
    }
    return STATUS_OK;
}
