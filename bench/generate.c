/* llmrun bench generate: text from a config's model with random weights, one token at a time. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "bench/samples.h"
#include "bench/step_profile.h"
#include "checkpoint/checkpoint.h"
#include "engine/generate.h"
#include "options.h"

#define LIMIT       0.05 /* share of its time that a clean token may wait for processors */
#define LEAST_KEPT  3    /* tokens, in any case */
#define PROMPT_STEP 7919 /* a prime: prompts of tokens from all over the vocabulary */

struct generate_bench {
    const struct config *config;
    int64_t prompt, tokens;
    bool json, profiled;
    struct engine engine;
    struct step_profile profile;
    struct stopwatch stopwatch;
    struct sample prefill, *samples; /* samples[tokens - 1]: of the tokens after the first */
    int64_t made;
    uint64_t hash; /* of the tokens */
    int status;
    struct error *error;
};

/* The first token comes with the prompt's prefill, each later one after a decode. */
static bool note_token(void *context, int32_t token)
{
    struct generate_bench *bench = context;
    const struct sample sample = stopwatch_stop(&bench->stopwatch);

    bench->hash = (bench->hash ^ (uint64_t)token) * 0x100000001b3u;
    if (bench->made++ == 0)
        bench->prefill = sample;
    else
        bench->samples[bench->made - 2] = sample;
    if (bench->profiled && bench->made > 1)
        bench->status = step_profile_add(&bench->profile, bench->error);
    stopwatch_start(&bench->stopwatch);
    return bench->status == STATUS_OK;
}

static int measure(struct generate_bench *bench, struct error *error)
{
    const struct generate_options options = {.tokens = bench->tokens, .top_p = 1};
    const int64_t vocabulary = bench->engine.request.model.vocab_size;
    int32_t *prompt = malloc((size_t)bench->prompt * sizeof *prompt);
    int status = engine_initialise(&bench->engine, error);

    bench->samples = calloc((size_t)bench->tokens, sizeof *bench->samples);
    if (status == STATUS_OK && (prompt == NULL || bench->samples == NULL))
        status = error_set(error, STATUS_MEMORY, "no memory for %lld samples", (long long)bench->tokens);
    if (status == STATUS_OK) {
        for (int64_t i = 0; i < bench->prompt; i++)
            prompt[i] = (int32_t)(i * PROMPT_STEP % vocabulary);
        if (bench->profiled)
            step_profile_watch(&bench->profile, bench->engine.executor);
        stopwatch_start(&bench->stopwatch);
        status = generate(&bench->engine, prompt, bench->prompt, &options, note_token, bench, error);
    }
    free(prompt);
    return status == STATUS_OK ? bench->status : status;
}

static double total_seconds(const struct generate_bench *bench)
{
    double ns = (double)bench->prefill.wall_ns;

    for (int64_t i = 0; i + 1 < bench->tokens; i++)
        ns += (double)bench->samples[i].wall_ns;
    return ns * 1e-9;
}

/* What a token reads at least: each weight once, in the compute type. */
static double weight_bytes(const struct generate_bench *bench)
{
    const struct compile_request *request = &bench->engine.request;

    return (double)model_parameters(&request->model) * (request->compute_dtype == LLMRUN_BF16 ? 2 : 4);
}

static void print_text(struct generate_bench *bench, double total, const struct samples_summary *summary)
{
    const struct compile_request *request = &bench->engine.request;
    const double token = (double)summary->median_ns * 1e-9;

    printf("%s: %lld tokens after %lld, %s, %s, on %s\n", bench->config->model.preset, (long long)bench->tokens,
           (long long)bench->prompt, request->compute_dtype == LLMRUN_BF16 ? "bf16" : "fp32",
           request->exact ? "exact" : "unordered", bench->engine.chosen.device->info.name);
    printf("prompt     %12.3f ms   and the first token\n", (double)bench->prefill.wall_ns * 1e-6);
    printf("token      %12.3f ms   median of %lld, from %.3f to %.3f; %lld left out that waited longer for a "
           "processor than %g %%\n",
           token * 1e3, (long long)summary->kept, (double)summary->least_ns * 1e-6, (double)summary->most_ns * 1e-6,
           (long long)summary->rejected, LIMIT * 100);
    printf("tokens/s   %12.1f      all of them, the prompt's time included; %.1f by the median\n",
           (double)bench->tokens / total, 1 / token);
    printf("GB/s       %12.1f      each weight once a token\n", weight_bytes(bench) / token * 1e-9);
    printf("peak RSS   %12.1f MiB\n", (double)peak_resident_bytes() / (1 << 20));
    printf("tokens     %016llx      hash\n", (unsigned long long)bench->hash);
    if (bench->profiled) {
        printf("\nmedians over %lld tokens; GB/s counts each operand once\n", (long long)bench->profile.steps);
        step_profile_print(&bench->profile);
    }
}

