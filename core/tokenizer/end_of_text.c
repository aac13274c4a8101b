#include "tokenizer/end_of_text.h"

#include <string.h>

#include "base/hash.h"

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
static int take_text(const struct side_file *file, const struct bpe *bpe, int32_t *id, struct error *error)
{
    json_t *value = json_object_get(file->root, "eos_token");
    const char *text;

    if (json_is_object(value))
        value = json_object_get(value, "content");
    if (value == NULL || json_is_null(value))
        return STATUS_OK;
    text = json_string_value(value);
    if (text == NULL)
        return error_set(error, STATUS_INPUT,
                         "%s: 'eos_token' has the wrong type; a text, or an object whose 'content' is one, is wanted",
                         file->path);
    *id = bpe_find_token(bpe, text, (int64_t)strlen(text));
    if (*id < 0)
        return error_set(error, STATUS_INPUT, "%s: 'eos_token' is '%.100s', which is no token of the vocabulary",
                         file->path, text);
    return STATUS_OK;
}

int end_of_text_set(const struct tokenizer_config *config, struct bpe *bpe, struct error *error)
{
    int32_t id = -1;
    int result = STATUS_OK;

    if (json_object_get(config->config.root, "added_tokens_decoder") == NULL)
        result = take_text(&config->map, bpe, &id, error);
    if (result == STATUS_OK && id < 0)
        result = take_text(&config->config, bpe, &id, error);
    if (result == STATUS_OK && id < 0)
        result = take_text(&config->map, bpe, &id, error);
    if (result == STATUS_OK && id >= 0 && id != bpe->base.end_of_text) {
        uint64_t parts[2] = {bpe->base.hash, (uint64_t)id};

        bpe->base.end_of_text = id;
        bpe->base.hash = hash_bytes(parts, sizeof parts);
    }
    return result;
}
