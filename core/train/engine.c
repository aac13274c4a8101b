#include "train/engine.h"

#include <stdio.h>
#include <string.h>

#include "runtime/constants.h"
#include "train/memory_advice.h"

static int32_t find(const struct engine *engine, const char *prefix, const char *name)
{
    char full[VALUE_FULL_NAME_BYTES];

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
    engine->prefill = find_batch(engine, VALUE_PREFILL_PREFIX);
    engine->decode = find_batch(engine, VALUE_DECODE_PREFIX);
    engine->random = find(engine, "", VALUE_RANDOM);
    engine->inverse_tokens = find(engine, "", VALUE_INVERSE_TOKENS);
    engine->learning_rate = find(engine, "", VALUE_LEARNING_RATE);
    engine->bias_correction = find(engine, "", VALUE_BIAS_CORRECTION);
    engine->losses = find(engine, "", VALUE_LOSSES);
    engine->grad_norm = find(engine, "", VALUE_GRAD_NORM);
    engine->finite = find(engine, "", VALUE_FINITE);
    engine->eval_losses = find(engine, VALUE_EVAL_PREFIX, VALUE_LOSSES);
    engine->prefill_cached = find(engine, VALUE_PREFILL_PREFIX, VALUE_CACHED);
    engine->prefill_row = find(engine, VALUE_PREFILL_PREFIX, VALUE_ROW);
    engine->logits = find(engine, "", VALUE_LOGITS);
}

