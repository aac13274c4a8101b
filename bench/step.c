/* llmrun bench step: whole training steps of a config on random tokens. */
#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"
#include "bench/bench.h"
#include "bench/samples.h"
#include "bench/step_profile.h"
#include "checkpoint/checkpoint.h"
#include "compile/values.h"
#include "engine/engine.h"
#include "options.h"
#include "passes/flops.h"

#define WARM_UP     2    /* steps that are not counted */
#define LIMIT       0.05 /* share of its time that a clean step may wait for processors */
#define LEAST_STEPS 3    /* kept in any case */

struct step_bench {
    const struct config *config;
    int64_t repeat;
    int64_t patience; /* so many times as many steps are tried, where many are disturbed */
    bool json, profiled;
    struct engine engine;
    struct step_profile profile;
    struct sample *samples;
    int64_t sample_count, clean, sample_capacity;
    double flops; /* of a step */
    float loss;   /* of the last step, a token */
};

static uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

/* One document a sequence, each token drawn from the whole vocabulary. */
static void fill_batch(struct step_bench *bench, int64_t step)
{
    struct engine *engine = &bench->engine;
    const uint32_t vocabulary = (uint32_t)engine->request.model.vocab_size;
    const int32_t random = engine->compiled.io.random;
    uint64_t state = (uint64_t)step;

    for (int32_t m = 0; m < engine->compiled.microbatches; m++) {
        struct batch batch = engine_batch(engine, m);

        if (random != NO_VALUE)
            values_fill_random(executor_input(engine->executor, random, m),
                               engine->compiled.program.values[random].shape[0], engine->request.seed, step,
                               m * engine->request.micro_batch);

        for (int64_t i = 0; i < batch.sequences * batch.seq_len; i++) {
            batch.tokens[i] = (int32_t)(next_random(&state) % vocabulary);
            batch.targets[i] = (int32_t)(next_random(&state) % vocabulary);
            batch.weights[i] = 1;
            batch.positions[i] = (int32_t)(i % batch.seq_len);
            batch.segment_starts[i] = 0;
        }
    }
}

static void fill_scalars(struct step_bench *bench)
{
    struct engine *engine = &bench->engine;
    const struct io_values *io = &engine->compiled.io;
    float *correction = executor_input(engine->executor, io->bias_correction, 0);

    *(float *)executor_input(engine->executor, io->inverse_tokens, 0) =
        1 / (float)(engine->request.global_batch * engine->request.sequence);
    *(float *)executor_input(engine->executor, io->learning_rate, 0) = (float)bench->config->optim.lr;
    correction[0] = 1;
    correction[1] = 1;
}

static float mean_loss(const struct step_bench *bench)
{
    const struct engine *engine = &bench->engine;
    double sum = 0;

    for (int64_t i = 0; i < engine->request.global_batch; i++)
        sum += executor_wide_result(engine->executor, engine->compiled.io.losses, i);
    return (float)(sum / (double)(engine->request.global_batch * engine->request.sequence));
}

static int run_step(struct step_bench *bench, int64_t step, struct error *error)
{
    int status = executor_begin(bench->engine.executor, error);

    if (status != STATUS_OK)
        return status;
    fill_batch(bench, step);
    fill_scalars(bench);
    status = executor_submit(bench->engine.executor, JOB_STEP, error);
    return status == STATUS_OK ? executor_collect(bench->engine.executor, error) : status;
}

/* Clean steps are; where there was none by the last third, disturbed ones have to do. */
static bool worth_a_profile(const struct step_bench *bench, const struct sample *sample)
{
    return sample_is_clean(sample, LIMIT) ||
           (bench->clean == 0 && bench->sample_count > (bench->patience - 1) * bench->repeat);
}

static int measure_step(struct step_bench *bench, int64_t step, struct error *error)
{
    struct stopwatch stopwatch;
    struct sample sample;
    int status;

    stopwatch_start(&stopwatch);
    status = run_step(bench, step, error);
    sample = stopwatch_stop(&stopwatch);
    if (status != STATUS_OK || step <= WARM_UP)
        return status;
    bench->samples[bench->sample_count++] = sample;
    bench->clean += sample_is_clean(&sample, LIMIT);
    if (!bench->profiled || !worth_a_profile(bench, &sample))
        return STATUS_OK;
    return step_profile_add(&bench->profile, error);
}

static int measure(struct step_bench *bench, struct error *error)
{
    const struct program *program = &executor_compiled(bench->engine.executor)->program;
    int status = engine_initialise(&bench->engine, error);

    bench->flops = executor_compiled(bench->engine.executor)->microbatches * program_step_flops(program, true);
    bench->samples = calloc((size_t)(bench->patience * bench->repeat), sizeof *bench->samples);
    if (status == STATUS_OK && bench->samples == NULL)
        status =
            error_set(error, STATUS_MEMORY, "no memory for %lld samples", (long long)(bench->patience * bench->repeat));
    if (bench->profiled)
        step_profile_watch(&bench->profile, bench->engine.executor);
    for (int64_t step = 1;
         status == STATUS_OK && bench->clean < bench->repeat && bench->sample_count < bench->patience * bench->repeat;
         step++)
        status = measure_step(bench, step, error);
    if (status == STATUS_OK)
        bench->loss = mean_loss(bench);
    return status;
}

static double peak_flops(const struct step_bench *bench)
{
    const struct llmrun_device_info *info = &bench->engine.chosen.device->info;

    return bench->engine.request.compute_dtype == LLMRUN_BF16 ? info->flops_bf16 : info->flops_f32;
}

