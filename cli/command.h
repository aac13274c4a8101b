/* A subcommand of llmrun: one file each, one row each in the table of main.c. */
#ifndef LLMRUN_CLI_COMMAND_H
#define LLMRUN_CLI_COMMAND_H

#include "base/status.h"

struct subcommand {
    const char *name;
    const char *summary;
    /* argv[0] is the command's name, argv[argc] is NULL. Results go to stdout; main prints the error and checks stdout.
     * NULL: not built yet. */
    int (*run)(int argc, char **argv, struct error *error);
};

int command_backends(int argc, char **argv, struct error *error);
int command_bench(int argc, char **argv, struct error *error);
int command_checkpoint(int argc, char **argv, struct error *error);
int command_eval(int argc, char **argv, struct error *error);
int command_launch(int argc, char **argv, struct error *error);
int command_generate(int argc, char **argv, struct error *error);
int command_plan(int argc, char **argv, struct error *error);
int command_status(int argc, char **argv, struct error *error);
int command_train(int argc, char **argv, struct error *error);
int command_config(int argc, char **argv, struct error *error);

#endif
