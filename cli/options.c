#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/edit_distance.h"
#include "checkpoint/checkpoint.h"
#include "config/keys.h"
#include "config/scalar.h"
#include "engine/path_defaults.h"

extern char **environ;

static const struct {
    const char *name;
    const char *key;
    const char *value;
} shorthands[] = {{"backend", "run.backend", "B"}, {"steps", "train.steps", "N"}, {"tokenizer", "data.tokenizer", "T"}};

#define SHORTHANDS (int)(sizeof shorthands / sizeof shorthands[0])

static bool takes_key(const struct usage *usage, int key)
{
    return usage->takes_keys && config_check_command((enum config_key_id)key, usage->keys_of, "", NULL) == STATUS_OK;
}

static bool takes_shorthand(const struct usage *usage, int index)
{
    return takes_key(usage, config_find_dotted(shorthands[index].key));
}

/* The walk over argv. */
struct walk {
    const struct usage *usage;
    char **argv;
    int argc;
    int at;        /* index of the word in hand */
    uint64_t seen; /* bit i: option i was given */
    struct arguments *arguments;
    struct error *error;
};

static const char *dashes(const char *name)
{
    return name[1] == '\0' ? "-" : "--";
}

/* The value of the flag in hand: after '=' or in the next word, which is then taken. NULL with the error set when
 * missing. */
static const char *take_value(struct walk *walk, const char *flag, size_t flag_bytes)
{
    const char *next;

    if (flag[flag_bytes] == '=')
        return flag + flag_bytes + 1;
    next = walk->at + 1 < walk->argc ? walk->argv[walk->at + 1] : NULL;
    if (next == NULL || strncmp(next, "--", 2) == 0) {
        error_set(walk->error, STATUS_USAGE, "%.*s needs a value%s%s%s", (int)flag_bytes, flag,
                  next != NULL ? "; one that begins with -- is written " : "", next != NULL ? flag : "",
                  next != NULL ? "=VALUE" : "");
        return NULL;
    }
    walk->at++;
    return next;
}

static int take_number(struct walk *walk, const struct command_option *option, const char *value)
{
    bool whole = option->type == OPTION_INTEGER;
    const char *range = option->range != NULL ? option->range : "(-inf, inf)";
    int64_t integer = 0;
    double number = 0;
    bool good = whole ? scalar_integer(value, &integer) : scalar_number(value, &number);

    if (!good || !scalar_in_range(whole ? (double)integer : number, range))
        return error_set(walk->error, STATUS_USAGE, "%s%s is %.80s; a %snumber%s%s is wanted", dashes(option->name),
                         option->name, value, whole ? "whole " : "", option->range != NULL ? " in " : "",
                         option->range != NULL ? range : "");
    if (whole)
        *(int64_t *)option->target = integer;
    else
        *(double *)option->target = number;
    return STATUS_OK;
}

static int take_text(const struct walk *walk, const struct command_option *option, const char *value)
{
    struct option_texts *texts = option->target;

    if (texts->count == OPTION_MOST_TEXTS)
        return error_set(walk->error, STATUS_USAGE, "--%s is given more than %d times", option->name,
                         OPTION_MOST_TEXTS);
    texts->items[texts->count++] = value;
    return STATUS_OK;
}

static int take_option(struct walk *walk, int index, const char *flag, size_t flag_bytes)
{
    const struct command_option *option = &walk->usage->options[index];
    const char *value;

    if ((walk->seen >> index & 1) != 0 && option->type != OPTION_TEXTS)
        return error_set(walk->error, STATUS_USAGE, "%s%s is given twice; expected once", dashes(option->name),
                         option->name);
    walk->seen |= UINT64_C(1) << index;
    if (option->type == OPTION_SWITCH) {
        if (flag[flag_bytes] == '=')
            return error_set(walk->error, STATUS_USAGE, "%.*s takes no value", (int)flag_bytes, flag);
        *(bool *)option->target = true;
        return STATUS_OK;
    }
    value = take_value(walk, flag, flag_bytes);
    if (value == NULL)
        return STATUS_USAGE;
    if (option->type == OPTION_TEXTS)
        return take_text(walk, option, value);
    if (option->type != OPTION_TEXT)
        return take_number(walk, option, value);
    *(const char **)option->target = value;
    return STATUS_OK;
}

/* --seed is what run.seed would be, --model what model.path or model.preset, --data what data.train or data.valid. */
static bool stands_for(const struct command_option *option, const struct config_key *key)
{
    const bool names = key->type == CONFIG_TYPE_TEXT || key->type == CONFIG_TYPE_LIST;

    return strcmp(option->name, key->name) == 0 || (names && strcmp(option->name, key->section) == 0);
}

