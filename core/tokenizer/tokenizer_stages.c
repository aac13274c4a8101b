#include "tokenizer/tokenizer_stages.h"

#include <string.h>

#include "base/strict_json.h"

/* What error messages call the expressions of split.h. */
#define KNOWN_PATTERNS "those of GPT-2, LLaMA-3 and Qwen2"

int tokenizer_json_flag(json_t *object, const char *key, const char *source, bool fallback, bool *value,
                        struct error *error)
{
    json_t *member = json_object_get(object, key);

    *value = member != NULL ? json_is_true(member) : fallback;
    if (member != NULL && !json_is_boolean(member))
        return error_set(error, STATUS_INPUT, "%s: '%s' has the wrong type; true or false is wanted", source, key);
    return STATUS_OK;
}

int tokenizer_json_known(json_t *object, const char *what, const char *const *names, const char *source,
                         struct error *error)
{
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value)
    {
        int index = 0;

        while (names[index] != NULL && strcmp(names[index], key) != 0)
            index++;
        if (names[index] == NULL)
            return error_set(error, STATUS_INPUT, "%s: %s has a member '%.100s' that is not known here", source, what,
                             key);
    }
    return STATUS_OK;
}

/* The "type" of a stage, which `wanted` tells the reader about where it is none. */
static int stage_type(json_t *stage, const char *what, const char *source, const char **type, struct error *error)
{
    json_t *value = json_object_get(stage, "type");

    *type = json_string_value(value);
    if (*type == NULL)
        return error_set(error, STATUS_INPUT, "%s: %s is no object with a 'type'", source, what);
    return STATUS_OK;
}

static int refuse_type(const char *what, const char *type, const char *wanted, const char *source, struct error *error)
{
    return error_set(error, STATUS_INPUT, "%s: %s is of type '%.100s'; only %s is understood", source, what, type,
                     wanted);
}

static int read_normalizer(json_t *stage, const char *source, struct bpe *bpe, struct error *error)
{
    json_t *parts, *part;
    const char *type;
    size_t index;
    int result;

    if (stage == NULL || json_is_null(stage))
        return STATUS_OK;
    result = stage_type(stage, "the normalizer", source, &type, error);
    if (result != STATUS_OK)
        return result;
    if (strcmp(type, "NFC") == 0) {
        bpe->normalize = true;
        return STATUS_OK;
    }
    if (strcmp(type, "Sequence") != 0)
        return refuse_type("the normalizer", type, "NFC", source, error);
    result = strict_json_array(stage, "normalizers", source, &parts, error);
    for (index = 0; result == STATUS_OK && index < json_array_size(parts); index++) {
        part = json_array_get(parts, index);
        result = stage_type(part, "a normalizer", source, &type, error);
        if (result == STATUS_OK && strcmp(type, "NFC") != 0)
            result = refuse_type("a normalizer", type, "NFC", source, error);
        bpe->normalize = true;
    }
    return result;
}

static int read_split(json_t *stage, const char *source, struct bpe *bpe, struct error *error)
{
    const char *pattern = json_string_value(json_object_get(json_object_get(stage, "pattern"), "Regex"));
    const char *behavior;
    bool invert;
    int result = strict_json_text(stage, "behavior", source, &behavior, error), index;

    if (result == STATUS_OK)
        result = tokenizer_json_flag(stage, "invert", source, false, &invert, error);
    if (result != STATUS_OK)
        return result;
    if (pattern == NULL)
        return error_set(error, STATUS_INPUT, "%s: the pattern of Split is no 'Regex'", source);
    if (strcmp(behavior, "Isolated") != 0 || invert)
        return error_set(error, STATUS_INPUT, "%s: the behavior of Split is '%.100s'%s; only 'Isolated' is understood",
                         source, behavior, invert ? ", inverted" : "");
    for (index = 0; index < SPLIT_PATTERNS; index++)
        if (strcmp(pattern, split_pattern_texts[index]) == 0) {
            bpe->pattern = (enum split_pattern)index;
            return STATUS_OK;
        }
    return error_set(error, STATUS_INPUT,
                     "%s: Split has the regular expression %.500s; only " KNOWN_PATTERNS " are understood", source,
                     pattern);
}

/* `behind_split`: the pieces were made by a Split. */
static int read_byte_level(json_t *stage, bool behind_split, const char *source, struct bpe *bpe, struct error *error)
{
    bool use_regex, prefix_space;
    int result = tokenizer_json_flag(stage, "use_regex", source, true, &use_regex, error);

    if (result == STATUS_OK)
        result = tokenizer_json_flag(stage, "add_prefix_space", source, true, &prefix_space, error);
    if (result != STATUS_OK)
        return result;
    if (behind_split && use_regex)
        return error_set(error, STATUS_INPUT, "%s: ByteLevel behind Split has 'use_regex'; false is wanted", source);
    if (behind_split && prefix_space)
        return error_set(error, STATUS_INPUT,
                         "%s: ByteLevel behind Split has 'add_prefix_space', which puts a space before every piece; "
                         "false is wanted",
                         source);
    if (!behind_split && !use_regex)
        return error_set(error, STATUS_INPUT, "%s: ByteLevel has no 'use_regex' and no Split stands before it", source);
    if (!behind_split)
        bpe->pattern = SPLIT_GPT2;
    bpe->prefix_space = prefix_space;
    return STATUS_OK;
}