static void print_text(struct step_bench *bench, const struct samples_summary *summary)
{
    const struct compile_request *request = &bench->engine.request;
    const double seconds = (double)summary->median_ns * 1e-9, peak = peak_flops(bench);

    printf("%s: %lld sequences of %lld tokens, %s, %s, on %s\n", bench->config->model.preset,
           (long long)request->global_batch, (long long)request->sequence,
           request->compute_dtype == LLMRUN_BF16 ? "bf16" : "fp32", request->exact ? "exact" : "unordered",
           bench->engine.chosen.device->info.name);
    printf("step       %12.3f ms   median of %lld, from %.3f to %.3f; threads waited for a processor up to %.1f %% of "
           "it\n",
           seconds * 1e3, (long long)summary->kept, (double)summary->least_ns * 1e-6, (double)summary->most_ns * 1e-6,
           summary->waited * 100);
    printf("rejected   %12lld steps  that waited longer than %g %%\n", (long long)summary->rejected, LIMIT * 100);
    printf("tokens/s   %12.1f\n", (double)(request->global_batch * request->sequence) / seconds);
    printf("GFLOP/s    %12.1f      ", bench->flops / seconds * 1e-9);
    if (peak > 0)
        printf("%.1f %% of %.0f; ", bench->flops / seconds / peak * 100, peak * 1e-9);
    printf("%.6g a step: 2 for each multiply-add of the matrix products and of attention's causal half\n",
           bench->flops);
    printf("peak RSS   %12.1f MiB  page faults of one step: %lld\n", (double)peak_resident_bytes() / (1 << 20),
           (long long)summary->faults);
    printf("loss       %12.6f\n", (double)bench->loss);
    if (bench->profiled) {
        printf("\nmedians over %lld %s; GB/s counts each operand once\n", (long long)bench->profile.steps,
               bench->clean > 0 ? "undisturbed steps" : "steps, all of them disturbed");
        step_profile_print(&bench->profile);
    }
}

static void print_json(const struct step_bench *bench, const struct samples_summary *summary)
{
    const struct compile_request *request = &bench->engine.request;
    const double seconds = (double)summary->median_ns * 1e-9;

    printf("{\"bench\":\"step\",\"model\":\"%s\",\"backend\":\"%s\",\"device\":\"%s\",\"compute\":\"%s\",\"exact\":%s,"
           "\"global_batch\":%lld,\"seq_len\":%lld,",
           bench->config->model.preset, bench->engine.chosen.backend->name, bench->engine.chosen.device->info.name,
           request->compute_dtype == LLMRUN_BF16 ? "bf16" : "fp32", request->exact ? "true" : "false",
           (long long)request->global_batch, (long long)request->sequence);
    printf("\"step_ms\":%.6f,\"least_ms\":%.6f,\"most_ms\":%.6f,\"kept\":%lld,\"rejected\":%lld,\"waited\":%.4f,"
           "\"tokens_per_s\":%.3f,\"flops\":%.0f,\"peak_flops_per_s\":%.0f,\"rss_bytes\":%lld,\"page_faults\":%lld,"
           "\"loss\":%.9g,\"samples\":[",
           seconds * 1e3, (double)summary->least_ns * 1e-6, (double)summary->most_ns * 1e-6, (long long)summary->kept,
           (long long)summary->rejected, summary->waited, (double)(request->global_batch * request->sequence) / seconds,
           bench->flops, peak_flops(bench), (long long)peak_resident_bytes(), (long long)summary->faults,
           (double)bench->loss);
    for (int64_t i = 0; i < bench->sample_count; i++)
        printf("%s{\"ms\":%.6f,\"waited_ms\":%.6f}", i > 0 ? "," : "", (double)bench->samples[i].wall_ns * 1e-6,
               (double)bench->samples[i].waited_ns * 1e-6);
    printf("],\"profile\":[");
    step_profile_print_json(&bench->profile);
    printf("]}\n");
}

static int run(void *context, const struct config *config, struct error *error)
{
    struct step_bench *bench = context;
    int status = step_profile_check(&bench->profile, bench->profiled, error);

    bench->config = config;
    if (status == STATUS_OK)
        status = engine_open(&bench->engine, checkpoint_files_anywhere(), config, 0,
                             &(struct request_work){.uses = USE_TRAIN}, error);
    if (status == STATUS_OK)
        status = measure(bench, error);
    if (status == STATUS_OK) {
        struct samples_summary summary = samples_summarise(bench->samples, bench->sample_count, LIMIT, LEAST_STEPS);

        step_profile_collect(&bench->profile);
        if (bench->json)
            print_json(bench, &summary);
        else
            print_text(bench, &summary);
    }
    step_profile_finish(&bench->profile);
    engine_close(&bench->engine);
    free(bench->samples);
    return status;
}

int bench_step(int argc, char **argv, struct error *error)
{
    struct step_bench bench = {.repeat = 10, .patience = 3};
    const struct command_option options[] = {
        {"repeat", OPTION_INTEGER, "N", "undisturbed steps to measure (10)", "[1, 10000]", .target = &bench.repeat},
        {"patience", OPTION_INTEGER, "P", "at most P N steps are tried for them (3)", "[1, 100]",
         .target = &bench.patience},
        {"profile", OPTION_SWITCH, NULL, "also where the time goes, by kind of op", .target = &bench.profiled},
        {"shapes", OPTION_SWITCH, NULL, "in the profile, a row for each shape", .target = &bench.profile.by_shape},
        {"json", OPTION_SWITCH, NULL, "print one JSON object", .target = &bench.json},
    };
    const struct usage usage = {"bench step",
                                "Speed of whole training steps of a config, on random tokens",
                                .takes_config_file = true,
                                .takes_keys = true,
                                .keys_of = CONFIG_COMMAND_BENCH_STEP,
                                .options = options,
                                .option_count = sizeof options / sizeof options[0]};

    return options_run(&usage, argc, argv, run, &bench, error);
}