/* A key that is none, or that the command does not use, but may have an option for of its own. */
static int check_key(const struct walk *walk, const char *name, const char *flag, size_t flag_bytes)
{
    const struct usage *usage = walk->usage;
    const char *entry;
    char place[160], hint[160];
    int key = config_find_setting(name, &entry);

    if (key >= 0 && takes_key(usage, key))
        return STATUS_OK;
    snprintf(place, sizeof place, "%.*s", flag_bytes < 159 ? (int)flag_bytes : 159, flag);
    if (key < 0) {
        config_hint(name, hint, sizeof hint);
        return error_set(walk->error, STATUS_USAGE, "%s: no key is called %.120s%s", place, name, hint);
    }
    for (int i = 0; i < usage->option_count; i++)
        if (stands_for(&usage->options[i], &config_keys[key]))
            return error_set(walk->error, STATUS_USAGE, "%s: %s does not use %s; its own flag is --%s", place,
                             usage->command, config_keys[key].dotted, usage->options[i].name);
    return config_check_command((enum config_key_id)key, usage->keys_of, place, walk->error);
}

static int take_key(struct walk *walk, const char *key, size_t key_bytes, const char *flag, size_t flag_bytes)
{
    struct arguments *arguments = walk->arguments;
    char *copy = strndup(key, key_bytes);
    const char *value;
    int status;

    if (copy == NULL)
        return error_set(walk->error, STATUS_MEMORY, "no memory to read the command line");
    arguments->flags[arguments->flag_count].key = copy;
    status = check_key(walk, copy, flag, flag_bytes);
    value = status == STATUS_OK ? take_value(walk, flag, flag_bytes) : NULL;
    arguments->flags[arguments->flag_count++].value = value;
    return value != NULL ? STATUS_OK : STATUS_USAGE;
}

/* "eval has no flag --modle, did you mean --model?" */
static int unknown_flag(const struct walk *walk, const char *flag, size_t flag_bytes)
{
    const struct usage *usage = walk->usage;
    char name[80];
    const char *near = NULL;
    int near_distance = 0;

    snprintf(name, sizeof name, "%.*s", flag_bytes < 79 ? (int)flag_bytes : 79, flag);
    memmove(name, name + strspn(name, "-"), sizeof name - strspn(name, "-"));
    for (int i = 0; i < usage->option_count + SHORTHANDS; i++) {
        const char *other = i < usage->option_count ? usage->options[i].name : shorthands[i - usage->option_count].name;
        int distance = edit_distance(name, other);

        if (i >= usage->option_count && !takes_shorthand(usage, i - usage->option_count))
            continue;
        if (edit_distance_is_typo(name, distance) && (near == NULL || distance < near_distance)) {
            near = other;
            near_distance = distance;
        }
    }
    if (near == NULL && config_nearest(name) >= 0 && takes_key(usage, config_nearest(name)))
        near = config_keys[config_nearest(name)].dotted;
    if (near != NULL)
        return error_set(walk->error, STATUS_USAGE, "%s has no flag %.*s, did you mean %s%s?", usage->command,
                         (int)flag_bytes, flag, dashes(near), near);
    return error_set(walk->error, STATUS_USAGE, "%s has no flag %.*s; `llmrun %s --help` lists them", usage->command,
                     (int)flag_bytes, flag, usage->command);
}

static int take_flag(struct walk *walk, const char *flag)
{
    const struct usage *usage = walk->usage;
    size_t bytes = strcspn(flag, "=");
    const char *name = flag + (flag[1] == '-' ? 2 : 1);
    size_t name_bytes = bytes - (size_t)(name - flag);

    for (int i = 0; i < usage->option_count; i++)
        if (strlen(usage->options[i].name) == name_bytes && strncmp(usage->options[i].name, name, name_bytes) == 0 &&
            strlen(dashes(usage->options[i].name)) == (size_t)(name - flag))
            return take_option(walk, i, flag, bytes);
    if (flag[1] == '-' && usage->takes_keys) {
        for (int i = 0; i < SHORTHANDS; i++)
            if (strlen(shorthands[i].name) == name_bytes && strncmp(shorthands[i].name, name, name_bytes) == 0)
                return take_key(walk, shorthands[i].key, strlen(shorthands[i].key), flag, bytes);
        if (memchr(name, '.', name_bytes) != NULL)
            return take_key(walk, name, name_bytes, flag, bytes);
    }
    return unknown_flag(walk, flag, bytes);
}

static int take_word(struct walk *walk, const char *word)
{
    struct arguments *arguments = walk->arguments;

    if (walk->usage->takes_config_file && arguments->config_file == NULL) {
        arguments->config_file = word;
        return STATUS_OK;
    }
    if (arguments->word_count == walk->usage->most_words)
        return error_set(walk->error, STATUS_USAGE,
                         "%s: the word %.200s is one too many; `llmrun %s --help` shows its use", walk->usage->command,
                         word, walk->usage->command);
    arguments->words[arguments->word_count++] = word;
    return STATUS_OK;
}

static int check_complete(const struct walk *walk)
{
    const struct usage *usage = walk->usage;

    for (int i = 0; i < usage->option_count; i++) {
        const struct command_option *option = &usage->options[i];

        if (option->required && (walk->seen >> i & 1) == 0)
            return error_set(walk->error, STATUS_USAGE, "%s needs %s%s %s: %s", usage->command, dashes(option->name),
                             option->name, option->value != NULL ? option->value : "", option->help);
    }
    if (walk->arguments->word_count < usage->least_words)
        return error_set(walk->error, STATUS_USAGE, "%s needs %s; `llmrun %s --help` shows its use", usage->command,
                         usage->words, usage->command);
    return STATUS_OK;
}

