#include "train/learning_rate.h"

#include <math.h>

/* Share of the way from `from` to `to`, between 0 and 1. */
static double progress(int64_t step, int64_t from, int64_t to)
{
    if (step >= to)
        return 1;
    return step <= from ? 0 : (double)(step - from) / (double)(to - from);
}

double learning_rate_at(const struct learning_rate *schedule, int64_t step)
{
    const double pi = 3.14159265358979323846, peak = schedule->peak, final = schedule->final;
    int64_t end = schedule->decay_steps > 0 ? schedule->decay_steps : schedule->steps, length;

    if (step <= schedule->warmup)
        return peak * (double)step / (double)schedule->warmup;
    switch (schedule->decay) {
    case DECAY_COSINE:
        return final + (peak - final) * (1 + cos(pi * progress(step, schedule->warmup, end))) / 2;
    case DECAY_LINEAR:
        return peak + (final - peak) * progress(step, schedule->warmup, end);
    case DECAY_WSD:
        length = schedule->decay_steps > 0 ? schedule->decay_steps : (schedule->steps + 9) / 10;
        return peak + (final - peak) * progress(step, schedule->steps - length, schedule->steps);
    default:
        return peak;
    }
}

void learning_rate_of_config(const struct config *config, struct learning_rate *schedule)
{
    static const enum learning_rate_decay decays[] = {[CONFIG_DECAY_COSINE] = DECAY_COSINE,
                                                      [CONFIG_DECAY_LINEAR] = DECAY_LINEAR,
                                                      [CONFIG_DECAY_CONSTANT] = DECAY_CONSTANT,
                                                      [CONFIG_DECAY_WSD] = DECAY_WSD};

    *schedule = (struct learning_rate){decays[config->optim.decay], config->optim.lr,    config->optim.min_lr,
                                       config->optim.warmup,        config->train.steps, config->optim.decay_steps};
}
