/* tokenizer.json, as Hugging Face tokenizers writes it: the model, its vocabulary and merges, and the added tokens. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/strict_json.h"
#include "tokenizer/bpe_vocabulary.h"
#include "tokenizer/end_of_text.h"
#include "tokenizer/side_tokens.h"
#include "tokenizer/tokenizer_stages.h"

struct reader {
    const char *source;
    struct bpe *bpe;
    json_t *root;
    json_t *vocabulary; /* borrowed from root, as the others */
    json_t *merges;
    json_t *added; /* NULL: none */
    const struct tokenizer_config *config;
    struct added_vocabulary all_added;
    uint64_t side_hash;   /* of what the files beside it change; 0: nothing */
    struct bpe_key *keys; /* [count] */
    int64_t count;
    bool ignore_merges;
};

/* A member of the model that must be absent, null, or `harmless`. */
static int refuse_unless(const struct reader *reader, json_t *model, const char *key, const char *harmless,
                         struct error *error)
{
    json_t *value = json_object_get(model, key);
    char *text;

    if (value == NULL || json_is_null(value) ||
        (json_is_string(value) && harmless != NULL && strcmp(json_string_value(value), harmless) == 0))
        return STATUS_OK;
    text = json_dumps(value, JSON_ENCODE_ANY);
    error_set(error, STATUS_INPUT, "%s: the model's '%s' is %.100s; null is wanted", reader->source, key,
              text != NULL ? text : "something else");
    free(text);
    return STATUS_INPUT;
}

/* What stands for a byte that no token is. */
static int read_unknown(struct reader *reader, json_t *model, struct error *error)
{
    json_t *value = json_object_get(model, "unk_token"), *id;

    if (value == NULL || json_is_null(value))
        return STATUS_OK;
    if (!json_is_string(value))
        return error_set(error, STATUS_INPUT,
                         "%s: the model's 'unk_token' has the wrong type; a text or null is wanted", reader->source);
    /* Hugging Face looks it up where a text needs it; until then it may be missing. */
    id = json_object_get(reader->vocabulary, json_string_value(value));
    reader->bpe->unknown =
        json_is_integer(id) && json_integer_value(id) >= 0 && json_integer_value(id) < BPE_MOST_TOKENS
            ? (int32_t)json_integer_value(id)
            : BPE_UNKNOWN_MISSING;
    return tokenizer_json_flag(model, "fuse_unk", reader->source, false, &reader->bpe->fuse_unknown, error);
}

static bool is_zero(const json_t *value)
{
    return json_is_number(value) && json_number_value(value) == 0;
}

static int read_model(struct reader *reader, struct error *error)
{
    static const char *const known[] = {
        "type",          "dropout", "unk_token",          "fuse_unk",      "vocab", "continuing_subword_prefix",
        "byte_fallback", "merges",  "end_of_word_suffix", "ignore_merges", NULL};
    json_t *model;
    bool byte_fallback;
    int result = strict_json_object(reader->root, "model", reader->source, &model, error);
    const char *type = result == STATUS_OK ? json_string_value(json_object_get(model, "type")) : NULL;

    if (result == STATUS_OK && type != NULL && strcmp(type, "BPE") != 0)
        return error_set(error, STATUS_INPUT, "%s: the model is of type '%.100s'; only BPE is understood",
                         reader->source, type);
    if (result == STATUS_OK)
        result = tokenizer_json_known(model, "the model", known, reader->source, error);
    if (result == STATUS_OK && !is_zero(json_object_get(model, "dropout")))
        result = refuse_unless(reader, model, "dropout", NULL, error);
    if (result == STATUS_OK)
        result = refuse_unless(reader, model, "continuing_subword_prefix", "", error);
    if (result == STATUS_OK)
        result = refuse_unless(reader, model, "end_of_word_suffix", "", error);
    if (result == STATUS_OK)
        result = tokenizer_json_flag(model, "byte_fallback", reader->source, false, &byte_fallback, error);
    if (result == STATUS_OK && byte_fallback)
        return error_set(error, STATUS_INPUT, "%s: the model's 'byte_fallback' is true; false is wanted",
                         reader->source);
    if (result == STATUS_OK)
        result = tokenizer_json_flag(model, "ignore_merges", reader->source, false, &reader->ignore_merges, error);
    if (result == STATUS_OK)
        result = strict_json_object(model, "vocab", reader->source, &reader->vocabulary, error);
    if (result == STATUS_OK)
        result = read_unknown(reader, model, error);
    return result == STATUS_OK ? strict_json_array(model, "merges", reader->source, &reader->merges, error) : result;
}