int options_parse(const struct usage *usage, int argc, char **argv, struct arguments *arguments, struct error *error)
{
    struct walk walk = {usage, argv, argc, 1, 0, arguments, error};
    bool words_only = false;
    int status = STATUS_OK;

    *arguments = (struct arguments){.command = usage->keys_of};
    arguments->flags = calloc((size_t)argc + 1, sizeof *arguments->flags);
    arguments->words = calloc((size_t)argc + 1, sizeof *arguments->words);
    if (arguments->flags == NULL || arguments->words == NULL)
        return error_set(error, STATUS_MEMORY, "no memory to read the command line");
    for (; walk.at < argc && status == STATUS_OK; walk.at++) {
        const char *word = argv[walk.at];

        if (words_only || word[0] != '-' || word[1] == '\0') {
            status = take_word(&walk, word);
        } else if (strcmp(word, "--") == 0) {
            words_only = true;
        } else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            usage_print(usage);
            arguments->done = true;
            return STATUS_OK;
        } else {
            status = take_flag(&walk, word);
        }
    }
    return status == STATUS_OK ? check_complete(&walk) : status;
}

void arguments_finish(struct arguments *arguments)
{
    for (int64_t i = 0; i < arguments->flag_count; i++)
        free((char *)arguments->flags[i].key);
    free(arguments->flags);
    free(arguments->words);
    *arguments = (struct arguments){0};
}

int arguments_load_config(const struct arguments *arguments, struct config *config, struct error *error)
{
    const struct config_inputs inputs = {.command = arguments->command,
                                         .file = arguments->config_file,
                                         .environment = environ,
                                         .flags = arguments->flags,
                                         .flag_count = arguments->flag_count};

    int status = config_load(config, &inputs, error);

    if (status != STATUS_OK)
        return status;
    config_set_log_level(config);
    status = path_defaults_set(checkpoint_files_anywhere(), config, error);
    if (status != STATUS_OK)
        config_finish(config);
    return status;
}

int options_run(const struct usage *usage, int argc, char **argv,
                int (*work)(void *context, const struct config *config, struct error *error), void *context,
                struct error *error)
{
    struct arguments arguments;
    struct config config;
    int status = options_parse(usage, argc, argv, &arguments, error);

    if (status == STATUS_OK && !arguments.done) {
        status = arguments_load_config(&arguments, &config, error);
        if (status == STATUS_OK) {
            status = work(context, &config, error);
            config_finish(&config);
        }
    }
    arguments_finish(&arguments);
    return status;
}

static void print_row(const char *dash, const char *name, const char *value, const char *help)
{
    int used = printf("  %s%s%s%s", dash, name, value != NULL ? " " : "", value != NULL ? value : "");

    printf("%*s%s\n", used < 26 ? 26 - used : 2, "", help);
}

/* The keys that the command uses, in lines. */
static void print_keys(const struct usage *usage)
{
    int used = printf("\nKeys:");

    for (int key = 0; key < CONFIG_KEYS; key++) {
        const int length = (int)strlen(config_keys[key].dotted);

        if (!takes_key(usage, key) || !config_is_shown((enum config_key_id)key))
            continue;
        if (used + 1 + length > 100)
            used = printf("\n     ");
        used += printf(" %s", config_keys[key].dotted);
    }
    putchar('\n');
}

void usage_print(const struct usage *usage)
{
    bool all_keys = true;

    for (int key = 0; key < CONFIG_KEYS; key++)
        all_keys &= takes_key(usage, key);
    printf("usage: llmrun %s%s", usage->command, usage->takes_config_file ? " [config.yaml]" : "");
    for (int i = 0; i < usage->option_count; i++) {
        const struct command_option *option = &usage->options[i];

        if (option->required)
            printf(" %s%s %s", dashes(option->name), option->name, option->value);
    }
    printf("%s%s%s\n\n%s.\n\n", usage->option_count > 0 || usage->takes_keys ? " [flags]" : "",
           usage->words != NULL ? " " : "", usage->words != NULL ? usage->words : "", usage->summary);
    for (int i = 0; i < usage->option_count; i++)
        print_row(dashes(usage->options[i].name), usage->options[i].name, usage->options[i].value,
                  usage->options[i].help);
    for (int i = 0; i < SHORTHANDS; i++) {
        char help[160];

        snprintf(help, sizeof help, "short for --%s %s", shorthands[i].key, shorthands[i].value);
        if (takes_shorthand(usage, i))
            print_row("--", shorthands[i].name, shorthands[i].value, help);
    }
    if (usage->takes_keys)
        print_row("--", "section.key", "V",
                  all_keys ? "any key of the config; `llmrun config keys` lists them"
                           : "a key of the config; `llmrun config keys` explains them");
    print_row("--", "help", NULL, "this text");
    if (usage->takes_keys && !all_keys)
        print_keys(usage);
}
