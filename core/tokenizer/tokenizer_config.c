#include "tokenizer/tokenizer_config.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/strict_json.h"
#include "tokenizer/tokenizer_file.h"
#include "tokenizer/tokenizer_stages.h"

#define MOST_FILE_BYTES (64 << 20) /* a tokenizer_config.json lists all added tokens again */
#define UNDERSTOOD      "GPT2Tokenizer, CodeGenTokenizer, GPTNeoXTokenizer and Qwen2Tokenizer"

static bool is_there(const struct file_system *fs, const char *folder, const char *name)
{
    char path[4096];

    return file_join(path, sizeof path, folder, name) && file_is_there(fs, path);
}

/* `reals`: it may hold integers beyond 64 bits. */
static int read_file(const struct file_system *fs, const char *folder, const char *name, bool reals,
                     struct side_file *out, struct error *error)
{
    struct tokenizer_file file;
    int result;

    if (!is_there(fs, folder, name))
        return STATUS_OK;
    result = tokenizer_file_read(fs, folder, name, MOST_FILE_BYTES, &file, error);
    memcpy(out->path, file.path, sizeof out->path);
    if (result == STATUS_OK && reals)
        result = strict_json_parse_reals(file.text, file.bytes, file.path, &out->root, error);
    else if (result == STATUS_OK)
        result = strict_json_parse(file.text, file.bytes, file.path, &out->root, error);
    free(file.memory);
    return result;
}

/* Members with which other files or code would be read, or special tokens be split. */
static int refuse_members(const struct tokenizer_config *config, struct error *error)
{
    static const char *const refused[] = {"fast_tokenizer_files", "init_inputs", "vocab", "merges",
                                          "split_special_tokens"};
    size_t index;

    for (index = 0; index < sizeof refused / sizeof refused[0]; index++) {
        json_t *value = tokenizer_config_member(config, refused[index]);

        if (value != NULL && !json_is_false(value) && !(json_is_array(value) && json_array_size(value) == 0) &&
            !(json_is_object(value) && json_object_size(value) == 0))
            return error_set(error, STATUS_INPUT, "%s: '%s' is not understood; leave it out", config->config.path,
                             refused[index]);
    }
    return STATUS_OK;
}

int tokenizer_config_read(const struct file_system *fs, const char *folder, struct tokenizer_config *config,
                          struct error *error)
{
    int result;

    *config = (struct tokenizer_config){.of_checkpoint = is_there(fs, folder, "manifest.json")};
    /* "model_max_length" is 10^30 in many of these files. */
    result = read_file(fs, folder, "tokenizer_config.json", true, &config->config, error);
    if (result == STATUS_OK)
        result = read_file(fs, folder, "special_tokens_map.json", true, &config->map, error);
    if (result == STATUS_OK)
        result = read_file(fs, folder, "added_tokens.json", false, &config->added, error);
    if (result == STATUS_OK && !config->of_checkpoint)
        result = read_file(fs, folder, "config.json", true, &config->model, error);
    return result == STATUS_OK ? refuse_members(config, error) : result;
}

void tokenizer_config_finish(struct tokenizer_config *config)
{
    json_decref(config->config.root);
    json_decref(config->map.root);
    json_decref(config->added.root);
    json_decref(config->model.root);
    *config = (struct tokenizer_config){.of_checkpoint = false};
}

json_t *tokenizer_config_member(const struct tokenizer_config *config, const char *key)
{
    json_t *value = json_object_get(config->config.root, key);

    return json_is_null(value) ? NULL : value;
}

/* A text of the file, NULL where it is not there, is null, or empty. */
static int read_text(const struct side_file *file, const char *key, const char **text, struct error *error)
{
    json_t *value = json_object_get(file->root, key);

    *text = json_string_value(value);
    if (value != NULL && !json_is_null(value) && *text == NULL)
        return error_set(error, STATUS_INPUT, "%s: '%s' has the wrong type; expected a text", file->path, key);
    if (*text != NULL && (*text)[0] == '\0')
        *text = NULL;
    return STATUS_OK;
}

static int read_flag(const struct tokenizer_config *config, const char *key, bool *value, struct error *error)
{
    *value = false;
    return tokenizer_config_member(config, key) != NULL
               ? tokenizer_json_flag(config->config.root, key, config->config.path, false, value, error)
               : STATUS_OK;
}

struct names {
    const char *of_tokenizer, *of_model, *model_type; /* NULL: not named */
};

static int read_names(const struct tokenizer_config *config, struct names *names, struct error *error)
{
    int result = read_text(&config->config, "tokenizer_class", &names->of_tokenizer, error);

    if (result == STATUS_OK)
        result = read_text(&config->model, "tokenizer_class", &names->of_model, error);
    if (result == STATUS_OK)
        result = read_text(&config->model, "model_type", &names->model_type, error);
    return result;
}

/* The class of AutoTokenizer.from_pretrained where there is no tokenizer.json. Checkpoints keep no config.json of the
 * tokenizer's folder, so one of another split has to be named beside the vocabulary. */
