#include "config/precedence.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/edit_distance.h"
#include "config/document.h"
#include "config/keys.h"
#include "config/value.h"

/* Variables of that form which are no keys. */
static const char *const reserved[] = {"LLMRUN_BACKEND_PATH", "LLMRUN_RENDEZVOUS", "LLMRUN_RENDEZVOUS_FD",
                                       "LLMRUN_SECRET", "LLMRUN_TEST_DATA"};

/* Those of the collective plugin `host`, which reads them itself: its addresses are not those of other machines. */
#define RESERVED_PREFIX "LLMRUN_HOST_"

/* Whether a value is taken as it is. Defaults are as in a config file. */
static bool is_verbatim(const struct config_key *key, const char *text, enum config_level level)
{
    if (key->type == CONFIG_TYPE_LIST && level != CONFIG_DEFAULT)
        return text[0] != '\0' && (text[0] != '[' || access(text, F_OK) == 0);
    return key->type == CONFIG_TYPE_TEXT;
}

static int set_verbatim(struct config *config, enum config_key_id key, const char *place, const char *text,
                        struct config_source source, struct error *error)
{
    struct document_node node = {.kind = DOCUMENT_SCALAR, .quoted = true, .first = -1, .next = -1};
    const struct document document = {.name = place, .nodes = &node, .count = 1};

    node.text = (char *)text; /* only read */
    return value_read(config, key, &document, 0, source, error);
}

static int set_yaml(struct config *config, enum config_key_id key, const char *entry, const char *place,
                    const char *text, struct config_source source, struct error *error)
{
    struct document document;
    char wanted[400];
    int status = document_parse(&document, place, false, text, (int64_t)strlen(text), error);

    if (status == STATUS_USAGE && config_keys[key].type == CONFIG_TYPE_LIST) {
        snprintf(wanted, sizeof wanted, "%.399s", error->message);
        return error_set(error, STATUS_USAGE, "%s; no file is called %.200s either", wanted, text);
    }
    if (status != STATUS_OK)
        return status;
    if (document.count == 0) {
        config_describe(key, wanted, sizeof wanted);
        status =
            document_error(&document, 1, 1, error, "%s%s%s has no value; %s is wanted", config_keys[key].dotted,
                           entry != NULL ? "." : "", entry != NULL ? entry : "", entry != NULL ? "a value" : wanted);
    } else if (entry != NULL) {
        status = value_read_entry(config, key, entry, &document, 0, source, error);
    } else {
        status = value_read(config, key, &document, 0, source, error);
    }
    document_finish(&document);
    return status;
}

int precedence_set(struct config *config, const char *dotted, const char *place, const char *text,
                   struct config_source source, struct error *error)
{
    const char *entry;
    int key = config_find_setting(dotted, &entry);
    const struct config_alias *alias = config_find_alias(dotted);

    if (key < 0)
        return error_set(error, STATUS_BUG, "%s is no key", dotted);
    source.alias = alias != NULL ? alias->dotted : NULL;
    if (is_verbatim(&config_keys[key], text, source.level))
        return set_verbatim(config, (enum config_key_id)key, place, text, source, error);
    /* A shell cannot show quotes: an empty word is the empty text. */
    if (text[0] == '\0' && config_keys[key].type == CONFIG_TYPE_DURATION)
        text = "\"\"";
    return set_yaml(config, (enum config_key_id)key, entry, place, text, source, error);
}

/* The level of the key, or of the entry of a map key. */
static enum config_level level_of(const struct config *config, int key, const char *entry)
{
    const struct config_map *map = (const struct config_map *)((const char *)config + config_keys[key].offset);

    if (entry == NULL)
        return config->sources[key].level;
    for (int64_t i = 0; i < map->count; i++)
        if (strcmp(map->pairs[i].name, entry) == 0)
            return map->pairs[i].source.level;
    return CONFIG_DEFAULT;
}

int config_set_from_path(struct config *config, const char *dotted, const char *value, struct error *error)
{
    const char *entry;
    int key = config_find_setting(dotted, &entry), status;
    struct config_source before;

    if (key >= 0 && level_of(config, key, entry) > CONFIG_PATH)
        return STATUS_OK;
    before = config->sources[key >= 0 ? key : 0];
    status = precedence_set(config, dotted, "model.path", value, (struct config_source){.level = CONFIG_PATH}, error);
    if (status == STATUS_OK && before.level > CONFIG_PATH) /* of other entries of the same map */
        config->sources[key] = before;
    return status;
}

/* Empties a text key because `by`, of a higher level, takes its place. */
static int give_way(struct config *config, char **text, enum config_key_id key, enum config_key_id by,
                    struct error *error)
{
    char *empty = strdup("");

    if (empty == NULL)
        return error_set(error, STATUS_MEMORY, "%s: no memory for its value", config_keys[key].dotted);
    free(*text);
    *text = empty;
    config->sources[key] = config->sources[by];
    return STATUS_OK;
}

