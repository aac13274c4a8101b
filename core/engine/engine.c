#include "engine/engine.h"

#include <stdlib.h>
#include <string.h>

#include "engine/agreement.h"
#include "engine/memory_advice.h"
#include "runtime/constants.h"
#include "runtime/device_compile.h"

/* Another rank is lost: nothing is waited for any more. */
static void abandon(void *context, const struct error *error)
{
    struct engine *engine = context;

    device_abandon(engine->chosen.device, error->status, error->message);
}

#define MOST_OPTIONS 16

/* Nothing to do for a process that is alone. */
static int find_collective(struct engine *engine, const struct config *config, struct error *error)
{
    const char *asked = config->parallel.collective;

    return engine->ranks != NULL
               ? registry_open_collective(&engine->chosen.registry, strcmp(asked, "auto") == 0 ? "host" : asked,
                                          &engine->collective, error)
               : STATUS_OK;
}

static int connect_ranks(struct engine *engine, const struct config *config, struct ranks *ranks, struct error *error)
{
    const struct config_map *given = &config->parallel.collective_options;
    const int64_t timeout_ns = config->parallel.timeout * INT64_C(1000000000);
    struct llmrun_option options[MOST_OPTIONS];
    int status;

    if (ranks == NULL)
        return STATUS_OK;
    if (given->count > MOST_OPTIONS)
        return error_set(error, STATUS_USAGE, "parallel.collective_options has %lld options, at most %d are passed on",
                         (long long)given->count, MOST_OPTIONS);
    for (int64_t i = 0; i < given->count; i++)
        options[i] = (struct llmrun_option){given->pairs[i].name, given->pairs[i].text};
    /* A device may wait for other ranks as long as these are waited for. */
    engine->chosen.device->timeout_ns += timeout_ns;
    status = ranks_connect(ranks, &engine->request.mesh, engine->collective, options, given->count, timeout_ns, error);
    if (status == STATUS_OK)
        ranks_on_failure(ranks, abandon, engine);
    return status;
}

void *engine_input(struct engine *engine, int32_t value, int32_t microbatch)
{
    return value != NO_VALUE ? executor_input(engine->executor, value, microbatch) : engine->spare;
}

/* For the largest of the inputs: four bytes a position. */
static int make_spare(struct engine *engine, struct error *error)
{
    const struct compile_request *request = &engine->request;
    const int64_t steps = request->micro_batch * request->sequence;
    const int64_t evaluations = request->eval_batch * compile_eval_sequence(request);
    const int64_t draws = RANDOM_ROW * (3 * request->model.n_layer + 8),
                  most = steps > evaluations ? steps : evaluations;

    engine->spare = malloc((size_t)(4 * (most > draws ? most : draws)));
    return engine->spare != NULL ? STATUS_OK : error_set(error, STATUS_MEMORY, "no memory for the inputs of a batch");
}

int engine_open(struct engine *engine, const struct file_system *fs, const struct config *config, int64_t vocabulary,
                const struct request_work *work, struct error *error)
{
    int status;

    memset(engine, 0, sizeof *engine);
    engine->ranks = work->ranks;
    status = request_make(fs, config, vocabulary, work, &engine->request, error);
    if (status == STATUS_OK)
        status = chosen_device_open(&engine->chosen, config, error);
    if (status == STATUS_OK)
        status = find_collective(engine, config, error);
    status = ranks_together(work->ranks, status, error);
    if (status == STATUS_OK) {
        engine->request.exact = engine->chosen.exact;
        status = device_compile(engine->chosen.device, &engine->request, &engine->compiled, error);
        if (status == STATUS_OK)
            status = make_spare(engine, error);
        status = ranks_together(work->ranks, status, error);
        if (status == STATUS_OK)
            status = agreement_reach(work->ranks, engine, config, &work->hashes, error);
        if (status == STATUS_OK)
            status = connect_ranks(engine, config, work->ranks, error);
        if (status == STATUS_OK)
            status = executor_create(engine->chosen.device, &engine->compiled, ranks_communication(work->ranks),
                                     &engine->executor, error);
        if (status == STATUS_MEMORY && error != NULL)
            status = memory_advice_add(engine->chosen.device, &engine->request, error);
    }
    if (status != STATUS_OK)
        engine_close(engine);
    return status;
}

void engine_close(struct engine *engine)
{
    ranks_on_failure(engine->ranks, NULL, NULL);
    executor_destroy(engine->executor);
    compiled_finish(&engine->compiled);
    chosen_device_close(&engine->chosen);
    free(engine->spare);
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
                          .tokens = engine_input(engine, values->tokens, microbatch),
                          .targets = engine_input(engine, values->targets, microbatch),
                          .weights = engine_input(engine, values->weights, microbatch),
                          .positions = engine_input(engine, values->positions, microbatch),
                          .segment_starts = engine_input(engine, values->segment_starts, microbatch)};
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
    *(float *)engine_input(engine, io->inverse_tokens, 0) = tokens > 0 ? (float)(1.0 / (double)tokens) : 0;
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
        *(float *)engine_input(engine, io->inverse_tokens, 0) = 1;
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
    row_tokens = engine_input(engine, io->prefill.tokens, 0);
    positions = engine_input(engine, io->prefill.positions, 0);
    for (int64_t i = 0; i < rows; i++) {
        row_tokens[i] = i < count ? tokens[i] : 0;
        positions[i] = (int32_t)(engine->cached + i < last ? engine->cached + i : last);
    }
    *(int32_t *)engine_input(engine, io->prefill_cached, 0) = (int32_t)engine->cached;
    *(int32_t *)engine_input(engine, io->prefill_row, 0) = (int32_t)count - 1;
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
    *(int32_t *)engine_input(engine, io->decode.tokens, 0) = token;
    *(int32_t *)engine_input(engine, io->decode.positions, 0) = (int32_t)engine->cached;
    status = run_written(engine, JOB_DECODE, error);
    if (status != STATUS_OK)
        return status;
    engine->cached++;
    *logits = executor_result(engine->executor, engine->compiled.io.logits);
    return STATUS_OK;
}
