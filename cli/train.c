#include <signal.h>
#include <stdio.h>

#include "base/log.h"
#include "command.h"
#include "data/builtin.h"
#include "options.h"
#include "progress.h"

extern char **environ;

static int run(const struct config *config, struct progress *progress, struct error *error)
{
    struct trainer_options options = {.config = config, .fs = &file_system_real, .clock = &clock_system};
    struct trainer *trainer;
    int status =
        ranks_open(environ, config->run.dir, config->parallel.timeout * INT64_C(1000000000), &options.ranks, error);

    if (status != STATUS_OK)
        return status;
    options.builtin = builtin_text(&options.builtin_bytes);
    if (ranks_is_first(options.ranks))
        options.observer = progress_observer(progress);
    status = trainer_create(&options, &trainer, error);
    if (status == STATUS_OK) {
        if (trainer_first_step(trainer) < trainer_steps(trainer))
            status = trainer_run(trainer, error);
        else if (ranks_is_first(options.ranks))
            printf("%s is at step %lld of %lld already: nothing to do\n", trainer_folder(trainer),
                   (long long)trainer_first_step(trainer), (long long)trainer_steps(trainer));
        status = ranks_fail(options.ranks, status, error);
        trainer_destroy(trainer);
    } else {
        status = ranks_fail(options.ranks, status, error);
    }
    ranks_close(options.ranks);
    return status;
}

static int train(void *context, const struct config *config, struct error *error)
{
    struct progress progress;
    int status;

    (void)context;
    /* A reader of the output that goes away is no reason to end a run. */
    signal(SIGPIPE, SIG_IGN);
    progress_init(&progress, stdout, config->log.every);
    progress_catch_log(&progress);
    status = run(config, &progress, error);
    if (status == STATUS_OK)
        status = progress_check(&progress, error);
    progress_end(&progress);
    log_set_sink(NULL, NULL);
    return status;
}

int command_train(int argc, char **argv, struct error *error)
{
    const struct usage usage = {"train", "Trains a model; with no config, the built-in demo", .takes_config_file = true,
                                .takes_keys = true, .keys_of = CONFIG_COMMAND_TRAIN};

    return options_run(&usage, argc, argv, train, NULL, error);
}