static int read_pre_tokenizer(json_t *stage, const char *source, struct bpe *bpe, struct error *error)
{
    static const char wanted[] = "ByteLevel, or a Sequence of Split and ByteLevel,";
    json_t *parts;
    const char *type;
    size_t count;
    int result;

    if (stage == NULL || json_is_null(stage))
        return error_set(error, STATUS_INPUT, "%s: there is no pre_tokenizer; %s is wanted", source, wanted);
    result = stage_type(stage, "the pre_tokenizer", source, &type, error);
    if (result != STATUS_OK)
        return result;
    if (strcmp(type, "ByteLevel") == 0)
        return read_byte_level(stage, false, source, bpe, error);
    if (strcmp(type, "Sequence") != 0)
        return refuse_type("the pre_tokenizer", type, wanted, source, error);
    result = strict_json_array(stage, "pretokenizers", source, &parts, error);
    if (result != STATUS_OK)
        return result;
    count = json_array_size(parts);
    if (count < 1 || count > 2)
        return error_set(error, STATUS_INPUT, "%s: the pre_tokenizer is a Sequence of %zu; %s is wanted", source, count,
                         wanted);
    result = stage_type(json_array_get(parts, 0), "the first pre_tokenizer", source, &type, error);
    if (result == STATUS_OK && count == 2) {
        if (strcmp(type, "Split") != 0)
            return refuse_type("the first pre_tokenizer", type, "Split", source, error);
        result = read_split(json_array_get(parts, 0), source, bpe, error);
        if (result == STATUS_OK)
            result = stage_type(json_array_get(parts, 1), "the second pre_tokenizer", source, &type, error);
    }
    if (result == STATUS_OK && strcmp(type, "ByteLevel") != 0)
        result = refuse_type("the last pre_tokenizer", type, "ByteLevel", source, error);
    return result == STATUS_OK ? read_byte_level(json_array_get(parts, count - 1), count == 2, source, bpe, error)
                               : result;
}

/* The token that the template of a single text puts first, if there is one; more than one is refused. */
static int read_template(json_t *stage, const char *source, struct bpe *bpe, struct error *error)
{
    json_t *single, *first, *ids, *id;
    const char *name;
    int result = strict_json_array(stage, "single", source, &single, error);

    if (result != STATUS_OK)
        return result;
    first = json_object_get(json_array_get(single, 0), "SpecialToken");
    if (first == NULL)
        return STATUS_OK;
    result = strict_json_text(first, "id", source, &name, error);
    if (result != STATUS_OK)
        return result;
    ids = json_object_get(json_object_get(json_object_get(stage, "special_tokens"), name), "ids");
    id = json_array_get(ids, 0);
    if (json_array_size(ids) > 1 || json_object_get(json_array_get(single, 1), "SpecialToken") != NULL)
        return error_set(error, STATUS_INPUT,
                         "%s: the post_processor's template puts several tokens before a text, '%.100s' first; one is "
                         "understood",
                         source, name);
    if (!json_is_integer(id))
        return error_set(error, STATUS_INPUT, "%s: the template's token '%.100s' has no 'ids'", source, name);
    if (json_integer_value(id) < 0 || json_integer_value(id) > INT32_MAX)
        return error_set(error, STATUS_INPUT, "%s: the template's token '%.100s' has the id %lld", source, name,
                         (long long)json_integer_value(id));
    bpe->base.begin_of_text = (int32_t)json_integer_value(id);
    return STATUS_OK;
}

static int read_post_processor(json_t *stage, const char *source, struct bpe *bpe, struct error *error)
{
    static const char wanted[] = "ByteLevel, TemplateProcessing, or a Sequence of them,";
    json_t *parts = NULL;
    const char *type;
    size_t index, count = 1;
    int result;

    if (stage == NULL || json_is_null(stage))
        return STATUS_OK;
    result = stage_type(stage, "the post_processor", source, &type, error);
    if (result == STATUS_OK && strcmp(type, "Sequence") == 0) {
        result = strict_json_array(stage, "processors", source, &parts, error);
        count = json_array_size(parts);
    }
    for (index = 0; result == STATUS_OK && index < count; index++) {
        json_t *part = parts != NULL ? json_array_get(parts, index) : stage;

        result = stage_type(part, "a post_processor", source, &type, error);
        if (result == STATUS_OK && strcmp(type, "TemplateProcessing") == 0)
            result = read_template(part, source, bpe, error);
        else if (result == STATUS_OK && strcmp(type, "ByteLevel") != 0)
            result = refuse_type("a post_processor", type, wanted, source, error);
    }
    return result;
}

static int read_decoder(json_t *stage, const char *source, struct error *error)
{
    const char *type;
    int result = stage_type(stage, "the decoder", source, &type, error);

    if (result == STATUS_OK && strcmp(type, "ByteLevel") != 0)
        result = refuse_type("the decoder", type, "ByteLevel", source, error);
    return result;
}

int tokenizer_stages_read(json_t *root, const char *source, struct bpe *bpe, struct error *error)
{
    int result = read_normalizer(json_object_get(root, "normalizer"), source, bpe, error);

    if (result == STATUS_OK)
        result = read_pre_tokenizer(json_object_get(root, "pre_tokenizer"), source, bpe, error);
    if (result == STATUS_OK)
        result = read_post_processor(json_object_get(root, "post_processor"), source, bpe, error);
    if (result == STATUS_OK)
        result = read_decoder(json_object_get(root, "decoder"), source, error);
    return result;
}