/* One added token of the file. Hugging Face numbers them in their order, whatever their "id" says. */
static int read_added(struct reader *reader, json_t *object, struct error *error)
{
    struct added_definition definition;
    const char *text = json_string_value(json_object_get(object, "content"));
    int64_t id, largest = -1;
    int result = bpe_raise_largest(json_object_get(object, "id"), text, reader->source, &largest, error);

    if (result == STATUS_OK)
        result = added_definition_read(object, false, reader->source, &definition, error);
    if (result != STATUS_OK)
        return result;
    id = added_vocabulary_id(&reader->all_added, definition.text);
    if (id != largest)
        return error_set(error, STATUS_INPUT,
                         "%s: the added token '%.100s' has the id %lld; by its place, or in the vocabulary, it is %lld",
                         reader->source, definition.text, (long long)largest, (long long)id);
    return added_vocabulary_add(&reader->all_added, &definition, reader->source, error);
}

/* The tokens that are added to the vocabulary, by the file and by those beside it. */
static int read_all_added(struct reader *reader, struct error *error)
{
    enum tokenizer_pipeline pipeline = PIPELINE_FILE;
    uint64_t hash;
    int32_t ignored;
    size_t index;
    int result = added_vocabulary_start(&reader->all_added, reader->vocabulary, error);

    for (index = 0; result == STATUS_OK && index < json_array_size(reader->added); index++)
        result = read_added(reader, json_array_get(reader->added, index), error);
    if (result != STATUS_OK || reader->config == NULL)
        return result;
    hash = added_vocabulary_hash(&reader->all_added);
    result = tokenizer_config_compare(reader->config, reader->bpe, reader->ignore_merges,
                                      bpe_lacks_bytes(reader->vocabulary), &pipeline, error);
    if (result == STATUS_OK)
        result = side_tokens_add(reader->config, pipeline, true, &reader->all_added, &ignored, error);
    if (result == STATUS_OK && added_vocabulary_hash(&reader->all_added) != hash)
        reader->side_hash = added_vocabulary_hash(&reader->all_added);
    return result;
}

/* "left right", or a list of both. */
static int merge_parts(json_t *value, const char **left, int64_t *left_bytes, const char **right, int64_t *right_bytes)
{
    json_t *second = json_array_get(value, 1);
    const char *space;

    if (json_is_string(value)) {
        *left = json_string_value(value);
        space = strchr(*left, ' ');
        if (space == NULL || strchr(space + 1, ' ') != NULL)
            return STATUS_INPUT;
        *left_bytes = space - *left;
        *right = space + 1;
        *right_bytes = (int64_t)strlen(*right);
        return *left_bytes > 0 && *right_bytes > 0 ? STATUS_OK : STATUS_INPUT;
    }
    if (json_array_size(value) != 2 || !json_is_string(json_array_get(value, 0)) || !json_is_string(second))
        return STATUS_INPUT;
    *left = json_string_value(json_array_get(value, 0));
    *right = json_string_value(second);
    *left_bytes = (int64_t)strlen(*left);
    *right_bytes = (int64_t)strlen(*right);
    return STATUS_OK;
}

static int read_merge(const struct reader *reader, json_t *value, int32_t rank, struct error *error)
{
    struct merge merge = {.rank = rank};
    int64_t left_bytes, right_bytes;
    const char *left, *right;
    char *joined;
    int result;

    if (merge_parts(value, &left, &left_bytes, &right, &right_bytes) != STATUS_OK)
        return error_set(error, STATUS_INPUT, "it is neither two parts with one space between them nor a list of two");
    joined = malloc((size_t)(left_bytes + right_bytes) + 1);
    if (joined == NULL)
        return error_set(error, STATUS_MEMORY, "no memory to read it");
    result = bpe_make_merge(reader->vocabulary, left, left_bytes, right, right_bytes, joined, &merge, error);
    free(joined);
    if (result == STATUS_OK && !merge_table_add(&reader->bpe->merges, merge))
        result = error_set(error, STATUS_INPUT, "the same merge stands earlier");
    return result;
}

