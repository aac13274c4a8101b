#include "config/keys.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/edit_distance.h"

#define FIXED   CONFIG_FIXED
#define CONTENT CONFIG_CONTENT
#define FREE    CONFIG_FREE
/* clang-format off */
#define ROW(section, name, type, standard, range, zero, resume, built, help)                                  \
    [CONFIG_KEY_##section##_##name] = {#section, #name, #section "." #name, type,                             \
                                       offsetof(struct config, section.name), standard, range, zero, resume,  \
                                       built, help},
/* clang-format on */

const struct config_key config_keys[CONFIG_KEYS] = {
#define KEY_TEXT(section, name, standard, resume, built, help)                                                         \
    ROW(section, name, CONFIG_TYPE_TEXT, standard, "", "", resume, built, help)
#define KEY_LIST(section, name, standard, resume, built, help)                                                         \
    ROW(section, name, CONFIG_TYPE_LIST, standard, "", "", resume, built, help)
#define KEY_MAP(section, name, standard, resume, built, help)                                                          \
    ROW(section, name, CONFIG_TYPE_MAP, standard, "", "", resume, built, help)
#define KEY_FLAG(section, name, standard, resume, built, help)                                                         \
    ROW(section, name, CONFIG_TYPE_FLAG, standard, "", "", resume, built, help)
#define KEY_INTEGER(section, name, standard, zero, range, resume, built, help)                                         \
    ROW(section, name, CONFIG_TYPE_INTEGER, standard, range, zero, resume, built, help)
#define KEY_NUMBER(section, name, standard, range, resume, built, help)                                                \
    ROW(section, name, CONFIG_TYPE_NUMBER, standard, range, "", resume, built, help)
#define KEY_DURATION(section, name, standard, resume, built, help)                                                     \
    ROW(section, name, CONFIG_TYPE_DURATION, standard, "", "", resume, built, help)
#define KEY_CHOICE_BEGIN(section, name, standard, resume, help)                                                        \
    ROW(section, name, CONFIG_TYPE_CHOICE, standard, "", "", resume, "", help)
#include "config/keys.def"
};

const struct config_choice config_choices[] = {
#define CHOICE(section, name, enumerator, text, built) {CONFIG_KEY_##section##_##name, enumerator, text, built},
#include "config/keys.def"
    {CONFIG_KEYS, 0, NULL, NULL}};

const struct config_section config_sections[] = {
#define SECTION_BEGIN(section, help) {#section, help},
#include "config/keys.def"
    {NULL, NULL}};

const struct config_alias config_aliases[] = {
#define KEY_ALIAS(section, former, name) {#section "." #former, CONFIG_KEY_##section##_##name},
#include "config/keys.def"
    {NULL, CONFIG_KEYS}};

const struct config_alias *config_find_alias(const char *dotted)
{
    for (const struct config_alias *alias = config_aliases; alias->dotted != NULL; alias++)
        if (strcmp(alias->dotted, dotted) == 0)
            return alias;
    return NULL;
}

int config_find_dotted(const char *dotted)
{
    const struct config_alias *alias = config_find_alias(dotted);

    for (int i = 0; i < CONFIG_KEYS; i++)
        if (strcmp(config_keys[i].dotted, dotted) == 0)
            return i;
    return alias != NULL ? (int)alias->key : -1;
}

int config_find_setting(const char *dotted, const char **entry)
{
    int key = config_find_dotted(dotted);

    *entry = NULL;
    if (key >= 0)
        return key;
    for (key = 0; key < CONFIG_KEYS; key++) {
        size_t length = strlen(config_keys[key].dotted);

        if (config_keys[key].type == CONFIG_TYPE_MAP && strncmp(config_keys[key].dotted, dotted, length) == 0 &&
            dotted[length] == '.') {
            *entry = dotted + length + 1;
            return key;
        }
    }
    return -1;
}

void config_variable(const char *dotted, char *out, size_t bytes)
{
    snprintf(out, bytes, "LLMRUN_%s", dotted);
    for (; *out != '\0'; out++)
        *out = *out == '.' ? '_' : (char)toupper((unsigned char)*out);
}

int config_nearest(const char *dotted)
{
    const char *dot = strrchr(dotted, '.');
    const char *name = dot != NULL ? dot + 1 : dotted;
    int best = -1, best_distance = 0;

    for (int i = 0; i < CONFIG_KEYS; i++) {
        const struct config_key *key = &config_keys[i];
        int whole = edit_distance(dotted, key->dotted);
        int alone = edit_distance(name, key->name);
        int distance;

        /* The right name in the wrong section counts as one mistake more. */
        if (!edit_distance_is_typo(name, alone))
            alone = 1000;
        if (!edit_distance_is_typo(dotted, whole))
            whole = 1000;
        distance = whole <= alone + 1 ? whole : alone + 1;
        if (distance < 1000 && (best < 0 || distance < best_distance)) {
            best = i;
            best_distance = distance;
        }
    }
    return best;
}

void config_hint(const char *dotted, char *out, size_t bytes)
{
    int key = config_nearest(dotted);

    if (key >= 0)
        snprintf(out, bytes, ", did you mean %s?", config_keys[key].dotted);
    else
        snprintf(out, bytes, "; `llmrun config keys` lists them all");
}

/* Those that can be chosen: "fp32 or bf16". */
static void describe_choices(enum config_key_id key, char *out, size_t bytes)
{
    const struct config_choice *last = NULL;
    size_t used = 0;

    for (const struct config_choice *choice = config_choices; choice->text != NULL; choice++)
        if (choice->key == key && choice->built[0] == '\0')
            last = choice;
    for (const struct config_choice *choice = config_choices; choice->text != NULL && used < bytes; choice++)
        if (choice->key == key && choice->built[0] == '\0')
            used += (size_t)snprintf(out + used, bytes - used, "%s%s",
                                     used == 0        ? ""
                                     : choice == last ? " or "
                                                      : ", ",
                                     choice->text);
}

void config_describe(enum config_key_id key, char *out, size_t bytes)
{
    static const char *const words[] = {
        [CONFIG_TYPE_TEXT] = "text",
        [CONFIG_TYPE_LIST] = "a list of texts",
        [CONFIG_TYPE_MAP] = "a map of names to values",
        [CONFIG_TYPE_FLAG] = "true or false",
        [CONFIG_TYPE_INTEGER] = "a whole number in ",
        [CONFIG_TYPE_NUMBER] = "a number in ",
        [CONFIG_TYPE_DURATION] = "a time such as 1h30m or 90s",
        [CONFIG_TYPE_CHOICE] = "",
    };
    const struct config_key *row = &config_keys[key];

    if (row->type == CONFIG_TYPE_CHOICE)
        describe_choices(key, out, bytes);
    else if (row->zero[0] != '\0')
        snprintf(out, bytes, "%s or %s%s", row->zero, words[row->type], row->range);
    else
        snprintf(out, bytes, "%s%s", words[row->type], row->range);
}

bool config_is_shown(enum config_key_id key)
{
    int built = 0, missing = 0;

    for (const struct config_choice *choice = config_choices; choice->text != NULL; choice++)
        if (choice->key == key)
            *(choice->built[0] == '\0' ? &built : &missing) += 1;
    return config_keys[key].built[0] == '\0' && (built > 1 || missing == 0);
}
