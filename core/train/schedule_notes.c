#include "train/schedule_notes.h"

#include "base/log.h"

static void note_warmup(const struct learning_rate *schedule)
{
    if (schedule->warmup <= schedule->steps)
        return;
    log_line(LOG_WARNING,
             "optim.warmup is %lld and train.steps %lld: the learning rate never reaches optim.lr %g, only %.3g; "
             "set optim.warmup below train.steps",
             (long long)schedule->warmup, (long long)schedule->steps, schedule->peak,
             learning_rate_at(schedule, schedule->steps));
}

/* The first step from which on the rate is 0; beyond the last one where there is none. After the warm-up no rate
 * rises. */
static int64_t first_at_zero(const struct learning_rate *schedule)
{
    int64_t low = schedule->warmup + 1, high = schedule->steps + 1;

    while (low < high) {
        int64_t middle = low + (high - low) / 2;

        if (learning_rate_at(schedule, middle) > 0)
            low = middle + 1;
        else
            high = middle;
    }
    return high;
}

static void note_zero(const struct learning_rate *schedule, const char *name, int64_t done)
{
    int64_t first = first_at_zero(schedule);

    if (schedule->peak <= 0 || first > schedule->steps)
        return;
    if (first <= done)
        first = done + 1;
    if (first == schedule->steps)
        log_line(LOG_INFO,
                 "the learning rate of step %lld, the last one, is 0: it changes no weight; optim.decay %s ends there "
                 "at optim.min_lr",
                 (long long)first, name);
    else
        log_line(LOG_WARNING,
                 "the learning rate is 0 from step %lld to %lld: these steps change no weight; optim.decay %s ends "
                 "there at optim.min_lr",
                 (long long)first, (long long)schedule->steps, name);
}

static void note_extension(const struct learning_rate *schedule, const char *name, int64_t done, int64_t steps_before)
{
    struct learning_rate before = *schedule;
    double now, then;

    before.steps = steps_before;
    if (steps_before == 0 || steps_before == schedule->steps || schedule->peak <= 0 ||
        schedule->decay == DECAY_CONSTANT || (schedule->decay != DECAY_WSD && schedule->decay_steps > 0))
        return;
    now = learning_rate_at(schedule, done + 1);
    then = learning_rate_at(&before, done + 1);
    /* While it warms up nothing is different yet. */
    if (now > then || now < then)
        log_line(LOG_WARNING,
                 "train.steps was %lld when the checkpoint was saved and is %lld now: optim.decay %s ends at another "
                 "step, and the learning rate of step %lld is %.3g instead of %.3g",
                 (long long)steps_before, (long long)schedule->steps, name, (long long)done + 1, now, then);
    else
        log_line(LOG_WARNING,
                 "train.steps was %lld when the checkpoint was saved and is %lld now: optim.decay %s ends at another "
                 "step, and the learning rate of later steps is another one",
                 (long long)steps_before, (long long)schedule->steps, name);
}

void schedule_notes(const struct learning_rate *schedule, const char *name, int64_t done, int64_t steps_before)
{
    if (done >= schedule->steps)
        return;
    note_extension(schedule, name, done, steps_before);
    note_warmup(schedule);
    note_zero(schedule, name, done);
}