static int read_merges(const struct reader *reader, struct error *error)
{
    size_t count = json_array_size(reader->merges), index;
    int result;

    if (count > BPE_MOST_TOKENS)
        return error_set(error, STATUS_INPUT, "%s has %zu merges; at most %d are read", reader->source, count,
                         BPE_MOST_TOKENS);
    result = merge_table_start(&reader->bpe->merges, (int64_t)count, error);
    for (index = 0; result == STATUS_OK && index < count; index++) {
        result = read_merge(reader, json_array_get(reader->merges, index), (int32_t)index, error);
        if (result != STATUS_OK)
            error_prefix(error, "%s: merge %zu", reader->source, index + 1);
    }
    return result;
}

static int read_tokens(struct reader *reader, struct error *error)
{
    int64_t largest;
    int result = bpe_largest_id(reader->vocabulary, reader->source, &largest, error);

    if (result == STATUS_OK)
        result = read_all_added(reader, error);
    if (result == STATUS_OK)
        result = added_vocabulary_count(&reader->all_added, largest, reader->source, &reader->count, error);
    if (result != STATUS_OK)
        return result;
    reader->keys = calloc((size_t)reader->count + 1, sizeof *reader->keys);
    if (reader->keys == NULL)
        return error_set(error, STATUS_MEMORY, "%s: no memory for %lld tokens", reader->source,
                         (long long)reader->count);
    result = bpe_order_keys(reader->vocabulary, reader->source, reader->keys, reader->count, error);
    if (result == STATUS_OK)
        result =
            added_vocabulary_store(&reader->all_added, reader->source, reader->bpe, reader->keys, reader->count, error);
    if (result == STATUS_OK)
        result = bpe_store_tokens(reader->bpe, reader->source, reader->keys, reader->count, error);
    if (result == STATUS_OK && reader->ignore_merges)
        result = bpe_index_whole(reader->bpe, reader->keys, error);
    return result;
}

static int read_root(struct reader *reader, struct error *error)
{
    const char *version = json_string_value(json_object_get(reader->root, "version"));
    json_t *added = json_object_get(reader->root, "added_tokens");
    int result;

    if (version != NULL && strcmp(version, "1.0") != 0)
        return error_set(error, STATUS_INPUT, "%s: its version is '%.100s'; 1.0 is wanted", reader->source, version);
    if (added != NULL && !json_is_null(added)) {
        result = strict_json_array(reader->root, "added_tokens", reader->source, &reader->added, error);
        if (result != STATUS_OK)
            return result;
    }
    result = read_model(reader, error);
    if (result == STATUS_OK)
        result = tokenizer_stages_read(reader->root, reader->source, reader->bpe, error);
    if (result == STATUS_OK)
        result = read_tokens(reader, error);
    if (result == STATUS_OK && reader->bpe->base.begin_of_text >= reader->count)
        result = error_set(error, STATUS_INPUT, "%s: the template puts the token %d first; ids are below %lld",
                           reader->source, reader->bpe->base.begin_of_text, (long long)reader->count);
    if (result == STATUS_OK)
        result = read_merges(reader, error);
    return result;
}

int bpe_parse_tokenizer_json(const struct bpe_source *source, const struct tokenizer_config *config,
                             struct tokenizer **out, struct error *error)
{
    struct reader reader = {.source = source->name, .bpe = bpe_create(), .config = config};
    int result;

    if (reader.bpe == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for a tokenizer");
    result = strict_json_parse(source->data, source->bytes, source->name, &reader.root, error);
    if (result == STATUS_OK)
        result = read_root(&reader, error);
    if (result == STATUS_OK) {
        const uint64_t hashes[] = {hash_bytes(source->data, (size_t)source->bytes), reader.side_hash};

        reader.bpe->base.hash = reader.side_hash != 0 ? hash_bytes(hashes, sizeof hashes) : hashes[0];
        reader.bpe->base.end_of_text = end_of_text_by_name(reader.bpe);
        *out = &reader.bpe->base;
    } else {
        tokenizer_close(&reader.bpe->base);
    }
    added_vocabulary_finish(&reader.all_added);
    free(reader.keys);
    json_decref(reader.root);
    return result;
}
