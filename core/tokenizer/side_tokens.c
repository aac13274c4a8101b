#include "tokenizer/side_tokens.h"

#include <stdlib.h>

#include "tokenizer/side_reader.h"

static bool is_known(const struct side *side, const char *text)
{
    return added_vocabulary_find(side->added, text) != NULL || json_object_get(side->added->base, text) != NULL;
}

/* What a class names of its own is not added to a vocabulary without it that says nothing of tokens, unless it is
 * needed: a model that was trained here with such a vocabulary has no row for it. */
static int add_named(struct side *side, const struct named *token, bool needed, bool ends, struct error *error)
{
    const char *text = token->definition.text;
    const bool known = is_known(side, text);

    if (token->of_class && !known && !needed && !side->has_files)
        return STATUS_OK;
    /* A name that is written as a text is added once. */
    if (token->is_text && json_object_get(side->added_texts, text) != NULL)
        return STATUS_OK;
    if (token->is_text && json_object_set_new(side->added_texts, text, json_true()) != 0)
        return error_set(error, STATUS_MEMORY, "no memory for the names of tokens");
    if (ends && !known && !token->of_class)
        return error_set(error, STATUS_INPUT, "%s: 'eos_token' is '%.100s', which is no token of the vocabulary",
                         token->source, text);
    return added_vocabulary_add(side->added, &token->definition, token->source, error);
}

/* Special tokens that were neither added before nor listed: which of them are. Members come before lists. */
static int add_all_named(struct side *side, const bool *attributes, const bool *more, bool begins, struct error *error)
{
    int64_t index, pass;
    int result = STATUS_OK;

    for (index = 0; index < ATTRIBUTES && result == STATUS_OK; index++)
        if (attributes[index])
            result = add_named(side, &side->attributes[index], begins && index == BOS, index == EOS, error);
    for (pass = 0; pass < 2; pass++)
        for (index = 0; index < side->more_count && result == STATUS_OK; index++)
            if (more[index] && side->more[index].in_list == (pass == 1))
                result = add_named(side, &side->more[index], true, false, error);
    return result;
}

static bool is_new(const struct side *side, const struct named *token)
{
    return token->source != NULL && token->definition.text[0] != '\0' &&
           added_vocabulary_find(side->added, token->definition.text) == NULL &&
           json_object_get(side->listed_texts, token->definition.text) == NULL;
}

static int add_all_listed(struct side *side, struct error *error)
{
    int64_t index;
    int result = STATUS_OK;

    for (index = 0; index < side->listed_count && result == STATUS_OK; index++) {
        struct added_definition definition = side->listed[index].definition;

        definition.special |= json_object_get(side->named_texts, definition.text) != NULL;
        result = added_vocabulary_add(side->added, &definition, side->listed[index].source, error);
    }
    return result;
}

/* Lists, then names, as long as nothing of the same text was there before. */
static int add_listed_and_named(struct side *side, bool begins, struct error *error)
{
    bool attributes[ATTRIBUTES], *more = malloc((size_t)side->more_count + 1);
    int64_t index;
    int result;

    if (more == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the names of tokens");
    for (index = 0; index < ATTRIBUTES; index++)
        attributes[index] = is_new(side, &side->attributes[index]);
    for (index = 0; index < side->more_count; index++)
        more[index] = is_new(side, &side->more[index]);
    result = add_all_listed(side, error);
    if (result == STATUS_OK)
        result = add_all_named(side, attributes, more, begins, error);
    free(more);
    return result;
}

/* Qwen2Tokenizer adds its special tokens once more, without their flags. */
static int add_plain(struct side *side, struct error *error)
{
    int64_t index;
    int result = STATUS_OK;

    for (index = 0; index < ATTRIBUTES + side->more_count && result == STATUS_OK; index++) {
        const struct named *token = index < ATTRIBUTES ? &side->attributes[index] : &side->more[index - ATTRIBUTES];
        struct added_definition plain;

        if (token->source == NULL || added_vocabulary_find(side->added, token->definition.text) == NULL)
            continue;
        plain = added_definition_special(token->definition.text);
        result = added_vocabulary_add(side->added, &plain, token->source, error);
    }
    return result;
}

static int check_ids(const struct side *side, struct error *error)
{
    int64_t index;

    for (index = 0; index < side->listed_count; index++) {
        const struct listed *token = &side->listed[index];
        const int64_t id = added_vocabulary_id(side->added, token->definition.text);

        if (id != token->id)
            return error_set(error, STATUS_INPUT,
                             "%s: the added token '%.100s' has the id %lld; transformers, which numbers them in their "
                             "order, gives it %lld",
                             token->source, token->definition.text, (long long)token->id, (long long)id);
    }
    return STATUS_OK;
}

/* A class that builds its own stages begins without the tokens of tokenizer.json, and adds those that are listed. */
static int start_again(struct side *side, struct error *error)
{
    struct added_vocabulary again;
    int64_t index;
    int result = added_vocabulary_start(&again, side->added->base, error);

    for (index = 0; index < side->added->count && result == STATUS_OK; index++)
        if (json_object_get(side->listed_texts, side->added->entries[index].definition.text) == NULL)
            result =
                error_set(error, STATUS_INPUT, "%s: 'added_tokens_decoder' lacks the token '%.100s' of tokenizer.json",
                          side->config->config.path, side->added->entries[index].definition.text);
    if (result != STATUS_OK) {
        added_vocabulary_finish(&again);
        return result;
    }
    added_vocabulary_finish(side->added);
    *side->added = again;
    return STATUS_OK;
}

static int read_begin(const struct side *side, bool *begins, struct error *error)
{
    json_t *value = tokenizer_config_member(side->config, "add_bos_token");

    *begins = json_is_true(value);
    if (value != NULL && !json_is_boolean(value))
        return error_set(error, STATUS_INPUT, "%s: 'add_bos_token' has the wrong type; expected true or false",
                         side->config->config.path);
    return STATUS_OK;
}

int side_tokens_add(const struct tokenizer_config *config, enum tokenizer_pipeline pipeline, bool beside_file,
                    struct added_vocabulary *added, int32_t *begin, struct error *error)
{
    struct side side = {
        .config = config,
        .added = added,
        .has_files = config->config.root != NULL || config->map.root != NULL || config->added.root != NULL,
    };
    bool begins = false;
    int result = side_read(&side, pipeline, error);

    *begin = -1;
    if (result == STATUS_OK && !beside_file)
        result = read_begin(&side, &begins, error);
    begins &= side.attributes[BOS].source != NULL;
    if (result == STATUS_OK && pipeline != PIPELINE_FILE)
        result = start_again(&side, error);
    if (result == STATUS_OK)
        result = add_listed_and_named(&side, begins, error);
    if (result == STATUS_OK && pipeline == PIPELINE_QWEN2)
        result = add_plain(&side, error);
    if (result == STATUS_OK)
        result = check_ids(&side, error);
    if (result == STATUS_OK && begins)
        *begin = (int32_t)added_vocabulary_id(added, side.attributes[BOS].definition.text);
    side_finish(&side);
    return result;
}
