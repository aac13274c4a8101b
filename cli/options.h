/* The one parser of command lines. A command says in a `struct usage` what it takes; from that come parsing, --help and
 * the hints for mistyped flags.
 *
 *     const char *model = NULL;
 *     bool json = false;
 *     const struct command_option options[] = {
 *         {"model", OPTION_TEXT, "M", "model to evaluate", .required = true, .target = &model},
 *         {"json", OPTION_SWITCH, NULL, "print JSON", .target = &json},
 *     };
 *     const struct usage usage = {.command = "eval", .summary = "Perplexity of a model on a text",
 *                                 .options = options, .option_count = 2, .takes_keys = true,
 *                                 .keys_of = CONFIG_COMMAND_EVAL};
 *     struct arguments arguments;
 *     int status = options_parse(&usage, argc, argv, &arguments, error);
 *
 *     if (status == STATUS_OK && !arguments.done)
 *         ...
 *     arguments_finish(&arguments); */
#ifndef LLMRUN_CLI_OPTIONS_H
#define LLMRUN_CLI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "config/config.h"

enum option_type {
    OPTION_SWITCH,  /* bool: set by its presence, takes no value */
    OPTION_TEXT,    /* const char *: points into argv */
    OPTION_TEXTS,   /* struct option_texts: may be given several times */
    OPTION_INTEGER, /* int64_t */
    OPTION_NUMBER   /* double */
};

#define OPTION_MOST_TEXTS 8

struct option_texts {
    const char *items[OPTION_MOST_TEXTS]; /* point into argv */
    int count;
};

struct command_option {
    const char *name; /* without dashes; one of a single letter is written with one dash */
    enum option_type type;
    const char *value; /* what the help calls its value: "FILE" */
    const char *help;
    const char *range; /* INTEGER and NUMBER: an interval like "[0, 1)"; NULL: any */
    bool required;
    void *target; /* keeps its value when the option is absent */
};

struct usage {
    const char *command; /* "config show" */
    const char *summary;
    const char *words; /* its words in the help: "RUN_DIR"; NULL: none. A config file is not counted */
    int least_words;
    int most_words;
    bool takes_config_file;      /* the first word is a config file; there may be none */
    bool takes_keys;             /* --section.key V, and shorthands: --backend B, --steps N, --tokenizer T */
    enum config_command keys_of; /* the keys that it takes; others are refused */
    const struct command_option *options;
    int option_count;
};

struct arguments {
    bool done; /* --help was asked for and is printed: nothing else to do */
    const char *config_file;
    enum config_command command;
    struct config_flag *flags; /* settings of keys, in order; keys are copies */
    int64_t flag_count;
    const char **words;
    int word_count;
};

/* Reads argv[1..]. `--name V` and `--name=V` are the same; a word that begins with -- is no value, unless after '=';
 * after a lone -- all are words. An option of the command stands once; of a key that is set twice the last value
 * counts. STATUS_USAGE names what is wrong and the nearest flag. The caller frees with arguments_finish in any case. */
int options_parse(const struct usage *usage, int argc, char **argv, struct arguments *arguments, struct error *error);

void arguments_finish(struct arguments *arguments);

/* config_load with the file, this process's environment and the settings, and what follows from model.path. log.level
 * holds from then on. */
int arguments_load_config(const struct arguments *arguments, struct config *config, struct error *error);

/* A whole command that works on a config: parses, loads the config, calls `work`. Where --help was asked for, or
 * parsing or loading failed, `work` is not called. */
int options_run(const struct usage *usage, int argc, char **argv,
                int (*work)(void *context, const struct config *config, struct error *error), void *context,
                struct error *error);

/* Prints the help of a command on stdout. */
void usage_print(const struct usage *usage);

#endif
