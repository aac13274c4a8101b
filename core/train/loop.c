#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "compile/values.h"
#include "passes/flops.h"
#include "train/saving.h"
#include "train/stop.h"

static void fill_random(struct trainer *trainer, int64_t step)
{
    struct engine *engine = &trainer->engine;
    const int32_t id = engine->compiled.io.random;

    for (int32_t m = 0; id != NO_VALUE && m < engine->compiled.microbatches; m++)
        values_fill_random(engine_input(engine, id, m), engine->compiled.program.values[id].shape[0],
                           engine->request.seed, step, engine_first_sequence(engine) + m * engine->request.micro_batch);
}

/* For whoever asks which rank trained on what: each sequence of this rank with the first token of its window. */
static void tell_samples(const struct trainer *trainer, int64_t step)
{
    const struct engine *engine = &trainer->engine;
    const int64_t first = (step - 1) * engine->request.global_batch + engine_first_sequence(engine);
    const int64_t count = engine->compiled.microbatches * engine->request.micro_batch;

    for (int64_t sample = first; sample < first + count; sample++)
        log_line(LOG_DEBUG, "step %lld: sample %lld begins at token %lld", (long long)step, (long long)sample,
                 (long long)sampler_window(&trainer->train_sampler, sample).start);
}

static void fill_step(struct trainer *trainer, struct pending_step *pending)
{
    struct engine *engine = &trainer->engine;
    const struct io_values *io = &engine->compiled.io;
    float *correction = engine_input(engine, io->bias_correction, 0);
    const double t = (double)pending->step;

    pending->trained_tokens =
        engine_fill_step(engine, &trainer->train_sampler, (pending->step - 1) * engine->request.global_batch);
    tell_samples(trainer, pending->step);
    fill_random(trainer, pending->step);
    pending->learning_rate = learning_rate_at(&trainer->schedule, pending->step);
    *(float *)engine_input(engine, io->learning_rate, 0) = (float)pending->learning_rate;
    /* From the betas as adamw has them, in fp32: 1 - 0.999f is 13 parts in a million off 0.001. */
    correction[0] = (float)(1 - pow((float)trainer->config->optim.beta1, t));
    correction[1] = (float)sqrt(1 - pow((float)trainer->config->optim.beta2, t));
}

static float step_loss(const struct trainer *trainer, int64_t tokens)
{
    const struct engine *engine = &trainer->engine;
    double sum = 0;

    for (int64_t i = 0; i < trainer->engine.request.global_batch; i++)
        sum += executor_wide_result(engine->executor, engine->compiled.io.losses, i);
    return tokens > 0 ? (float)(sum / (double)tokens) : 0;
}

static void say_no_targets(struct trainer *trainer, int64_t step)
{
    if (!trainer->said_no_targets)
        log_line(LOG_WARNING,
                 "step %lld has no token to learn from: every target of its %lld sequences is masked or padding, and "
                 "its loss counts as 0; a larger data.seq_len or train.global_batch brings some into each step",
                 (long long)step, (long long)trainer->engine.request.global_batch);
    trainer->said_no_targets = true;
}

static void say_no_valid_targets(struct trainer *trainer)
{
    if (!trainer->said_no_valid_targets)
        log_line(LOG_WARNING, "the evaluation has no token to predict: every target of the validation data is masked; "
                              "its loss is unknown");
    trainer->said_no_valid_targets = true;
}

static struct step_metrics measure_step(struct trainer *trainer, const struct pending_step *pending)
{
    const struct engine *engine = &trainer->engine;
    const struct llmrun_device_info *device = &engine->chosen.device->info;
    const double peak = engine->request.compute_dtype == LLMRUN_BF16 ? device->flops_bf16 : device->flops_f32,
                 seconds = (double)step_clock_read(&trainer->step_clock) * 1e-9;
    struct step_metrics step = {.step = pending->step,
                                .learning_rate = pending->learning_rate,
                                .loss = step_loss(trainer, pending->trained_tokens),
                                .grad_norm =
                                    *(const float *)executor_result(engine->executor, engine->compiled.io.grad_norm),
                                .tokens = trainer->state.tokens + pending->trained_tokens,
                                .step_tokens = engine->request.global_batch * engine->request.sequence,
                                .trained_tokens = pending->trained_tokens,
                                .step_ms = seconds * 1e3,
                                .mfu = -1,
                                .mem_bytes = executor_compiled(engine->executor)->plan.total_bytes};

    if (seconds > 0) {
        step.tokens_per_s = (double)step.step_tokens / seconds;
        step.trained_tokens_per_s = (double)step.trained_tokens / seconds;
        step.mfu = peak > 0 ? trainer->step_flops / seconds / peak : -1;
    }
    return step;
}

