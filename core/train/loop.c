#include <math.h>
#include <string.h>

#include "passes/flops.h"
#include "train/saving.h"
#include "train/stop.h"

static int64_t now_ns(const struct trainer *trainer)
{
    return trainer->options.clock->monotonic_ns(trainer->options.clock);
}

/* The `random` operand of each microbatch; see llmrun/random.h. */
static void fill_random(struct trainer *trainer, int64_t step)
{
    struct engine *engine = &trainer->engine;
    uint32_t *random;

    if (engine->random == NO_VALUE)
        return;
    random = executor_input(engine->executor, engine->random);
    for (int64_t first = 0; first < engine->request.global_batch; first += engine->request.micro_batch, random += 4) {
        random[0] = (uint32_t)engine->request.seed;
        random[1] = (uint32_t)(engine->request.seed >> 32);
        random[2] = (uint32_t)step;
        random[3] = (uint32_t)first;
    }
}

static void fill_step(struct trainer *trainer, struct pending_step *pending)
{
    struct engine *engine = &trainer->engine;
    const int64_t rows = engine->request.global_batch, first = (pending->step - 1) * rows;
    struct batch batch = engine_batch(engine, &engine->train, rows);
    float *correction = executor_input(engine->executor, engine->bias_correction);
    const double t = (double)pending->step;

    batch_fill(&batch, &trainer->train_sampler, first, rows);
    fill_random(trainer, pending->step);
    pending->tokens = batch_valid_tokens(&trainer->train_sampler, first, rows);
    pending->learning_rate = learning_rate_at(&trainer->schedule, pending->step);
    *(float *)executor_input(engine->executor, engine->inverse_tokens) =
        pending->tokens > 0 ? (float)(1.0 / (double)pending->tokens) : 0;
    *(float *)executor_input(engine->executor, engine->learning_rate) = (float)pending->learning_rate;
    /* From the betas as adamw has them, in fp32: 1 - 0.999f is 13 parts in a million off 0.001. */
    correction[0] = (float)(1 - pow((float)trainer->config->optim.beta1, t));
    correction[1] = (float)sqrt(1 - pow((float)trainer->config->optim.beta2, t));
}

static int submit_step(struct trainer *trainer, int64_t step, struct error *error)
{
    struct pending_step *pending = &trainer->pending[step % 2];
    int status = executor_begin(trainer->engine.executor, error);

    if (status != STATUS_OK)
        return status;
    pending->step = step;
    fill_step(trainer, pending);
    return executor_submit(trainer->engine.executor, EXECUTOR_STEP, error);
}

static float step_loss(const struct trainer *trainer, int64_t tokens)
{
    const double *losses = executor_result(trainer->engine.executor, trainer->engine.losses);
    double sum = 0;

    for (int64_t i = 0; i < trainer->engine.request.global_batch; i++)
        sum += losses[i];
    return tokens > 0 ? (float)(sum / (double)tokens) : 0;
}

/* Takes the results of the oldest submitted step. */
static int collect_step(struct trainer *trainer, struct error *error)
{
    const struct executor *executor = trainer->engine.executor;
    const struct pending_step *pending = &trainer->pending[(trainer->state.step + 1) % 2];
    const double peak = trainer->engine.request.compute_dtype == LLMRUN_BF16
                            ? trainer->engine.chosen.device->info.flops_bf16
                            : trainer->engine.chosen.device->info.flops_f32;
    struct step_metrics step = {.step = pending->step, .learning_rate = pending->learning_rate};
    int status = executor_collect(trainer->engine.executor, error);
    int64_t now = now_ns(trainer);
    double seconds = (double)(now - trainer->collected_ns) * 1e-9;

    if (status != STATUS_OK)
        return error_prefix(error, "step %lld", (long long)pending->step);
    trainer->collected_ns = now;
    step.loss = step_loss(trainer, pending->tokens);
    step.grad_norm = *(const float *)executor_result(executor, trainer->engine.grad_norm);
    step.tokens = trainer->state.tokens + pending->tokens;
    step.tokens_per_s = seconds > 0 ? (double)pending->tokens / seconds : 0;
    step.step_ms = seconds * 1e3;
    step.mfu = peak > 0 && seconds > 0 ? trainer->step_flops / seconds / peak : -1;
    step.mem_bytes = executor_compiled(executor)->plan.total_bytes;
    metrics_step(&trainer->metrics, &step);
    if (*(const uint32_t *)executor_result(executor, trainer->engine.finite) == 0)
        return error_set(error, STATUS_NONFINITE,
                         "step %lld: loss %g, gradient norm %g are not finite; the weights are those of step %lld",
                         (long long)step.step, (double)step.loss, (double)step.grad_norm, (long long)step.step - 1);
    trainer->state.step = step.step;
    trainer->state.tokens = step.tokens;
    if (trainer->options.observer.step != NULL)
        trainer->options.observer.step(trainer->options.observer.context, trainer, &step);
    return STATUS_OK;
}

