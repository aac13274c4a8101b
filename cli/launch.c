#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "command.h"
#include "launch_ranks.h"
#include "options.h"

extern char **environ;

/* What launch takes itself. The words behind it are the command of each rank. */
struct request {
    int64_t ranks;
    const char *logs;
    double grace;
    char **rest; /* ends with NULL */
    char run_folder[1024], log_folder[1100];
};

/* How many words of argv are launch's own: its name, its options and their values. */
static int own_words(int argc, char **argv, const struct command_option *options, int count)
{
    int at = 1;

    while (at < argc) {
        const char *name = argv[at] + strspn(argv[at], "-");
        const size_t length = strcspn(name, "=");
        bool own = strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0;

        for (int i = 0; i < count && !own; i++)
            own =
                argv[at][0] == '-' && strlen(options[i].name) == length && strncmp(name, options[i].name, length) == 0;
        if (!own)
            break;
        at += name[length] == '=' || argv[at][1] == 'h' || strcmp(argv[at], "--help") == 0 ? 1 : 2;
    }
    return at < argc ? at : argc;
}

static bool is_train(char **rest)
{
    return rest[0] == NULL || strcmp(rest[0], "train") == 0 || rest[0][0] == '-' || strpbrk(rest[0], "./") != NULL;
}

/* Reads the config that the ranks will read: what is wrong in it is said once, and the logs go where the run goes. */
static int read_config(struct request *request, struct error *error)
{
    const struct usage usage = {"train", "", .takes_config_file = true, .takes_keys = true,
                                .keys_of = CONFIG_COMMAND_TRAIN};
    char **rest = request->rest;
    struct arguments arguments;
    struct config config;
    int count = 0, status;

    if (!is_train(rest))
        return STATUS_OK;
    while (rest[count] != NULL)
        count++;
    /* The first word stands for the command's name: that before the rest where "train" was left out. */
    if (count == 0 || strcmp(rest[0], "train") != 0) {
        rest--;
        count++;
    }
    status = options_parse(&usage, count, rest, &arguments, error);
    if (status == STATUS_OK && !arguments.done) {
        status = arguments_load_config(&arguments, &config, error);
        if (status == STATUS_OK) {
            snprintf(request->run_folder, sizeof request->run_folder, "%s", config.run.dir);
            config_finish(&config);
        }
    }
    arguments_finish(&arguments);
    return status;
}

static int start(const struct request *request, struct error *error)
{
    struct rank_environment enclosing;
    char *arguments[1024] = {"llmrun"}, summary[LAUNCH_SUMMARY];
    struct launch_options options = {.program = "/proc/self/exe",
                                     .arguments = arguments,
                                     .variables = environ,
                                     .enclosing = &enclosing,
                                     .ranks = (int32_t)request->ranks,
                                     .log_folder = request->log_folder[0] != '\0' ? request->log_folder : NULL,
                                     .grace_ns = (int64_t)(request->grace * 1e9)};
    int code = 0, count = 0, status = rank_environment_read(environ, &enclosing, error);

    for (; request->rest[count] != NULL; count++) {
        if (count == (int)(sizeof arguments / sizeof arguments[0]) - 2)
            return error_set(error, STATUS_USAGE, "launch: the command has more than %d words", count);
        arguments[count + 1] = request->rest[count];
    }
    if (status == STATUS_OK && enclosing.world > 1)
        status = secret_find(environ, request->run_folder, options.secret, error);
    if (status != STATUS_OK)
        return status;
    if (enclosing.world > 1)
        printf("llmrun launch: machine %d of %d (%s), ranks %d to %d of %d\n", (int)enclosing.rank,
               (int)enclosing.world, enclosing.source, (int)(enclosing.rank * options.ranks),
               (int)((enclosing.rank + 1) * options.ranks - 1), (int)(enclosing.world * options.ranks));
    fflush(stdout);
    status = launch_ranks(&options, &code, summary, error);
    if (status != STATUS_OK)
        return status;
    fflush(stdout);
    fprintf(stderr, "llmrun launch: %s\n", summary);
    return code;
}

int command_launch(int argc, char **argv, struct error *error)
{
    struct request request = {.grace = 4};
    const struct command_option options[] = {
        {"n", OPTION_INTEGER, "N", "ranks to start; of a job on several machines, those of this one", "[1, 1024]",
         .required = true, .target = &request.ranks},
        {"log-dir", OPTION_TEXT, "DIR",
         "folder of rank_N.log; default: RUN_DIR/logs, or a temporary one without run.dir", .target = &request.logs},
        {"grace", OPTION_NUMBER, "SECONDS", "after one failed, for the others to end before they are killed; default 4",
         "[0, 86400]", .target = &request.grace},
    };
    const struct usage usage = {"launch", "Starts several ranks of train, eval or generate on this machine",
                                .words = "[--] COMMAND ...", .options = options, .option_count = 3};
    const int own = own_words(argc, argv, options, 3);
    struct arguments arguments;
    char *separated = own < argc ? argv[own] : NULL;
    int status;

    request.rest = argv + own + (separated != NULL && strcmp(separated, "--") == 0);
    status = options_parse(&usage, own, argv, &arguments, error);
    if (status == STATUS_OK && !arguments.done) {
        status = read_config(&request, error);
        if (request.logs != NULL)
            snprintf(request.log_folder, sizeof request.log_folder, "%s", request.logs);
        else if (request.run_folder[0] != '\0')
            snprintf(request.log_folder, sizeof request.log_folder, "%s/logs", request.run_folder);
        if (status == STATUS_OK)
            status = start(&request, error);
    }
    arguments_finish(&arguments);
    return status;
}
