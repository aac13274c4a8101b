#include <signal.h>
#include <stdio.h>

#include "command.h"
#include "data/builtin.h"
#include "options.h"
#include "progress.h"
#include "rank_log.h"

extern char **environ;

static int run(const struct config *config, struct progress *progress, struct rank_log *log, struct error *error)
{
    struct trainer_options options = {.config = config, .fs = &file_system_real, .clock = &clock_system};
    struct trainer *trainer;
    int status =
        ranks_open(environ, config->run.dir, config->parallel.timeout * INT64_C(1000000000), &options.ranks, error);

    if (status != STATUS_OK)
        return status;
    rank_log_begin(log, options.ranks);
    options.builtin = builtin_text(&options.builtin_bytes);
    if (ranks_is_first(options.ranks))
        options.observer = progress_observer(progress);
    status = trainer_create(&options, &trainer, error);
    if (status == STATUS_OK) {
        rank_log_open(log, trainer_folder(trainer));
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
    struct rank_log log;
    int status;

    (void)context;
    /* A reader of the output that goes away is no reason to end a run. */
    signal(SIGPIPE, SIG_IGN);
    progress_init(&progress, stdout, config->log.every);
    rank_log_init(&log, progress_log, &progress);
    status = run(config, &progress, &log, error);
    if (status == STATUS_OK)
        status = progress_check(&progress, error);
    progress_end(&progress);
    rank_log_finish(&log);
    return status;
}

int command_train(int argc, char **argv, struct error *error)
{
    const struct usage usage = {"train", "Trains a model; with no config, the built-in demo", .takes_config_file = true,
                                .takes_keys = true, .keys_of = CONFIG_COMMAND_TRAIN};

    return options_run(&usage, argc, argv, train, NULL, error);
}
