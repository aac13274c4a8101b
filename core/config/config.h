/* The typed configuration of a run. It is put together from four levels, the later winning: defaults, a YAML file, the
 * environment (LLMRUN_SECTION_KEY) and flags (--section.key value). Every value remembers where it came from.
 *
 * config/keys.def lists the keys and defines the members: `struct config` has one member struct a section and in it one
 * member a key, so that the key train.steps is config.train.steps. Texts are UTF-8 without NUL. A finished struct
 * config is only read: any thread may do that. */
#ifndef LLMRUN_CONFIG_CONFIG_H
#define LLMRUN_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

/* One number a key, in the order of the table: CONFIG_KEY_train_steps. */
enum config_key_id {
#define KEY_TEXT(section, name, ...)         CONFIG_KEY_##section##_##name,
#define KEY_LIST(section, name, ...)         CONFIG_KEY_##section##_##name,
#define KEY_MAP(section, name, ...)          CONFIG_KEY_##section##_##name,
#define KEY_FLAG(section, name, ...)         CONFIG_KEY_##section##_##name,
#define KEY_INTEGER(section, name, ...)      CONFIG_KEY_##section##_##name,
#define KEY_NUMBER(section, name, ...)       CONFIG_KEY_##section##_##name,
#define KEY_DURATION(section, name, ...)     CONFIG_KEY_##section##_##name,
#define KEY_CHOICE_BEGIN(section, name, ...) CONFIG_KEY_##section##_##name,
#include "config/keys.def"
    CONFIG_KEYS
};

/* CONFIG_PATH: nobody set it, and it follows from the files in model.path. */
enum config_level { CONFIG_DEFAULT, CONFIG_PATH, CONFIG_FILE, CONFIG_ENVIRONMENT, CONFIG_FLAG };

/* Where a value came from. */
struct config_source {
    enum config_level level;
    int line;          /* in config.file, from 1; 0 on other levels */
    const char *alias; /* the former name, "section.name", that it was set by, or NULL */
};

struct config_list {
    char **items;
    int64_t count;
};

enum config_pair_kind {
    CONFIG_PAIR_LITERAL, /* a number, true, false or null */
    CONFIG_PAIR_TEXT,    /* a text, without quotes */
    CONFIG_PAIR_JSON     /* a list or a map, as JSON */
};

/* One entry of model.overrides. A LITERAL is valid JSON too. */
struct config_pair {
    char *name;
    char *text;
    enum config_pair_kind kind;
    struct config_source source;
};

struct config_map {
    struct config_pair *pairs; /* in the order of first appearance; names differ */
    int64_t count;
    int64_t capacity;
};

struct config {
#define SECTION_BEGIN(section, help)     struct config_##section {
#define KEY_TEXT(section, name, ...)     char *name;
#define KEY_LIST(section, name, ...)     struct config_list name;
#define KEY_MAP(section, name, ...)      struct config_map name;
#define KEY_FLAG(section, name, ...)     bool name;
#define KEY_INTEGER(section, name, ...)  int64_t name;
#define KEY_NUMBER(section, name, ...)   double name;
#define KEY_DURATION(section, name, ...) int64_t name; /* seconds, 0: none */
/* clang-format off */
#define KEY_CHOICE_BEGIN(section, name, ...) enum config_##section##_##name {
#define CHOICE(section, name, enumerator, text, built) enumerator,
#define KEY_CHOICE_END(section, name) } name;
#define SECTION_END(section) } section;
/* clang-format on */
#include "config/keys.def"
    struct config_source sources[CONFIG_KEYS]; /* by enum config_key_id; of model.overrides: the last setting */
    char *file;                                /* the YAML file that was read, or NULL */
};

/* A flag --key value: key is "section.key" or "model.overrides.name". A text and a single name of a list stand there as
 * they are; other values are YAML (precedence.h). */
struct config_flag {
    const char *key;
    const char *value;
};

/* The commands that read a config: config/commands.def says which keys each of them uses. */
enum config_command {
    CONFIG_COMMAND_ANY = 0, /* every key may be set */
    CONFIG_COMMAND_TRAIN = 1 << 0,
    CONFIG_COMMAND_EVAL = 1 << 1,
    CONFIG_COMMAND_GENERATE = 1 << 2,
    CONFIG_COMMAND_PLAN = 1 << 3,
    CONFIG_COMMAND_BENCH_STEP = 1 << 4,
    CONFIG_COMMAND_BENCH_GENERATE = 1 << 5,
    CONFIG_COMMAND_BENCH_GEMM = 1 << 6,
    CONFIG_COMMAND_IMPORT = 1 << 7
};
#define CONFIG_COMMANDS 8

/* The levels above the defaults; each may be absent. */
struct config_inputs {
    enum config_command command; /* whose variables these are: those of keys that it does not use are refused */
    const char *file;            /* path of a YAML file */
    const char *text;            /* read in place of the file, whose name then serves for messages */
    int64_t text_bytes;
    char *const *environment;        /* NAME=value, NULL at the end: as `environ` */
    const struct config_flag *flags; /* a later one wins */
    int64_t flag_count;
};

/* Fills *config, which the caller frees with config_finish on success. STATUS_USAGE, with the place (file:line:column,
 * variable or flag), the key and the nearest name, for whatever is wrong, a missing file too. */
int config_load(struct config *config, const struct config_inputs *inputs, struct error *error);

/* Sets a key, or an entry of model.overrides, to what the files in model.path say, unless somebody set it. */
int config_set_from_path(struct config *config, const char *dotted, const char *value, struct error *error);

/* From now on the lines of log.level and above are shown, in this process. */
void config_set_log_level(const struct config *config);

/* Frees what config_load made. A zeroed struct may be freed. */
void config_finish(struct config *config);

/* Writes the whole config as YAML that config_load reads back to the same values; with `sources`, a comment says where
 * each came from. *text is the caller's, to free(). */
int config_to_text(const struct config *config, bool sources, char **text, struct error *error);

/* Whether a flag or a variable set the key. */
bool config_is_given(const struct config *config, enum config_key_id key);

/* The value of one key as one line of YAML; the caller's, to free(). NULL when there is no memory. */
char *config_value_text(const struct config *config, enum config_key_id key);

/* Where the value of a key came from: "default", "model.path", "run.yaml:12", "LLMRUN_TRAIN_STEPS", "--train.steps".
 * Cut to `bytes`.
 */
void config_source_text(const struct config *config, enum config_key_id key, char *out, int64_t bytes);

/* A number for all that must be the same when a run is resumed (the FIXED keys): the order of override keys does not
 * count, nor do the names of files and folders. STATUS_MEMORY on failure. */
int config_hash(const struct config *config, uint64_t *hash, struct error *error);

/* The same comparison, key by key: STATUS_USAGE names the first FIXED key that differs and both values. Of a CONTENT
 * key (model.path, data.train, data.tokenizer) the caller compares what it names. */
int config_check_resume(const struct config *stored, const struct config *now, struct error *error);

/* That sentence for one key, for a caller who found the difference: STATUS_USAGE. `why` stands behind the values. */
int config_differs(const struct config *stored, const struct config *now, enum config_key_id key, const char *why,
                   struct error *error);

/* What to set in order to begin a new run instead of going on, as the end of a sentence. */
const char *config_new_run(const struct config *config);

#endif
