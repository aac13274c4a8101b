#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/edit_distance.h"
#include "command.h"
#include "plugin/guard.h"
#include "process.h"

static const struct subcommand commands[] = {
    {"train", "train a model; with no config, the built-in demo", command_train},
    {"launch", "start several ranks on this machine", command_launch},
    {"status", "what each rank of a running job does", command_status},
    {"eval", "perplexity of a model on a text", command_eval},
    {"generate", "text from a model", command_generate},
    {"plan", "memory, arithmetic and communication of a run, before it runs", command_plan},
    {"validate", "conformance tests of a backend", NULL},
    {"backends", "the backends found, with what each offers", command_backends},
    {"doctor", "libraries, devices and limits of this machine", NULL},
    {"config", "show a run's config, or list the keys", command_config},
    {"data", "turn text into token files", NULL},
    {"checkpoint", "list and verify checkpoints", command_checkpoint},
    {"report", "an HTML page about runs", NULL},
    {"bench", "speed of training steps and matrix products on this machine", command_bench},
};

#define COMMANDS (int)(sizeof commands / sizeof commands[0])

static void print_help(void)
{
    puts("usage: llmrun [train] [config.yaml] [--section.key value]...\n       llmrun COMMAND ...\n\n"
         "Trains language models on any accelerator. Commands:\n");
    for (int i = 0; i < COMMANDS; i++)
        if (commands[i].run != NULL)
            printf("  %-12s%s\n", commands[i].name, commands[i].summary);
    puts("\n`llmrun COMMAND --help` shows the flags of one; `llmrun config keys` lists the keys of the config.\n"
         "Also: --help, --version.");
}

static const struct subcommand *find_command(const char *name)
{
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int unknown_command(const char *name, struct error *error)
{
    const char *near = NULL;
    int near_distance = 0;

    for (int i = 0; i < COMMANDS; i++) {
        int distance = edit_distance(name, commands[i].name);

        if (edit_distance_is_typo(name, distance) && (near == NULL || distance < near_distance)) {
            near = commands[i].name;
            near_distance = distance;
        }
    }
    return error_set(error, STATUS_USAGE, "no command is called %.80s%s%s%s", name,
                     near != NULL ? ", did you mean " : "; `llmrun --help` lists them (a config file ends in .yaml)",
                     near != NULL ? near : "", near != NULL ? "?" : "");
}

/* A flag, or a path: then the command is train and was left out. */
static int is_train_argument(const char *word)
{
    return word[0] == '-' || strpbrk(word, "./") != NULL;
}

static int dispatch(int argc, char **argv, struct error *error)
{
    const char *word = argc > 1 ? argv[1] : "--";
    const struct subcommand *command = find_command(word);

    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        print_help();
        return STATUS_OK;
    }
    if (strcmp(word, "--version") == 0) {
        puts("llmrun " LLMRUN_VERSION);
        return STATUS_OK;
    }
    if (command != NULL) {
        argc--;
        argv++;
    } else if (is_train_argument(word)) {
        command = find_command("train");
    } else {
        return unknown_command(word, error);
    }
    if (command->run == NULL)
        return error_set(error, STATUS_USAGE, "`llmrun %s` is not built yet; `llmrun --help` lists what is",
                         command->name);
    return command->run(argc, argv, error);
}

int main(int argc, char **argv)
{
    struct error error = {0};
    int status;

    process_start();
    guard_install();
    status = dispatch(argc, argv, &error);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        int cause = errno;

        if (status == STATUS_OK)
            status = error_set(&error, STATUS_STORAGE, "the output could not be written: %s", strerror(cause));
    }
    if (status != STATUS_OK && error.message[0] != '\0')
        fprintf(stderr, "llmrun: %s\n", error.message);
    process_end(status);
}
