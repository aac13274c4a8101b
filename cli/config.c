/* llmrun config show | keys: what a run would be configured with, and what can be configured. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "config/keys.h"
#include "options.h"

static int config_show(int argc, char **argv, struct error *error)
{
    static const struct usage usage = {.command = "config show",
                                       .summary = "Every key with its value and where that came from, as a config file",
                                       .takes_config_file = true,
                                       .takes_keys = true};
    struct arguments arguments;
    struct config config = {0};
    char *text = NULL;
    int status = options_parse(&usage, argc, argv, &arguments, error);

    if (status != STATUS_OK || arguments.done)
        goto out;
    status = arguments_load_config(&arguments, &config, error);
    if (status == STATUS_OK)
        status = config_to_text(&config, true, &text, error);
    if (status == STATUS_OK)
        fputs(text, stdout);
out:
    free(text);
    config_finish(&config);
    arguments_finish(&arguments);
    return status;
}

static void print_key(enum config_key_id key)
{
    const struct config_key *row = &config_keys[key];
    char text[400];

    printf("%s: %s\n    %s\n", row->dotted, row->standard[0] != '\0' ? row->standard : "\"\"", row->help);
    config_describe(key, text, sizeof text);
    printf("    %s\n", text);
    config_command_list(key, text, sizeof text);
    printf("    used by %s\n", text);
}

static int config_list_keys(int argc, char **argv, struct error *error)
{
    static const struct usage usage = {.command = "config keys",
                                       .summary = "Every key of the config with its default, meaning and values"};
    struct arguments arguments;
    int status = options_parse(&usage, argc, argv, &arguments, error);

    for (int key = 0; status == STATUS_OK && !arguments.done && key < CONFIG_KEYS; key++)
        if (config_is_shown((enum config_key_id)key))
            print_key((enum config_key_id)key);
    arguments_finish(&arguments);
    return status;
}

int command_config(int argc, char **argv, struct error *error)
{
    static const struct usage usage = {.command = "config",
                                       .summary = "What a run would be configured with (show), and what can be (keys)",
                                       .words = "show | keys",
                                       .least_words = 1,
                                       .most_words = 1};
    struct arguments arguments;
    int status;

    if (argc > 1 && strcmp(argv[1], "show") == 0)
        return config_show(argc - 1, argv + 1, error);
    if (argc > 1 && strcmp(argv[1], "keys") == 0)
        return config_list_keys(argc - 1, argv + 1, error);
    status = options_parse(&usage, argc, argv, &arguments, error);
    if (status == STATUS_OK && !arguments.done)
        status = error_set(error, STATUS_USAGE, "config has no part %.80s; it has show and keys", arguments.words[0]);
    arguments_finish(&arguments);
    return status;
}
