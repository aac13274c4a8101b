/* What must be the same when a run is resumed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "config/value.h"

static bool lists_same(const struct config_list *a, const struct config_list *b)
{
    if (a->count != b->count)
        return false;
    for (int64_t i = 0; i < a->count; i++)
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    return true;
}

static bool maps_same(const struct config_map *a, const struct config_map *b)
{
    int64_t found = 0;

    for (int64_t i = 0; i < a->count; i++)
        for (int64_t j = 0; j < b->count; j++)
            found += strcmp(a->pairs[i].name, b->pairs[j].name) == 0 && a->pairs[i].kind == b->pairs[j].kind &&
                     strcmp(a->pairs[i].text, b->pairs[j].text) == 0;
    return a->count == b->count && found == a->count;
}

bool value_same(const struct config *a, const struct config *b, enum config_key_id key)
{
    const void *left = (const char *)a + config_keys[key].offset;
    const void *right = (const char *)b + config_keys[key].offset;

    switch (config_keys[key].type) {
    case CONFIG_TYPE_TEXT:
        return strcmp(*(char *const *)left, *(char *const *)right) == 0;
    case CONFIG_TYPE_LIST:
        return lists_same(left, right);
    case CONFIG_TYPE_MAP:
        return maps_same(left, right);
    case CONFIG_TYPE_FLAG:
        return *(const bool *)left == *(const bool *)right;
    case CONFIG_TYPE_NUMBER:
        return *(const double *)left == *(const double *)right;
    case CONFIG_TYPE_CHOICE:
        return memcmp(left, right, sizeof(int)) == 0;
    default:
        return *(const int64_t *)left == *(const int64_t *)right;
    }
}

/* Entries of a map are hashed one by one and added up, so their order does not count. */
static uint64_t map_hash(const struct config_map *map)
{
    uint64_t sum = 0;

    for (int64_t i = 0; i < map->count; i++) {
        const uint64_t parts[] = {hash_text(map->pairs[i].name), hash_text(map->pairs[i].text),
                                  (uint64_t)map->pairs[i].kind};

        sum += hash_bytes(parts, sizeof parts);
    }
    return sum;
}

/* Words of a CONTENT key that name no place: another word, or a place, is another run. */
static const char *const words[] = {"", "bytes"};

/* What a CONTENT text says without its contents: a word, or that it names a place. */
static const char *content_word(const struct config *config, enum config_key_id key)
{
    const char *text;

    if (config_keys[key].type != CONFIG_TYPE_TEXT)
        return "place";
    text = *(char *const *)((const char *)config + config_keys[key].offset);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(text, words[i]) == 0)
            return words[i];
    return "place";
}

static bool may_be_same(const struct config *stored, const struct config *now, enum config_key_id key)
{
    if (config_keys[key].resume == CONFIG_FREE || value_same(stored, now, key))
        return true;
    return config_keys[key].resume == CONFIG_CONTENT && strcmp(content_word(stored, key), content_word(now, key)) == 0;
}

int config_hash(const struct config *config, uint64_t *hash, struct error *error)
{
    uint64_t values[2 * CONFIG_KEYS];
    int count = 0;

    for (int key = 0; key < CONFIG_KEYS; key++) {
        char *text;

        if (config_keys[key].resume == CONFIG_FREE)
            continue;
        values[count++] = hash_text(config_keys[key].dotted);
        if (config_keys[key].resume == CONFIG_CONTENT) {
            values[count++] = hash_text(content_word(config, (enum config_key_id)key));
            continue;
        }
        if (config_keys[key].type == CONFIG_TYPE_MAP) {
            values[count++] = map_hash((const struct config_map *)((const char *)config + config_keys[key].offset));
            continue;
        }
        text = config_value_text(config, (enum config_key_id)key);
        if (text == NULL)
            return error_set(error, STATUS_MEMORY, "no memory to hash the config");
        values[count++] = hash_text(text);
        free(text);
    }
    *hash = hash_bytes(values, (size_t)count * sizeof values[0]);
    return STATUS_OK;
}

const char *config_new_run(const struct config *config)
{
    return strcmp(config->run.resume, "auto") == 0 ? "another run.dir" : "run.resume none and another run.dir";
}

int config_differs(const struct config *stored, const struct config *now, enum config_key_id key, const char *why,
                   struct error *error)
{
    char *before = config_value_text(stored, key), *after = config_value_text(now, key);

    error_set(
        error, STATUS_USAGE, "%s is %.300s, but the run to resume has %.300s%s; leave it, or start a new run with %s",
        config_keys[key].dotted, after != NULL ? after : "?", before != NULL ? before : "?", why, config_new_run(now));
    free(before);
    free(after);
    return STATUS_USAGE;
}

int config_check_resume(const struct config *stored, const struct config *now, struct error *error)
{
    for (int key = 0; key < CONFIG_KEYS; key++)
        if (!may_be_same(stored, now, (enum config_key_id)key))
            return config_differs(stored, now, (enum config_key_id)key, "", error);
    return STATUS_OK;
}