static int evaluate(struct trainer *trainer, struct error *error)
{
    double loss;
    int64_t tokens, start = now_ns(trainer);
    int status = engine_evaluate(&trainer->engine, &trainer->valid_sampler, &loss, &tokens, error);

    if (status != STATUS_OK)
        return status;
    metrics_evaluation(&trainer->metrics, trainer->state.step, loss, tokens);
    if (trainer->options.observer.evaluated != NULL)
        trainer->options.observer.evaluated(trainer->options.observer.context, trainer, trainer->state.step, loss,
                                            exp(loss));
    trainer->collected_ns += now_ns(trainer) - start;
    return STATUS_OK;
}

static bool due(int64_t step, int64_t every, int64_t last)
{
    return step == last || (every > 0 && step % every == 0);
}

/* Why the run should end after this step; NULL: it should not. The last step ends it anyway. */
static const char *reason_to_stop(struct trainer *trainer, int64_t step)
{
    bool late = time_limit_reached(&trainer->limit, now_ns(trainer));

    if (step == trainer->config->train.steps)
        return NULL;
    return stop_requested() != 0 ? "requested" : late ? "time_limit" : NULL;
}

static int stop(struct trainer *trainer, struct error *error)
{
    int status = saving_end(trainer, error);

    if (status != STATUS_OK)
        return status;
    if (stop_requested() != 0)
        return error_set(error, STATUS_STOPPED, "stopped by signal %d after step %lld; the checkpoint is saved",
                         stop_requested(), (long long)trainer->state.step);
    return error_set(error, STATUS_STOPPED, "stopped by train.time_limit after step %lld; the checkpoint is saved",
                     (long long)trainer->state.step);
}

/* After step `step` was submitted: is there something that needs all results? */
static int settle(struct trainer *trainer, int64_t step, struct error *error)
{
    const struct config *config = trainer->config;
    bool evaluates = trainer->has_valid && due(step, config->train.eval_every, config->train.steps);
    bool saves = due(step, config->checkpoint.every, config->train.steps);
    int status = saving_poll(trainer, error);

    trainer->stop_reason = reason_to_stop(trainer, step);
    saves |= trainer->stop_reason != NULL;
    while (status == STATUS_OK && executor_pending(trainer->engine.executor) > (evaluates || saves ? 0 : 1))
        status = collect_step(trainer, error);
    if (status == STATUS_OK && evaluates)
        status = evaluate(trainer, error);
    if (status == STATUS_OK && saves) {
        int64_t start = now_ns(trainer);

        status = saving_start(trainer, error);
        trainer->collected_ns += now_ns(trainer) - start;
    }
    return status == STATUS_OK && trainer->stop_reason != NULL ? stop(trainer, error) : status;
}

int loop_run(struct trainer *trainer, struct error *error)
{
    const struct program *program = &executor_compiled(trainer->engine.executor)->program;
    int status = STATUS_OK;

    trainer->step_flops =
        executor_compiled(trainer->engine.executor)->microbatches *
        (program_flops(program, SECTION_FORWARD, true) + program_flops(program, SECTION_BACKWARD, true));
    time_limit_start(&trainer->limit, trainer->created_ns, trainer->config->train.time_limit,
                     trainer->saver.list.bytes);
    stop_listen();
    trainer->collected_ns = now_ns(trainer);
    for (int64_t step = trainer->state.step + 1; status == STATUS_OK && step <= trainer->config->train.steps; step++) {
        status = submit_step(trainer, step, error);
        if (status == STATUS_OK)
            status = settle(trainer, step, error);
    }
    return status == STATUS_OK ? saving_end(trainer, error) : status;
}
