#include "engine/engine.h"

#include <string.h>

#include "engine/memory_advice.h"
#include "runtime/constants.h"
#include "runtime/device_compile.h"

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
        status = device_compile(engine->chosen.device, &engine->request, &engine->compiled, error);
        if (status == STATUS_OK)
            status = executor_create(engine->chosen.device, &engine->compiled, NULL, &engine->executor, error);
        if (status == STATUS_MEMORY && error != NULL)
            status = memory_advice_add(engine->chosen.device, &engine->request, error);
    }
    if (status != STATUS_OK)
        engine_close(engine);
    return status;
}

void engine_close(struct engine *engine)
{
    executor_destroy(engine->executor);
    compiled_finish(&engine->compiled);
    chosen_device_close(&engine->chosen);
    memset(engine, 0, sizeof *engine);
}

static int run_written(struct engine *engine, enum job job, struct error *error)
{
    int status = executor_submit(engine->executor, job, error);

    return status == STATUS_OK ? executor_collect(engine->executor, error) : status;
}

static int run_job(struct engine *engine, enum job job, struct error *error)
{
    int status = executor_begin(engine->executor, error);

    return status == STATUS_OK ? run_written(engine, job, error) : status;
}

/* What the host writes once, and that the run has found no number that is not finite. */
static int write_once(struct engine *engine, struct error *error)
{
    const int32_t found_inf = engine->compiled.io.found_inf;
    const uint32_t none = 0;
    int status = constants_write(engine->executor, &engine->request.model, error);

    if (status != STATUS_OK)
        return status;
    return found_inf == NO_VALUE ? STATUS_OK : executor_write(engine->executor, found_inf, &none, error);
}

int engine_initialise(struct engine *engine, struct error *error)
{
    int status = run_job(engine, JOB_INIT, error);

    return status == STATUS_OK ? write_once(engine, error) : status;
}

int engine_cast_weights(struct engine *engine, struct error *error)
{
    int status = run_job(engine, JOB_CAST_WEIGHTS, error);

    return status == STATUS_OK ? write_once(engine, error) : status;
}

/* The host's memory of a batch. */
static struct batch batch_of(struct engine *engine, const struct batch_values *values, int32_t microbatch,
                             int64_t sequences, int64_t seq_len)
{
    return (struct batch){.sequences = sequences,
                          .seq_len = seq_len,
                          .tokens = executor_input(engine->executor, values->tokens, microbatch),
                          .targets = executor_input(engine->executor, values->targets, microbatch),
                          .weights = executor_input(engine->executor, values->weights, microbatch),
                          .positions = executor_input(engine->executor, values->positions, microbatch),
                          .segment_starts = executor_input(engine->executor, values->segment_starts, microbatch)};
}

struct batch engine_batch(struct engine *engine, int32_t microbatch)
{
    return batch_of(engine, &engine->compiled.io.train, microbatch, engine->request.micro_batch,
                    engine->request.sequence);
}

int64_t engine_first_sequence(const struct engine *engine)
{
    const struct mesh *mesh = &engine->compiled.mesh;

    return engine->request.global_batch / mesh->sizes[MESH_DP] * mesh->index[MESH_DP];
}

int64_t engine_fill_step(struct engine *engine, const struct sampler *sampler, int64_t first)
{
    const struct io_values *io = &engine->compiled.io;
    const int64_t rows = engine->request.global_batch, each = engine->request.micro_batch;
    const int64_t tokens = batch_valid_tokens(sampler, first, rows), mine = first + engine_first_sequence(engine);

    for (int32_t m = 0; m < engine->compiled.microbatches; m++) {
        struct batch batch = engine_batch(engine, m);

        batch_fill(&batch, sampler, mine + m * each, each);
    }
    *(float *)executor_input(engine->executor, io->inverse_tokens, 0) = tokens > 0 ? (float)(1.0 / (double)tokens) : 0;
    return tokens;
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
    const struct io_values *io = &engine->compiled.io;
    const struct mesh *mesh = &engine->compiled.mesh;
    const int64_t rows = engine->request.eval_batch, all = sampler_rows(sampler);
    const int64_t each = rows / mesh->sizes[MESH_DP], mine = each * mesh->index[MESH_DP];
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
        batch = batch_of(engine, &io->evaluate, 0, each, compile_eval_sequence(&engine->request));
        batch_fill(&batch, sampler, first + mine, each);
        *(float *)executor_input(engine->executor, io->inverse_tokens, 0) = 1;
        *tokens += batch_valid_tokens(sampler, first, rows);
        status = run_written(engine, JOB_EVALUATE, error);
        for (int64_t i = 0; status == STATUS_OK && i < rows; i++)
            sum += executor_wide_result(engine->executor, io->evaluate_losses, i);
    }
    *loss = *tokens > 0 ? sum / (double)*tokens : 0;
    return status;
}

/* Rows behind the `count` tokens are computed and of no use: what they leave in the caches is written over before it is
 * read. */
static int prefill_part(struct engine *engine, const int32_t *tokens, int64_t count, struct error *error)
{
    const int64_t rows = compile_prefill_rows(&engine->request), last = engine->request.sequence - 1;
    const struct io_values *io = &engine->compiled.io;
    int32_t *row_tokens, *positions;
    int status = executor_begin(engine->executor, error);

    if (status != STATUS_OK)
        return status;
    row_tokens = executor_input(engine->executor, io->prefill.tokens, 0);
    positions = executor_input(engine->executor, io->prefill.positions, 0);
    for (int64_t i = 0; i < rows; i++) {
        row_tokens[i] = i < count ? tokens[i] : 0;
        positions[i] = (int32_t)(engine->cached + i < last ? engine->cached + i : last);
    }
    *(int32_t *)executor_input(engine->executor, io->prefill_cached, 0) = (int32_t)engine->cached;
    *(int32_t *)executor_input(engine->executor, io->prefill_row, 0) = (int32_t)count - 1;
    status = run_written(engine, JOB_PREFILL, error);
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
        *logits = executor_result(engine->executor, engine->compiled.io.logits);
    return status;
}

int engine_decode(struct engine *engine, int32_t token, const float **logits, struct error *error)
{
    const struct io_values *io = &engine->compiled.io;
    int status = executor_begin(engine->executor, error);

    if (status != STATUS_OK)
        return status;
    if (engine->cached < 1 || engine->cached >= engine->request.sequence)
        return error_set(error, STATUS_BUG, "a token after %lld, 1 to %lld are possible", (long long)engine->cached,
                         (long long)engine->request.sequence - 1);
    *(int32_t *)executor_input(engine->executor, io->decode.tokens, 0) = token;
    *(int32_t *)executor_input(engine->executor, io->decode.positions, 0) = (int32_t)engine->cached;
    status = run_written(engine, JOB_DECODE, error);
    if (status != STATUS_OK)
        return status;
    engine->cached++;
    *logits = executor_result(engine->executor, engine->compiled.io.logits);
    return STATUS_OK;
}