/* Takes the results of the oldest submitted step. */
static int collect_step(struct trainer *trainer, struct error *error)
{
    const struct pending_step *pending = &trainer->pending[(trainer->state.step + 1) % 2];
    int status = executor_collect(trainer->engine.executor, error);
    struct step_metrics step;

    if (status != STATUS_OK)
        return status;
    step = measure_step(trainer, pending);
    metrics_step(&trainer->metrics, &step);
    if (step.trained_tokens == 0)
        say_no_targets(trainer, step.step);
    trainer->broken =
        *(const uint32_t *)executor_result(trainer->engine.executor, trainer->engine.compiled.io.found_inf) != 0;
    if (trainer->broken) {
        ranks_all_know(trainer->options.ranks); /* the number is that of all ranks */
        return error_set(error, STATUS_NONFINITE, "step %lld: loss %g, gradient norm %g are not finite",
                         (long long)step.step, (double)step.loss, (double)step.grad_norm);
    }
    trainer->state.step = step.step;
    trainer->state.tokens = step.tokens;
    if (trainer->options.observer.step != NULL)
        trainer->options.observer.step(trainer->options.observer.context, trainer, &step);
    return STATUS_OK;
}

static int collect_all(struct trainer *trainer, struct error *error)
{
    int status = STATUS_OK;

    while (status == STATUS_OK && executor_pending(trainer->engine.executor) > 0)
        status = collect_step(trainer, error);
    return status;
}

/* The step before this one is collected as soon as the device has something to go on with: its line tells when it
 * ended, and enqueueing a whole step may block for most of one. */
static int submit_step(struct trainer *trainer, int64_t step, struct error *error)
{
    struct executor *executor = trainer->engine.executor;
    struct pending_step *pending = &trainer->pending[step % 2];
    int status = executor_begin(executor, error);

    if (status != STATUS_OK)
        return status;
    pending->step = step;
    executor_name_step(executor, step);
    fill_step(trainer, pending);
    status = executor_submit_first(executor, JOB_STEP, error);
    if (status == STATUS_OK)
        status = collect_all(trainer, error);
    if (status == STATUS_OK)
        status = executor_submit_rest(executor, JOB_STEP, error);
    return status == STATUS_OK ? step_clock_end(&trainer->step_clock, error) : status;
}

static int evaluate(struct trainer *trainer, struct error *error)
{
    int64_t tokens, start = now_ns(trainer);
    double loss;
    int status = engine_evaluate(&trainer->engine, &trainer->valid_sampler, &loss, &tokens, error);

    if (status == STATUS_STOPPED) /* its numbers are lost; the weights are saved where the steps end */
        return STATUS_OK;
    if (status != STATUS_OK)
        return status;
    if (tokens == 0) {
        loss = NAN;
        say_no_valid_targets(trainer);
    }
    metrics_evaluation(&trainer->metrics, trainer->state.step, loss, tokens, (double)(now_ns(trainer) - start) * 1e-6);
    if (trainer->options.observer.evaluated != NULL)
        trainer->options.observer.evaluated(trainer->options.observer.context, trainer, trainer->state.step, loss,
                                            exp(loss));
    return STATUS_OK;
}

static bool due(int64_t step, int64_t every, int64_t last)
{
    return step == last || (every > 0 && step % every == 0);
}

enum stop_reason { STOP_NOT, STOP_REQUESTED, STOP_TIME_LIMIT };

static const char *reason_name(int32_t reason)
{
    return reason == STOP_REQUESTED ? "requested" : reason == STOP_TIME_LIMIT ? "time_limit" : NULL;
}

/* What rank 0 tells the others before each step, so that all do the same after it. */
struct notice {
    int32_t reason;
    int32_t save_done;
};

/* Sets trainer->stop_reason where the run should end before this step is submitted, as rank 0 sees it. One step at
 * least is done, or a job that is started again and again would get nowhere. */
static int hear_notice(struct trainer *trainer, int64_t step, struct error *error)
{
    const bool asked = stop_before(step), late = time_limit_reached(&trainer->limit, now_ns(trainer));
    struct notice notice = {.reason = step == trainer->first_step + 1 ? STOP_NOT
                                      : asked                         ? STOP_REQUESTED
                                      : late                          ? STOP_TIME_LIMIT
                                                                      : STOP_NOT,
                            .save_done = saving_is_done(trainer)};
    int status = ranks_share(trainer->options.ranks, &notice, sizeof notice, error);

    if (status == STATUS_OK) {
        trainer->stop_reason = reason_name(notice.reason);
        trainer->save_done = notice.save_done != 0;
    }
    return status;
}

