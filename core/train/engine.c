#include "train/engine.h"

#include <stdio.h>
#include <string.h>

static int32_t find(const struct engine *engine, const char *prefix, const char *name)
{
    char full[VALUE_NAME_BYTES];

    snprintf(full, sizeof full, "%s%s", prefix, name);
    return program_find(&executor_compiled(engine->executor)->program, full);
}

static struct engine_values find_batch(const struct engine *engine, const char *prefix)
{
    return (struct engine_values){find(engine, prefix, VALUE_TOKENS), find(engine, prefix, VALUE_TARGETS),
                                  find(engine, prefix, VALUE_WEIGHTS), find(engine, prefix, VALUE_POSITIONS),
                                  find(engine, prefix, VALUE_SEGMENT_STARTS)};
}

static void find_values(struct engine *engine)
{
    engine->train = find_batch(engine, "");
    engine->eval = find_batch(engine, VALUE_EVAL_PREFIX);
    engine->predict = find_batch(engine, VALUE_PREDICT_PREFIX);
    engine->random = find(engine, "", VALUE_RANDOM);
    engine->inverse_tokens = find(engine, "", VALUE_INVERSE_TOKENS);
    engine->learning_rate = find(engine, "", VALUE_LEARNING_RATE);
    engine->bias_correction = find(engine, "", VALUE_BIAS_CORRECTION);
    engine->losses = find(engine, "", VALUE_LOSSES);
    engine->grad_norm = find(engine, "", VALUE_GRAD_NORM);
    engine->finite = find(engine, "", VALUE_FINITE);
    engine->eval_losses = find(engine, VALUE_EVAL_PREFIX, VALUE_LOSSES);
    engine->predict_row = find(engine, VALUE_PREDICT_PREFIX, "row");
    engine->logits = find(engine, VALUE_PREDICT_PREFIX, "logits");
}

int engine_open(struct engine *engine, const struct config *config, int64_t vocabulary, unsigned uses,
                struct error *error)
{
    int status;

    memset(engine, 0, sizeof *engine);
    status = request_make(config, vocabulary, uses, &engine->request, error);
    if (status == STATUS_OK)
        status = chosen_device_open(&engine->chosen, config, error);
    if (status == STATUS_OK) {
        engine->request.exact = engine->chosen.exact;
        status = executor_create(engine->chosen.device, &engine->request, &engine->executor, error);
    }
    if (status == STATUS_OK)
        find_values(engine);
    else
        engine_close(engine);
    return status;
}

void engine_close(struct engine *engine)
{
    executor_destroy(engine->executor);
    chosen_device_close(&engine->chosen);
    memset(engine, 0, sizeof *engine);
}

static int run_job(struct engine *engine, enum executor_job job, struct error *error)
{
    int status = executor_begin(engine->executor, error);

    if (status == STATUS_OK)
        status = executor_submit(engine->executor, job, error);
    return status == STATUS_OK ? executor_collect(engine->executor, error) : status;
}

static int mark_finite(struct engine *engine, struct error *error)
{
    const uint32_t one = 1;

    return engine->finite == NO_VALUE ? STATUS_OK : executor_write(engine->executor, engine->finite, &one, error);
}

int engine_initialise(struct engine *engine, struct error *error)
{
    int status = run_job(engine, EXECUTOR_INIT, error);

    return status == STATUS_OK ? mark_finite(engine, error) : status;
}

int engine_refresh(struct engine *engine, struct error *error)
{
    int status = run_job(engine, EXECUTOR_REFRESH, error);

    return status == STATUS_OK ? mark_finite(engine, error) : status;
}

struct batch engine_batch(struct engine *engine, const struct engine_values *values, int64_t sequences)
{
    struct batch batch = {.sequences = sequences, .seq_len = engine->request.sequence};

    batch.tokens = executor_input(engine->executor, values->tokens);
    batch.positions = executor_input(engine->executor, values->positions);
    batch.segment_starts = executor_input(engine->executor, values->segment_starts);
    if (values->targets != NO_VALUE) {
        batch.targets = executor_input(engine->executor, values->targets);
        batch.weights = executor_input(engine->executor, values->weights);
    }
    return batch;
}

int engine_evaluate(struct engine *engine, const struct sampler *sampler, double *loss, int64_t *tokens,
                    struct error *error)
{
    const int64_t rows = engine->request.eval_batch;
    double sum = 0;
    int status = STATUS_OK;

    *tokens = 0;
    for (int64_t first = 0; status == STATUS_OK && first < sampler->samples; first += rows) {
        struct batch batch;

        status = executor_begin(engine->executor, error);
        if (status != STATUS_OK)
            break;
        batch = engine_batch(engine, &engine->eval, rows);
        batch_fill(&batch, sampler, first, rows);
        *(float *)executor_input(engine->executor, engine->inverse_tokens) = 1;
        *tokens += batch_valid_tokens(sampler, first, rows);
        status = executor_submit(engine->executor, EXECUTOR_EVALUATE, error);
        if (status == STATUS_OK)
            status = executor_collect(engine->executor, error);
        for (int64_t i = 0; status == STATUS_OK && i < rows; i++)
            sum += ((const double *)executor_result(engine->executor, engine->eval_losses))[i];
    }
    *loss = *tokens > 0 ? sum / (double)*tokens : 0;
    return status;
}

int engine_predict(struct engine *engine, const int32_t *tokens, int64_t count, const float **logits,
                   struct error *error)
{
    const int64_t sequence = engine->request.sequence;
    struct batch batch;
    int status = executor_begin(engine->executor, error);

    if (status != STATUS_OK)
        return status;
    if (count < 1 || count > sequence)
        return error_set(error, STATUS_BUG, "%lld tokens to predict from, 1 to %lld are possible", (long long)count,
                         (long long)sequence);
    batch = engine_batch(engine, &engine->predict, 1);
    for (int64_t i = 0; i < sequence; i++) {
        batch.tokens[i] = i < count ? tokens[i] : 0;
        batch.positions[i] = (int32_t)i;
        batch.segment_starts[i] = 0;
    }
    *(int32_t *)executor_input(engine->executor, engine->predict_row) = (int32_t)count - 1;
    status = executor_submit(engine->executor, EXECUTOR_PREDICT, error);
    if (status == STATUS_OK)
        status = executor_collect(engine->executor, error);
    if (status == STATUS_OK)
        *logits = executor_result(engine->executor, engine->logits);
    return status;
}
