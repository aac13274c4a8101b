#include "train/saving.h"

#include "base/log.h"

/* The ranks of a job have the same result of a save, but for one that lost the others. */
static int ends(struct trainer *trainer, int status)
{
    if (status != STATUS_PEER)
        ranks_all_know(trainer->options.ranks);
    return status;
}

static int failed(struct trainer *trainer, int64_t step, int status, struct error *error)
{
    if (status != STATUS_STORAGE || trainer->config->train.on_save_error != CONFIG_ON_SAVE_ERROR_CONTINUE)
        return ends(trainer, status);
    trainer->save_error = *error;
    log_line(LOG_WARNING, "the checkpoint of step %lld could not be saved, training goes on: %s", (long long)step,
             error->message);
    metrics_event(&trainer->metrics, "save_error", "\"step\":%lld", (long long)step);
    return STATUS_OK;
}

static int finish(struct trainer *trainer, struct error *error)
{
    int64_t step, save_ns;
    int status = saver_wait(&trainer->saver, &step, error);

    if (status != STATUS_OK)
        return failed(trainer, step, status, error);
    if (step < 0)
        return STATUS_OK;
    save_ns = now_ns(trainer) - trainer->save_started_ns;
    time_limit_saved(&trainer->limit, save_ns);
    trainer->save_error.status = STATUS_OK;
    metrics_event(&trainer->metrics, "checkpoint", "\"step\":%lld,\"save_ms\":%.3f,\"blocked_ms\":%.3f",
                  (long long)step, (double)save_ns * 1e-6, (double)trainer->save_blocked_ns * 1e-6);
    if (trainer->options.observer.saved != NULL)
        trainer->options.observer.saved(trainer->options.observer.context, trainer, step);
    return STATUS_OK;
}

int saving_start(struct trainer *trainer, struct error *error)
{
    const int64_t start = now_ns(trainer);
    int status = finish(trainer, error);

    if (status != STATUS_OK || trainer->saver.last_step == trainer->state.step)
        return status;
    trainer->save_started_ns = now_ns(trainer);
    ranks_note(trainer->options.ranks, trainer->state.step, "a save");
    status = saver_save(&trainer->saver, &trainer->state, error);
    trainer->save_blocked_ns = now_ns(trainer) - start;
    if (status != STATUS_OK)
        return failed(trainer, trainer->state.step, status, error);
    return trainer->saver.async == NULL ? finish(trainer, error) : STATUS_OK;
}

bool saving_is_done(const struct trainer *trainer)
{
    return !saver_busy(&trainer->saver);
}

int saving_report(struct trainer *trainer, struct error *error)
{
    return finish(trainer, error);
}

int saving_end(struct trainer *trainer, struct error *error)
{
    int status = finish(trainer, error);

    if (status == STATUS_OK && trainer->save_error.status != STATUS_OK) {
        *error = trainer->save_error;
        status = ends(trainer, error->status);
    }
    return status;
}