/* All steps are collected. */
static int stop(struct trainer *trainer, struct error *error)
{
    const char *asked = trainer->stop_reason == reason_name(STOP_TIME_LIMIT) ? "train.time_limit" : stop_requested();
    int status = saving_start(trainer, error);

    if (status == STATUS_OK)
        status = saving_end(trainer, error);
    if (status != STATUS_OK)
        return status;
    stop_done();
    return error_set(error, STATUS_STOPPED, "stopped by %s after step %lld; the checkpoint is saved",
                     asked != NULL ? asked : "a request to rank 0", (long long)trainer->state.step);
}

/* A step whose numbers are not finite leaves the weights of the one before it, whatever was submitted behind it. They
 * are kept where the run got that far. */
static int keep_last_good(struct trainer *trainer, struct error *error)
{
    const long long step = (long long)trainer->state.step;
    struct error problem = {0};
    char what[sizeof error->message];
    int status;

    snprintf(what, sizeof what, "%s", error->message);
    if (trainer->state.step == trainer->first_step)
        return error_set(error, STATUS_NONFINITE, "%s; the weights are those that the run began with", what);
    status = saving_start(trainer, &problem);
    if (status == STATUS_OK)
        status = saving_end(trainer, &problem);
    if (status == STATUS_OK)
        return error_set(error, STATUS_NONFINITE, "%s; the weights are those of step %lld, saved in %s/step_%08lld",
                         what, step, trainer->saver.folder, step);
    return error_set(error, STATUS_NONFINITE, "%s; the weights are those of step %lld, and could not be saved: %s",
                     what, step, problem.message);
}

/* What comes between this step, which was submitted, and the next one. */
static int settle(struct trainer *trainer, int64_t step, struct error *error)
{
    const struct config *config = trainer->config;
    const bool evaluates = trainer->has_valid && due(step, config->train.eval_every, config->train.steps),
               saves = due(step, config->checkpoint.every, config->train.steps);
    int status = trainer->save_done ? saving_report(trainer, error) : STATUS_OK;

    if (status != STATUS_OK || (!evaluates && !saves))
        return status;
    status = collect_all(trainer, error);
    if (status == STATUS_OK && evaluates)
        status = evaluate(trainer, error);
    if (status == STATUS_OK && saves)
        status = saving_start(trainer, error);
    return status == STATUS_OK ? step_clock_start(&trainer->step_clock, error) : status;
}

static int run_steps(struct trainer *trainer, struct error *error)
{
    int status = STATUS_OK;

    for (int64_t step = trainer->state.step + 1;
         status == STATUS_OK && trainer->stop_reason == NULL && step <= trainer->config->train.steps; step++) {
        status = hear_notice(trainer, step, error);
        if (status == STATUS_OK && trainer->stop_reason == NULL)
            status = submit_step(trainer, step, error);
        if (status == STATUS_OK && trainer->stop_reason == NULL)
            status = settle(trainer, step, error);
    }
    if (status == STATUS_OK)
        status = collect_all(trainer, error);
    if (status == STATUS_OK)
        return trainer->stop_reason != NULL ? stop(trainer, error) : saving_end(trainer, error);
    return trainer->broken ? keep_last_good(trainer, error) : status;
}

/* Asked in an evaluation, which is given up for what ends a run too. */
static bool ends_evaluation(void *context)
{
    struct trainer *trainer = context;
    int32_t reason = stop_asked()                                           ? STOP_REQUESTED
                     : time_limit_reached(&trainer->limit, now_ns(trainer)) ? STOP_TIME_LIMIT
                                                                            : STOP_NOT;
    struct error ignored;

    /* Where the others cannot be asked, the evaluation finds it out too. */
    if (ranks_share(trainer->options.ranks, &reason, sizeof reason, &ignored) == STATUS_OK)
        trainer->stop_reason = reason_name(reason);
    return trainer->stop_reason != NULL;
}

int loop_run(struct trainer *trainer, struct error *error)
{
    const struct program *program = &executor_compiled(trainer->engine.executor)->program;
    int status;

    trainer->step_flops = executor_compiled(trainer->engine.executor)->microbatches * program_step_flops(program, true);
    time_limit_start(&trainer->limit, trainer->created_ns, trainer->config->train.time_limit,
                     trainer->saver.list.bytes);
    trainer->engine.stop = ends_evaluation;
    trainer->engine.stop_context = trainer;
    status =
        step_clock_open(&trainer->step_clock, executor_stream(trainer->engine.executor), trainer->options.clock, error);
    if (status == STATUS_OK)
        status = step_clock_start(&trainer->step_clock, error);
    if (status == STATUS_OK)
        status = run_steps(trainer, error);
    step_clock_close(&trainer->step_clock);
    return status;
}