static void drop_lower_overrides(struct config *config, enum config_level level)
{
    struct config_map *map = &config->model.overrides;
    int64_t kept = 0;

    for (int64_t i = 0; i < map->count; i++) {
        if (map->pairs[i].source.level >= level) {
            map->pairs[kept++] = map->pairs[i];
        } else {
            free(map->pairs[i].name);
            free(map->pairs[i].text);
        }
    }
    map->count = kept;
}

int precedence_end(struct config *config, enum config_level level, struct error *error)
{
    bool path_set = config->sources[CONFIG_KEY_model_path].level == level;
    bool preset_set = config->sources[CONFIG_KEY_model_preset].level == level;
    bool path = path_set && config->model.path[0] != '\0';
    bool preset = preset_set && config->model.preset[0] != '\0';
    char place[300];

    if (path_set || preset_set) {
        drop_lower_overrides(config, level);
        if (config->sources[CONFIG_KEY_model_ignore].level < level) {
            value_clear(config, CONFIG_KEY_model_ignore);
            config->sources[CONFIG_KEY_model_ignore] = (struct config_source){.level = CONFIG_DEFAULT};
        }
    }
    if (path && preset) {
        config_source_text(config, CONFIG_KEY_model_path, place, sizeof place);
        return error_set(error, STATUS_USAGE,
                         "%s: model.path and model.preset are both set; one of them names the model", place);
    }
    if (path && !preset_set && config->model.preset[0] != '\0')
        return give_way(config, &config->model.preset, CONFIG_KEY_model_preset, CONFIG_KEY_model_path, error);
    if (preset && !path_set && config->model.path[0] != '\0')
        return give_way(config, &config->model.path, CONFIG_KEY_model_path, CONFIG_KEY_model_preset, error);
    return STATUS_OK;
}

/* The name of a key, now or formerly, by its variable, or NULL. */
static const char *find_variable(const char *name)
{
    char variable[80];

    for (int key = 0; key < CONFIG_KEYS; key++) {
        config_variable(config_keys[key].dotted, variable, sizeof variable);
        if (strcmp(variable, name) == 0)
            return config_keys[key].dotted;
    }
    for (const struct config_alias *alias = config_aliases; alias->dotted != NULL; alias++) {
        config_variable(alias->dotted, variable, sizeof variable);
        if (strcmp(variable, name) == 0)
            return alias->dotted;
    }
    return NULL;
}

static int unknown_variable(const char *name, struct error *error)
{
    char variable[80], best[80] = "";
    int best_distance = 0;

    for (int key = 0; key < CONFIG_KEYS; key++) {
        int distance;

        config_variable(config_keys[key].dotted, variable, sizeof variable);
        distance = edit_distance(name, variable);
        /* The common prefix is no likeness. */
        if (edit_distance_is_typo(name + strlen("LLMRUN_"), distance) &&
            (best[0] == '\0' || distance < best_distance)) {
            memcpy(best, variable, sizeof best);
            best_distance = distance;
        }
    }
    return error_set(error, STATUS_USAGE, "%.80s in the environment names no key%s%s%s", name,
                     best[0] != '\0' ? ", did you mean " : "; `llmrun config keys` lists them all", best,
                     best[0] != '\0' ? "?" : "");
}

static bool is_reserved(const char *name)
{
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
        if (strcmp(reserved[i], name) == 0)
            return true;
    return strncmp(name, RESERVED_PREFIX, strlen(RESERVED_PREFIX)) == 0;
}

int precedence_environment(struct config *config, enum config_command command, char *const *environment,
                           struct error *error)
{
    char name[160];

    for (; environment != NULL && *environment != NULL; environment++) {
        size_t length = strcspn(*environment, "=");
        const char *dotted;
        int status;

        if (strncmp(*environment, "LLMRUN_", strlen("LLMRUN_")) != 0)
            continue;
        snprintf(name, sizeof name, "%.*s", length < 120 ? (int)length : 120, *environment);
        if (is_reserved(name))
            continue;
        dotted = find_variable(name);
        if (dotted == NULL)
            return unknown_variable(name, error);
        status = config_check_command((enum config_key_id)config_find_dotted(dotted), command, name, error);
        if (status != STATUS_OK)
            return status;
        status = precedence_set(config, dotted, name, *environment + length + ((*environment)[length] == '='),
                                (struct config_source){.level = CONFIG_ENVIRONMENT}, error);
        if (status != STATUS_OK)
            return status;
    }
    return precedence_end(config, CONFIG_ENVIRONMENT, error);
}

int precedence_flags(struct config *config, const struct config_flag *flags, int64_t count, struct error *error)
{
    char place[160], hint[160];
    const char *entry;

    for (int64_t i = 0; i < count; i++) {
        int status;

        snprintf(place, sizeof place, "--%.120s", flags[i].key);
        if (config_find_setting(flags[i].key, &entry) < 0) {
            config_hint(flags[i].key, hint, sizeof hint);
            return error_set(error, STATUS_USAGE, "%s: no key is called %.120s%s", place, flags[i].key, hint);
        }
        status = precedence_set(config, flags[i].key, place, flags[i].value,
                                (struct config_source){.level = CONFIG_FLAG}, error);
        if (status != STATUS_OK)
            return status;
    }
    return precedence_end(config, CONFIG_FLAG, error);
}