static void print_json(const struct generate_bench *bench, double total, const struct samples_summary *summary)
{
    const struct compile_request *request = &bench->engine.request;

    printf("{\"bench\":\"generate\",\"model\":\"%s\",\"backend\":\"%s\",\"device\":\"%s\",\"compute\":\"%s\","
           "\"exact\":%s,\"prompt\":%lld,\"tokens\":%lld,\"prompt_ms\":%.6f,\"token_ms\":%.6f,\"least_ms\":%.6f,"
           "\"most_ms\":%.6f,\"kept\":%lld,\"rejected\":%lld,\"tokens_per_s\":%.3f,\"rss_bytes\":%lld,\"hash\":"
           "\"%016llx\",\"profile\":[",
           bench->config->model.preset, bench->engine.chosen.backend->name, bench->engine.chosen.device->info.name,
           request->compute_dtype == LLMRUN_BF16 ? "bf16" : "fp32", request->exact ? "true" : "false",
           (long long)bench->prompt, (long long)bench->tokens, (double)bench->prefill.wall_ns * 1e-6,
           (double)summary->median_ns * 1e-6, (double)summary->least_ns * 1e-6, (double)summary->most_ns * 1e-6,
           (long long)summary->kept, (long long)summary->rejected, (double)bench->tokens / total,
           (long long)peak_resident_bytes(), (unsigned long long)bench->hash);
    step_profile_print_json(&bench->profile);
    printf("]}\n");
}

static int run(void *context, const struct config *config, struct error *error)
{
    struct generate_bench *bench = context;
    const struct request_work work = {.uses = USE_GENERATE, .text = bench->prompt + bench->tokens};
    int status = step_profile_check(&bench->profile, bench->profiled, error);

    bench->config = config;
    bench->error = error;
    if (status == STATUS_OK)
        status = engine_open(&bench->engine, checkpoint_files_anywhere(), config, 0, &work, error);
    if (status == STATUS_OK)
        status = measure(bench, error);
    if (status == STATUS_OK) {
        const double total = total_seconds(bench);
        const struct samples_summary summary = samples_summarise(bench->samples, bench->tokens - 1, LIMIT, LEAST_KEPT);

        step_profile_collect(&bench->profile);
        if (bench->json)
            print_json(bench, total, &summary);
        else
            print_text(bench, total, &summary);
    }
    step_profile_finish(&bench->profile);
    engine_close(&bench->engine);
    free(bench->samples);
    return status;
}

int bench_generate(int argc, char **argv, struct error *error)
{
    struct generate_bench bench = {.prompt = 16, .tokens = 256};
    const struct command_option options[] = {
        {"tokens", OPTION_INTEGER, "N", "tokens to make (256)", "[2, 1000000]", .target = &bench.tokens},
        {"prompt", OPTION_INTEGER, "N", "tokens to go on from (16)", "[1, 1000000]", .target = &bench.prompt},
        {"profile", OPTION_SWITCH, NULL, "also where the time goes, by kind of op", .target = &bench.profiled},
        {"shapes", OPTION_SWITCH, NULL, "in the profile, a row for each shape", .target = &bench.profile.by_shape},
        {"json", OPTION_SWITCH, NULL, "print one JSON object", .target = &bench.json},
    };
    const struct usage usage = {"bench generate",
                                "Speed of text from a config's model, with random weights and the most probable tokens",
                                .takes_config_file = true,
                                .takes_keys = true,
                                .keys_of = CONFIG_COMMAND_BENCH_GENERATE,
                                .options = options,
                                .option_count = sizeof options / sizeof options[0]};

    return options_run(&usage, argc, argv, run, &bench, error);
}
