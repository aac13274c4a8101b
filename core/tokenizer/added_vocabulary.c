#include "tokenizer/added_vocabulary.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/hash.h"
#include "base/strict_json.h"
#include "tokenizer/normal_form.h"
#include "tokenizer/tokenizer_stages.h"

#define LONGEST_ADDED_TOKEN 4096 /* bytes */

int added_vocabulary_start(struct added_vocabulary *added, json_t *base, struct error *error)
{
    *added = (struct added_vocabulary){.base = base, .places = json_object()};
    return added->places != NULL ? STATUS_OK : error_set(error, STATUS_MEMORY, "no memory for added tokens");
}

void added_vocabulary_finish(struct added_vocabulary *added)
{
    json_decref(added->places);
    free(added->entries);
    *added = (struct added_vocabulary){.base = NULL};
}

int added_definition_read(json_t *object, bool special, const char *source, struct added_definition *definition,
                          struct error *error)
{
    const struct {
        const char *key;
        bool *value;
    } flags[] = {
        {"single_word", &definition->single_word}, {"lstrip", &definition->lstrip}, {"rstrip", &definition->rstrip}};
    int result = strict_json_text(object, "content", source, &definition->text, error);
    size_t index;

    if (result == STATUS_OK)
        result = tokenizer_json_flag(object, "special", source, special, &definition->special, error);
    if (result == STATUS_OK)
        result =
            tokenizer_json_flag(object, "normalized", source, !definition->special, &definition->normalized, error);
    for (index = 0; index < sizeof flags / sizeof flags[0] && result == STATUS_OK; index++)
        result = tokenizer_json_flag(object, flags[index].key, source, false, flags[index].value, error);
    return result;
}

struct added_definition added_definition_special(const char *text)
{
    return (struct added_definition){.text = text, .special = true};
}

bool added_definition_equal(const struct added_definition *left, const struct added_definition *right)
{
    return strcmp(left->text, right->text) == 0 && left->special == right->special &&
           left->single_word == right->single_word && left->lstrip == right->lstrip && left->rstrip == right->rstrip &&
           left->normalized == right->normalized;
}

static struct added_entry *find(const struct added_vocabulary *added, const char *text)
{
    json_t *place = json_object_get(added->places, text);

    return place != NULL ? &added->entries[json_integer_value(place)] : NULL;
}

const struct added_entry *added_vocabulary_find(const struct added_vocabulary *added, const char *text)
{
    return find(added, text);
}

int64_t added_vocabulary_id(const struct added_vocabulary *added, const char *text)
{
    const struct added_entry *entry = find(added, text);
    json_t *known = json_object_get(added->base, text);

    if (entry != NULL || known != NULL)
        return entry != NULL ? entry->id : json_integer_value(known);
    return (int64_t)json_object_size(added->base) + added->outside;
}

static int append(struct added_vocabulary *added, const struct added_definition *definition, int64_t id,
                  struct error *error)
{
    struct added_entry *entries =
        array_reserve(added->entries, added->count, 1, &added->capacity, sizeof *added->entries);

    if (entries == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for %lld added tokens", (long long)added->count + 1);
    added->entries = entries;
    if (json_object_set_new(added->places, definition->text, json_integer(added->count)) != 0)
        return error_set(error, STATUS_MEMORY, "no memory for %lld added tokens", (long long)added->count + 1);
    entries[added->count++] = (struct added_entry){.definition = *definition, .id = (int32_t)id};
    added->outside += json_object_get(added->base, definition->text) == NULL;
    return STATUS_OK;
}

int added_vocabulary_add(struct added_vocabulary *added, const struct added_definition *definition, const char *source,
                         struct error *error)
{
    const int64_t id = added_vocabulary_id(added, definition->text), bytes = (int64_t)strlen(definition->text);
    struct added_entry *entry = find(added, definition->text);
    int result = STATUS_OK;