int engine_open(struct engine *engine, const struct file_system *fs, const struct config *config, int64_t vocabulary,
                const struct request_work *work, struct error *error)
{
    int status;

    memset(engine, 0, sizeof *engine);
    status = request_make(fs, config, vocabulary, work, &engine->request, error);
    if (status == STATUS_OK)
        status = chosen_device_open(&engine->chosen, config, error);
    if (status == STATUS_OK) {
        engine->request.exact = engine->chosen.exact;
        status = executor_create(engine->chosen.device, &engine->request, &engine->executor, error);
        if (status == STATUS_MEMORY && error != NULL)
            status = memory_advice_add(engine->chosen.device, &engine->request, error);
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

static int run_written(struct engine *engine, enum executor_job job, struct error *error)
{
    int status = executor_submit(engine->executor, job, error);

    return status == STATUS_OK ? executor_collect(engine->executor, error) : status;
}

static int run_job(struct engine *engine, enum executor_job job, struct error *error)
{
    int status = executor_begin(engine->executor, error);

    return status == STATUS_OK ? run_written(engine, job, error) : status;
}

/* What the host writes once, and that the run is finite so far. */
static int write_once(struct engine *engine, struct error *error)
{
    const uint32_t one = 1;
    int status = constants_write(engine->executor, &engine->request.model, error);

    if (status != STATUS_OK)
        return status;
    return engine->finite == NO_VALUE ? STATUS_OK : executor_write(engine->executor, engine->finite, &one, error);
}

int engine_initialise(struct engine *engine, struct error *error)
{
    int status = run_job(engine, EXECUTOR_INIT, error);

    return status == STATUS_OK ? write_once(engine, error) : status;
}

int engine_refresh(struct engine *engine, struct error *error)
{
    int status = run_job(engine, EXECUTOR_REFRESH, error);

    return status == STATUS_OK ? write_once(engine, error) : status;
}

struct batch engine_batch(struct engine *engine, const struct engine_values *values, int64_t sequences)
{
    struct batch batch = {.sequences = sequences,
                          .seq_len = values == &engine->eval ? compile_eval_sequence(&engine->request)
                                                             : engine->request.sequence};

    batch.tokens = executor_input(engine->executor, values->tokens);
    batch.positions = executor_input(engine->executor, values->positions);
    batch.segment_starts = executor_input(engine->executor, values->segment_starts);
    if (values->targets != NO_VALUE) {
        batch.targets = executor_input(engine->executor, values->targets);
        batch.weights = executor_input(engine->executor, values->weights);
    }
    return batch;
}

static int ask_stop(const struct engine *engine, const char *work, int64_t done, int64_t all, struct error *error)
{
    if (engine->stop == NULL || !engine->stop(engine->stop_context))
        return STATUS_OK;
    return error_set(error, STATUS_STOPPED, "stopped in %s, after %lld of %lld", work, (long long)done, (long long)all);
}

int engine_evaluate(struct engine *engine, const struct sampler *sampler, double *loss, int64_t *tokens,
                    struct error *error)
{
    const int64_t rows = engine->request.eval_batch, all = sampler_rows(sampler);
    double sum = 0;
    int status = STATUS_OK;

    *tokens = 0;
    for (int64_t first = 0; status == STATUS_OK && first < all; first += rows) {
        struct batch batch;

        status = ask_stop(engine, "the rows of an evaluation", first, all, error);
        if (status == STATUS_OK)
            status = executor_begin(engine->executor, error);
        if (status != STATUS_OK)
            break;
        batch = engine_batch(engine, &engine->eval, rows);
        batch_fill(&batch, sampler, first, rows);
        *(float *)executor_input(engine->executor, engine->inverse_tokens) = 1;
        *tokens += batch_valid_tokens(sampler, first, rows);
        status = run_written(engine, EXECUTOR_EVALUATE, error);
        for (int64_t i = 0; status == STATUS_OK && i < rows; i++)
            sum += ((const double *)executor_result(engine->executor, engine->eval_losses))[i];
    }
    *loss = *tokens > 0 ? sum / (double)*tokens : 0;
    return status;
}

/* Rows behind the `count` tokens are computed and of no use: what they leave in the caches is written over before it is
 * read. */
static int prefill_part(struct engine *engine, const int32_t *tokens, int64_t count, struct error *error)
{
    const int64_t rows = compile_prefill_rows(&engine->request), last = engine->request.sequence - 1;
    int32_t *row_tokens, *positions;
    int status = executor_begin(engine->executor, error);

    if (status != STATUS_OK)
        return status;
    row_tokens = executor_input(engine->executor, engine->prefill.tokens);
    positions = executor_input(engine->executor, engine->prefill.positions);
    for (int64_t i = 0; i < rows; i++) {
        row_tokens[i] = i < count ? tokens[i] : 0;
        positions[i] = (int32_t)(engine->cached + i < last ? engine->cached + i : last);
    }
    *(int32_t *)executor_input(engine->executor, engine->prefill_cached) = (int32_t)engine->cached;
    *(int32_t *)executor_input(engine->executor, engine->prefill_row) = (int32_t)count - 1;
    status = run_written(engine, EXECUTOR_PREFILL, error);
    if (status == STATUS_OK)
        engine->cached += count;
    return status;
}

int engine_prefill(struct engine *engine, const int32_t *tokens, int64_t count, const float **logits,
                   struct error *error)
{
    const int64_t rows = compile_prefill_rows(&engine->request);
    int status = STATUS_OK;

    if (count < 1 || count > engine->request.sequence)
        return error_set(error, STATUS_BUG, "%lld tokens to begin with, 1 to %lld are possible", (long long)count,
                         (long long)engine->request.sequence);
    engine->cached = 0;
    for (int64_t first = 0; status == STATUS_OK && first < count; first += rows) {
        status = ask_stop(engine, "the tokens of a prefill", first, count, error);
        if (status == STATUS_OK)
            status = prefill_part(engine, tokens + first, count - first < rows ? count - first : rows, error);
    }
    if (status == STATUS_OK)
        *logits = executor_result(engine->executor, engine->logits);
    return status;
}

int engine_decode(struct engine *engine, int32_t token, const float **logits, struct error *error)
{
    int status = executor_begin(engine->executor, error);

    if (status != STATUS_OK)
        return status;
    if (engine->cached < 1 || engine->cached >= engine->request.sequence)
        return error_set(error, STATUS_BUG, "a token after %lld, 1 to %lld are possible", (long long)engine->cached,
                         (long long)engine->request.sequence - 1);
    *(int32_t *)executor_input(engine->executor, engine->decode.tokens) = token;
    *(int32_t *)executor_input(engine->executor, engine->decode.positions) = (int32_t)engine->cached;
    status = run_written(engine, EXECUTOR_DECODE, error);
    if (status != STATUS_OK)
        return status;
    engine->cached++;
    *logits = executor_result(engine->executor, engine->logits);
    return STATUS_OK;
}
