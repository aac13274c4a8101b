#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "dist/status_socket.h"
#include "options.h"

int command_status(int argc, char **argv, struct error *error)
{
    const struct usage usage = {"status", "What each rank of a running job does, asked on the machine of rank 0",
                                .words = "RUN_DIR", .least_words = 1, .most_words = 1};
    struct arguments arguments;
    char *text = NULL;
    int status = options_parse(&usage, argc, argv, &arguments, error);

    if (status == STATUS_OK && !arguments.done) {
        status = status_socket_ask(arguments.words[0], &text, error);
        if (status == STATUS_OK)
            fputs(text, stdout);
    }
    free(text);
    arguments_finish(&arguments);
    return status;
}