    if (bytes == 0 || bytes > LONGEST_ADDED_TOKEN)
        return error_set(error, STATUS_INPUT, "%s: the added token %lld has %lld bytes; expected 1 to %d", source,
                         (long long)id, (long long)bytes, LONGEST_ADDED_TOKEN);
    if (id >= BPE_MOST_TOKENS)
        return error_set(error, STATUS_INPUT, "%s: there are more than %d tokens", source, BPE_MOST_TOKENS);
    if (entry != NULL && added_definition_equal(&entry->definition, definition))
        return STATUS_OK;
    if (entry == NULL) {
        result = append(added, definition, id, error);
        if (result != STATUS_OK)
            return result;
        entry = &added->entries[added->count - 1];
    }
    entry->special |= definition->special;
    entry->definition = *definition;
    return STATUS_OK;
}

int added_vocabulary_count(const struct added_vocabulary *added, int64_t largest_of_base, const char *source,
                           int64_t *count, struct error *error)
{
    const int64_t tokens = (int64_t)json_object_size(added->base) + added->outside;

    *count = (largest_of_base >= tokens ? largest_of_base : tokens - 1) + 1;
    if (*count > tokens + BPE_MOST_HOLES)
        return error_set(error, STATUS_INPUT, "%s: there is a token id %lld, but only %lld tokens", source,
                         (long long)*count - 1, (long long)tokens);
    return STATUS_OK;
}

/* A token that is looked for in normalized text is looked for in its own normal form. */
static int list_normalized(struct bpe *bpe, struct added_token token, struct error *error)
{
    struct byte_list normal = {0};
    int result;

    if (!bpe->normalize)
        return added_token_list_add(&bpe->added_normalized, &token, error);
    result = normal_form_append(token.text, token.bytes, &normal, error);
    if (result == STATUS_OK) {
        token.text = normal.bytes;
        token.bytes = normal.count;
        result = added_token_list_add(&bpe->added_normalized, &token, error);
    }
    free(normal.bytes);
    return result;
}

static int list(struct bpe *bpe, const struct added_entry *entry, struct error *error)
{
    const struct added_definition *definition = &entry->definition;
    const struct added_token token = {
        .text = (char *)definition->text,
        .bytes = (int64_t)strlen(definition->text),
        .id = entry->id,
        .special = entry->special,
        .single_word = definition->single_word,
        .lstrip = definition->lstrip,
        .rstrip = definition->rstrip,
    };

    return definition->normalized ? list_normalized(bpe, token, error)
                                  : added_token_list_add(&bpe->added, &token, error);
}

int added_vocabulary_store(const struct added_vocabulary *added, const char *source, struct bpe *bpe,
                           struct bpe_key *keys, int64_t count, struct error *error)
{
    int64_t index;
    int result = STATUS_OK;

    for (index = 0; index < added->count && result == STATUS_OK; index++) {
        const struct added_entry *entry = &added->entries[index];
        const bool known = json_object_get(added->base, entry->definition.text) != NULL;

        if (!known && (entry->id >= count || keys[entry->id].text != NULL))
            return error_set(error, STATUS_INPUT, "%s: two tokens have the id %d", source, entry->id);
        if (!known)
            keys[entry->id] = (struct bpe_key){entry->definition.text, true};
        result = list(bpe, entry, error);
    }
    if (result == STATUS_OK)
        result = added_token_list_sort(&bpe->added, error);
    if (result == STATUS_OK)
        result = added_token_list_sort(&bpe->added_normalized, error);
    return result == STATUS_OK ? STATUS_OK : error_prefix(error, "%s", source);
}

uint64_t added_vocabulary_hash(const struct added_vocabulary *added)
{
    const int64_t base_size = (int64_t)json_object_size(added->base);
    uint64_t hash = 0;
    int64_t index;

    for (index = 0; index < added->count; index++) {
        const struct added_entry *entry = &added->entries[index];
        const struct added_definition *definition = &entry->definition;
        const uint64_t parts[] = {hash, hash_bytes(definition->text, strlen(definition->text)), (uint64_t)entry->id,
                                  (uint64_t)entry->special | (uint64_t)definition->normalized << 2 |
                                      (uint64_t)definition->single_word << 3 | (uint64_t)definition->lstrip << 4 |
                                      (uint64_t)definition->rstrip << 5};

        if (!entry->special || entry->id >= base_size)
            hash = hash_bytes(parts, sizeof parts);
    }
    return hash;
}