static int find_pair(const struct tokenizer_config *config, enum tokenizer_pipeline *pipeline, struct error *error)
{
    enum tokenizer_pipeline named, registered = PIPELINE_UNKNOWN;
    bool overrules = false;
    struct names names;
    int result = read_names(config, &names, error);

    if (result != STATUS_OK)
        return result;
    if (names.model_type != NULL)
        registered = tokenizer_model_pipeline(names.model_type, &overrules);
    *pipeline = PIPELINE_GPT2;
    if (names.of_tokenizer != NULL) {
        named = tokenizer_class_pipeline(names.of_tokenizer);
        if (named != PIPELINE_GPT2 && named != PIPELINE_NEOX && named != PIPELINE_QWEN2)
            return error_set(error, STATUS_INPUT,
                             "%s: 'tokenizer_class' is '%.100s'; of the classes that read vocab.json and merges.txt "
                             "only " UNDERSTOOD " are understood",
                             config->config.path, names.of_tokenizer);
        *pipeline = named;
    } else if (names.of_model != NULL && tokenizer_class_pipeline(names.of_model) != PIPELINE_GPT2) {
        return error_set(error, STATUS_INPUT,
                         "%s: 'tokenizer_class' is '%.100s'; name one of " UNDERSTOOD " in tokenizer_config.json",
                         config->model.path, names.of_model);
    }
    if ((names.of_tokenizer == NULL && names.of_model == NULL && registered != PIPELINE_UNKNOWN &&
         registered != PIPELINE_GPT2) ||
        (overrules && registered != *pipeline))
        return error_set(
            error, STATUS_INPUT,
            "%s: 'model_type' is '%.100s', and transformers reads vocab.json and merges.txt by it; expected "
            "in tokenizer_config.json a 'tokenizer_class' that agrees, of " UNDERSTOOD,
            config->model.path, names.model_type);
    return STATUS_OK;
}

int tokenizer_config_apply(const struct tokenizer_config *config, struct bpe *bpe, enum tokenizer_pipeline *pipeline,
                           struct error *error)
{
    bool ends;
    int result = find_pair(config, pipeline, error);

    if (result == STATUS_OK)
        result = read_flag(config, "add_prefix_space", &bpe->prefix_space, error);
    if (result == STATUS_OK)
        result = read_flag(config, "add_eos_token", &ends, error);
    if (result != STATUS_OK)
        return result;
    bpe->pattern = *pipeline == PIPELINE_QWEN2 ? SPLIT_QWEN2 : SPLIT_GPT2;
    bpe->normalize = *pipeline != PIPELINE_GPT2;
    if (ends)
        return error_set(error, STATUS_INPUT,
                         "%s: 'add_eos_token' is true, with which a prompt would end before it goes on; expected false",
                         config->config.path);
    if (bpe->prefix_space && *pipeline == PIPELINE_QWEN2)
        return error_set(error, STATUS_INPUT,
                         "%s: 'add_prefix_space' is true, with which Qwen2Tokenizer puts a space before every piece; "
                         "expected false",
                         config->config.path);
    return STATUS_OK;
}

/* The class of AutoTokenizer.from_pretrained beside a tokenizer.json; *where and *name: the member that decides. */
static int find_file(const struct tokenizer_config *config, enum tokenizer_pipeline *pipeline, const char **where,
                     const char **name, struct error *error)
{
    enum tokenizer_pipeline named = PIPELINE_UNKNOWN, registered = PIPELINE_UNKNOWN;
    bool overrules = false;
    struct names names;
    int result = read_names(config, &names, error);
    const char *class = names.of_tokenizer != NULL ? names.of_tokenizer : names.of_model;

    if (result != STATUS_OK)
        return result;
    if (names.model_type != NULL)
        registered = tokenizer_model_pipeline(names.model_type, &overrules);
    if (class != NULL)
        named = tokenizer_class_pipeline(class);
    *where = names.of_tokenizer != NULL ? config->config.path : config->model.path;
    *name = "tokenizer_class";
    *pipeline = named == PIPELINE_UNKNOWN ? PIPELINE_FILE : named;
    if (registered == PIPELINE_FILE) {
        *pipeline = PIPELINE_FILE;
    } else if (registered != PIPELINE_UNKNOWN && (class == NULL || overrules)) {
        *pipeline = registered;
        *where = config->model.path;
        *name = "model_type";
    }
    return STATUS_OK;
}

/* The first part that differs from that of the class; NULL: none does. */
static const char *differing_part(enum tokenizer_pipeline pipeline, bool prefix_space, const struct bpe *bpe,
                                  bool ignore_merges, bool lacks_bytes)
{
    if (pipeline == PIPELINE_OTHER)
        return "pipeline";
    if (bpe->pattern != (pipeline == PIPELINE_QWEN2 ? SPLIT_QWEN2 : SPLIT_GPT2))
        return "split";
    if (bpe->normalize != (pipeline != PIPELINE_GPT2))
        return "normalizer";
    if (bpe->prefix_space != prefix_space)
        return "'add_prefix_space'";
    if (ignore_merges)
        return "'ignore_merges'";
    if (bpe->unknown != BPE_NO_UNKNOWN && lacks_bytes)
        return "'unk_token' of the model";
    return pipeline == PIPELINE_NEOX && bpe->base.begin_of_text >= 0 ? "begin of a text" : NULL;
}

int tokenizer_config_compare(const struct tokenizer_config *config, const struct bpe *bpe, bool ignore_merges,
                             bool lacks_bytes, enum tokenizer_pipeline *pipeline, struct error *error)
{
    const char *where, *name, *part;
    bool prefix_space = false;
    int result = find_file(config, pipeline, &where, &name, error);

    if (result == STATUS_OK && *pipeline != PIPELINE_FILE)
        result = read_flag(config, "add_prefix_space", &prefix_space, error);
    if (result != STATUS_OK || *pipeline == PIPELINE_FILE)
        return result;
    part = differing_part(*pipeline, prefix_space, bpe, ignore_merges, lacks_bytes);
    if (part == NULL)
        return STATUS_OK;
    if (config->of_checkpoint) {
        *pipeline = PIPELINE_FILE;
        return STATUS_OK;
    }
    return error_set(
        error, STATUS_INPUT,
        "%s: with its '%s' transformers takes another %s than tokenizer.json has; for that of tokenizer.json, "
        "set 'tokenizer_class' in tokenizer_config.json to 'PreTrainedTokenizerFast'",
        where, name, part);
}
