/* The config table at run time: a row a key, in the order of config/keys.def, and the search by name. Constant data. */
#ifndef LLMRUN_CONFIG_KEYS_H
#define LLMRUN_CONFIG_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

enum config_type {
    CONFIG_TYPE_TEXT,
    CONFIG_TYPE_LIST,
    CONFIG_TYPE_MAP,
    CONFIG_TYPE_FLAG,
    CONFIG_TYPE_INTEGER,
    CONFIG_TYPE_NUMBER,
    CONFIG_TYPE_DURATION,
    CONFIG_TYPE_CHOICE
};

/* What a key may be when a run is resumed. */
enum config_resume {
    CONFIG_FREE,    /* anything */
    CONFIG_FIXED,   /* what it was */
    CONFIG_CONTENT, /* the name of another place that holds the same */
};

struct config_key {
    const char *section;
    const char *name;
    const char *dotted; /* section.name */
    enum config_type type;
    size_t offset;        /* of the member in struct config */
    const char *standard; /* the default, as YAML */
    const char *range;    /* an interval, or "" */
    const char *zero;     /* INTEGER: a word that stands for 0, or "" */
    enum config_resume resume;
    const char *built; /* "", or the feature that is missing: then only the default is accepted */
    const char *help;
};

struct config_choice {
    enum config_key_id key;
    int value; /* the enumerator */
    const char *text;
    const char *built; /* "", or the feature that is missing */
};

struct config_section {
    const char *name;
    const char *help;
};

extern const struct config_key config_keys[CONFIG_KEYS];

/* Rows of every CHOICE key, those of one key side by side; a row with text NULL ends them. */
extern const struct config_choice config_choices[];

/* A row with name NULL ends them. */
extern const struct config_section config_sections[];

/* The commands that use each key, enum config_command or-ed: config/commands.def. */
extern const unsigned config_key_commands[CONFIG_KEYS];

/* "bench step", of bit `index` of enum config_command. */
const char *config_command_name(int index);

/* The commands that use a key: "train, eval and plan". Cut to `bytes`. */
void config_command_list(enum config_key_id key, char *out, size_t bytes);

/* STATUS_USAGE where `command`, one bit or CONFIG_COMMAND_ANY, does not use the key; `place` names flag or variable. */
int config_check_command(enum config_key_id key, unsigned command, const char *place, struct error *error);

/* Former names of keys, which stand for them; a row with dotted NULL ends them. */
struct config_alias {
    const char *dotted;
    enum config_key_id key;
};
extern const struct config_alias config_aliases[];

/* The key of that name, now or formerly, or -1. */
int config_find_dotted(const char *dotted);

/* The row of a former name, or NULL. */
const struct config_alias *config_find_alias(const char *dotted);

/* The key that a flag sets: itself, or a map key of which `dotted` names an entry (model.overrides.n_layer); then
 * *entry is the entry's name, else NULL. -1: neither. */
int config_find_setting(const char *dotted, const char **entry);

/* The name of a key "section.name" in the environment: LLMRUN_SECTION_NAME. Cut to `bytes`. */
void config_variable(const char *dotted, char *out, size_t bytes);

/* The key that a mistyped name most likely means ("train.stpes", "train.lr", "stpes"), or -1 when none is near. */
int config_nearest(const char *dotted);

/* ", did you mean X?" with a name from the table, or where the names stand when none is near; cut to `bytes`. */
void config_hint(const char *dotted, char *out, size_t bytes);

/* What a key accepts, for messages and documents: "a whole number in [1, inf)", "fp32, bf16 or fp16". Cut to `bytes`.
 */
void config_describe(enum config_key_id key, char *out, size_t bytes);

/* False for a key that takes no value but its default as long as its feature is not built: help and documents do not
 * name it. */
bool config_is_shown(enum config_key_id key);

#endif
