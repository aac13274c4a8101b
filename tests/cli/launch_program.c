/* launch_program RANKS LOG_DIR|- GRACE_MS PROGRAM ARGUMENT...: what `llmrun launch` does, of any program. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch_ranks.h"

extern char **environ;

int main(int argc, char **argv)
{
    struct rank_environment enclosing;
    struct launch_options options = {.variables = environ, .enclosing = &enclosing};
    char summary[LAUNCH_SUMMARY];
    struct error error;
    int code = 0, status;

    if (argc < 5)
        return 2;
    options.ranks = atoi(argv[1]);
    options.log_folder = strcmp(argv[2], "-") != 0 ? argv[2] : NULL;
    options.grace_ns = atol(argv[3]) * 1000000;
    options.program = argv[4];
    options.arguments = argv + 4;
    status = rank_environment_read(environ, &enclosing, &error);
    if (status == STATUS_OK && enclosing.world > 1)
        status = secret_find(environ, NULL, options.secret, &error);
    if (status == STATUS_OK)
        status = launch_ranks(&options, &code, summary, &error);
    fprintf(stderr, "launch: %s\n", status == STATUS_OK ? summary : error.message);
    return status == STATUS_OK ? code : status;
}
