#include "tokenizer/side_reader.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/strict_json.h"

static const char *const attribute_keys[ATTRIBUTES] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                                       "pad_token", "cls_token", "mask_token"};

static int note(json_t *set, const char *text, struct error *error)
{
    return json_object_set_new(set, text, json_true()) == 0
               ? STATUS_OK
               : error_set(error, STATUS_MEMORY, "no memory for the names of tokens");
}

static int add_listed(struct side *side, const struct listed *token, struct error *error)
{
    struct listed *listed =
        array_reserve(side->listed, side->listed_count, 1, &side->listed_capacity, sizeof *side->listed);

    if (listed == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the tokens of %s", token->source);
    side->listed = listed;
    listed[side->listed_count++] = *token;
    return STATUS_OK;
}

static int add_more(struct side *side, const struct named *token, struct error *error)
{
    struct named *more = array_reserve(side->more, side->more_count, 1, &side->more_capacity, sizeof *side->more);

    if (more == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the tokens of %s", token->source);
    side->more = more;
    more[side->more_count++] = *token;
    return STATUS_OK;
}

/* A member of its own, of which the last of its name counts. */
static int add_member(struct side *side, const char *key, const struct named *token, struct error *error)
{
    json_t *place = json_object_get(side->places, key);

    if (place != NULL) {
        side->more[json_integer_value(place)] = *token;
        return STATUS_OK;
    }
    if (json_object_set_new(side->places, key, json_integer(side->more_count)) != 0)
        return error_set(error, STATUS_MEMORY, "no memory for the tokens of %s", token->source);
    return add_more(side, token, error);
}

/* A text, or an object with "content". `special`: whether an object stands for a special token where it does not say.
 */
static int read_named(json_t *value, bool special, const char *key, const char *source, struct named *token,
                      struct error *error)
{
    *token = (struct named){.source = source, .is_text = json_is_string(value), .marks = !json_is_object(value)};
    if (json_is_object(value))
        return added_definition_read(value, special, source, &token->definition, error);
    if (!json_is_string(value))
        return error_set(error, STATUS_INPUT,
                         "%s: '%.100s' has the wrong type; expected a text, or an object whose 'content' is one",
                         source, key);
    token->definition = added_definition_special(json_string_value(value));
    return STATUS_OK;
}

static int attribute_of(const char *key)
{
    int index = 0;

    while (index < ATTRIBUTES && strcmp(attribute_keys[index], key) != 0)
        index++;
    return index;
}

static int read_attribute(struct side *side, int attribute, json_t *value, const struct side_file *file,
                          struct error *error)
{
    struct named token = {.source = NULL};
    int result = STATUS_OK;

    if (!json_is_null(value))
        result = read_named(value, true, attribute_keys[attribute], file->path, &token, error);
    if (result == STATUS_OK && token.source != NULL) {
        token.definition.special = true;
        token.marks |= file == &side->config->map;
        if (token.definition.text[0] == '\0')
            token.source = NULL;
    }
    side->attributes[attribute] = token;
    side->settled[attribute] = true;
    return result;
}

/* An object is a token where it says so, or in special_tokens_map.json. */
static bool names_token(const struct side *side, const struct side_file *file, json_t *value)
{
    return json_string_length(value) > 0 ||
           (json_is_object(value) && (file == &side->config->map || json_object_get(value, "__type") != NULL));
}

/* Members that name a special token: the attributes, and others whose name ends like theirs. */
static int read_members(struct side *side, const struct side_file *file, struct error *error)
{
    const char *key;
    json_t *value;
    int result = STATUS_OK;

    json_object_foreach(file->root, key, value)
    {
        const size_t length = strlen(key);
        const int attribute = attribute_of(key);
        struct named token;

        if (result != STATUS_OK)
            return result;
        if (attribute < ATTRIBUTES) {
            result = read_attribute(side, attribute, value, file, error);
        } else if (length > 6 && strcmp(key + length - 6, "_token") == 0 && names_token(side, file, value)) {
            result = read_named(value, true, key, file->path, &token, error);
            token.definition.special = true;
            token.marks = false;
            if (result == STATUS_OK)
                result = add_member(side, key, &token, error);
        }
    }
    return result;
}

/* A list of tokens, or an object of names and tokens. */
static int read_list(struct side *side, json_t *value, const char *key, bool marks, const char *source,
                     struct error *error)
{
    const char *name;
    json_t *member;
    size_t index;
    int result = STATUS_OK;

    if (!json_is_array(value) && !json_is_object(value))
        return error_set(error, STATUS_INPUT, "%s: '%s' has the wrong type; expected a list of tokens", source, key);
    for (index = 0; index < json_array_size(value) && result == STATUS_OK; index++) {
        struct named token;

        result = read_named(json_array_get(value, index), false, key, source, &token, error);
        token.in_list = true;
        token.marks &= marks;
        if (result == STATUS_OK)
            result = add_more(side, &token, error);
    }
    json_object_foreach(value, name, member)
    {
        struct named token;

        if (result != STATUS_OK)
            return result;
        result = read_named(member, true, key, source, &token, error);
        token.definition.special = true;
        token.marks = false;
        if (result == STATUS_OK)
            result = add_member(side, name, &token, error);
    }
    return result;
}

static bool holds_some(json_t *value)
{
    return value != NULL && !json_is_null(value) && !(json_is_array(value) && json_array_size(value) == 0) &&
           !(json_is_object(value) && json_object_size(value) == 0);
}

/* "additional_special_tokens" is the older name, which counts where the newer one names nothing; beside named tokens,
 * or in special_tokens_map.json, only where no list is there in the end. */
static int read_lists(struct side *side, const struct side_file *file, struct error *error)
{
    json_t *extra = json_object_get(file->root, "extra_special_tokens");
    json_t *additional = json_object_get(file->root, "additional_special_tokens");
    const bool converted = file == &side->config->config && additional != NULL && !holds_some(extra);
    int result = STATUS_OK;

    side->has_list |= converted || (extra != NULL && !json_is_object(extra));
    if (holds_some(extra))
        result = read_list(side, extra, "extra_special_tokens", true, file->path, error);
    if (result == STATUS_OK && converted && holds_some(additional))
        result = read_list(side, additional, "additional_special_tokens", true, file->path, error);
    if (additional != NULL && !converted) {
        side->older_list = additional;
        side->older_source = file->path;
    }
    return result;
}

static int read_older_list(struct side *side, struct error *error)
{
    if (side->has_list || !holds_some(side->older_list))
        return STATUS_OK;
    return read_list(side, side->older_list, "additional_special_tokens", false, side->older_source, error);
}

static int compare_ids(const void *left, const void *right)
{
    const struct listed *a = left, *b = right;

    return (a->id > b->id) - (a->id < b->id);
}

/* "added_tokens_decoder": ids, as texts, and the tokens. */
static int read_decoder(struct side *side, json_t *decoder, struct error *error)
{
    const char *path = side->config->config.path, *key;
    json_t *value;
    int result;

    if (!json_is_object(decoder))
        return error_set(error, STATUS_INPUT, "%s: 'added_tokens_decoder' has the wrong type; expected an object",
                         path);
    json_object_foreach(decoder, key, value)
    {
        struct listed token = {.source = path};
        char *end;

        token.id = strtoll(key, &end, 10);
        if (key[0] < '0' || key[0] > '9' || *end != '\0' || token.id >= BPE_MOST_TOKENS)
            return error_set(error, STATUS_INPUT,
                             "%s: 'added_tokens_decoder' has a member '%.100s'; expected ids of tokens", path, key);
        result = added_definition_read(value, false, path, &token.definition, error);
        if (result == STATUS_OK)
            result = add_listed(side, &token, error);
        if (result != STATUS_OK)
            return result;
    }
    return STATUS_OK;
}

/* The sets: what a file marks as special, and what a member of its own names, which is special whatever lists say. */
static int note_named(struct side *side, struct error *error)
{
    int64_t index;
    int result = STATUS_OK;

    for (index = 0; index < ATTRIBUTES + side->more_count && result == STATUS_OK; index++) {
        const struct named *token = index < ATTRIBUTES ? &side->attributes[index] : &side->more[index - ATTRIBUTES];

        if (token->source != NULL && token->marks)
            result = note(side->marked_texts, token->definition.text, error);
        if (result == STATUS_OK && token->source != NULL && !token->in_list)
            result = note(side->named_texts, token->definition.text, error);
    }
    return result;
}

/* added_tokens.json: texts and ids. */
static int read_added(struct side *side, struct error *error)
{
    const struct side_file *file = &side->config->added;
    const char *key;
    json_t *value;
    int result;

    json_object_foreach(file->root, key, value)
    {
        const bool special = json_object_get(side->marked_texts, key) != NULL;
        const struct listed token = {
            {.text = key, .special = special, .normalized = !special}, json_integer_value(value), file->path};

        if (!json_is_integer(value) || token.id < 0 || token.id >= BPE_MOST_TOKENS)
            return error_set(error, STATUS_INPUT, "%s: the id of the token '%.100s' is none; expected 0 to %d",
                             file->path, key, BPE_MOST_TOKENS - 1);
        /* What tokenizer.json says of it counts. */
        if (added_vocabulary_find(side->added, key) != NULL && added_vocabulary_id(side->added, key) == token.id)
            continue;
        result = add_listed(side, &token, error);
        if (result != STATUS_OK)
            return result;
    }
    return STATUS_OK;
}

/* Those of tokenizer.json, which are added again: what is named is special then. */
static int list_again(struct side *side, int64_t count, struct error *error)
{
    int64_t index;
    int result = STATUS_OK;

    for (index = 0; index < count && result == STATUS_OK; index++) {
        const struct added_entry *entry = &side->added->entries[index];

        result = add_listed(side, &(struct listed){entry->definition, entry->id, "tokenizer.json"}, error);
    }
    return result;
}

/* Where tokenizer_config.json lists the tokens, the older files beside it are not looked at. */
static int read_files(struct side *side, struct error *error)
{
    json_t *decoder = json_object_get(side->config->config.root, "added_tokens_decoder");
    int result = read_members(side, &side->config->config, error);

    if (result == STATUS_OK)
        result = read_lists(side, &side->config->config, error);
    if (result == STATUS_OK && decoder != NULL) {
        result = read_older_list(side, error);
        return result == STATUS_OK ? read_decoder(side, decoder, error) : result;
    }
    if (result == STATUS_OK)
        result = read_members(side, &side->config->map, error);
    if (result == STATUS_OK)
        result = read_lists(side, &side->config->map, error);
    if (result == STATUS_OK)
        result = read_older_list(side, error);
    if (result == STATUS_OK)
        result = note_named(side, error);
    if (result == STATUS_OK)
        result = read_added(side, error);
    if (result == STATUS_OK)
        result = list_again(side, side->added->count, error);
    return result;
}

/* What the classes name where no file does. */
static void name_of_class(struct side *side, enum tokenizer_pipeline pipeline)
{
    static const char *const defaults[][ATTRIBUTES] = {
        [PIPELINE_GPT2] = {[BOS] = "<|endoftext|>", [EOS] = "<|endoftext|>", [UNK] = "<|endoftext|>"},
        [PIPELINE_NEOX] =
            {[BOS] = "<|endoftext|>", [EOS] = "<|endoftext|>", [UNK] = "<|endoftext|>", [PAD] = "<|padding|>"},
        [PIPELINE_QWEN2] = {[EOS] = "<|endoftext|>", [UNK] = "<|endoftext|>", [PAD] = "<|endoftext|>"},
    };
    int index;

    for (index = 0; index < ATTRIBUTES && pipeline != PIPELINE_FILE; index++)
        if (!side->settled[index] && defaults[pipeline][index] != NULL)
            side->attributes[index] = (struct named){.source = side->config->config.path,
                                                     .definition = added_definition_special(defaults[pipeline][index]),
                                                     .is_text = true,
                                                     .of_class = true};
}

int side_read(struct side *side, enum tokenizer_pipeline pipeline, struct error *error)
{
    int64_t index;
    int result;

    side->listed_texts = json_object();
    side->marked_texts = json_object();
    side->named_texts = json_object();
    side->added_texts = json_object();
    side->places = json_object();
    if (side->listed_texts == NULL || side->marked_texts == NULL || side->named_texts == NULL ||
        side->added_texts == NULL || side->places == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the names of tokens");
    result = read_files(side, error);
    if (result != STATUS_OK)
        return result;
    name_of_class(side, pipeline);
    result = note_named(side, error);
    for (index = 0; index < side->listed_count && result == STATUS_OK; index++)
        result = note(side->listed_texts, side->listed[index].definition.text, error);
    if (side->listed_count > 0)
        qsort(side->listed, (size_t)side->listed_count, sizeof *side->listed, compare_ids);
    return result;
}

void side_finish(struct side *side)
{
    json_decref(side->listed_texts);
    json_decref(side->marked_texts);
    json_decref(side->named_texts);
    json_decref(side->added_texts);
    json_decref(side->places);
    free(side->listed);
    free(side->more);
}
