/* llmrun bench gemm: the matrix products of a model's linear layers, each in the exact order and in the device's own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/bench.h"
#include "bench/product.h"
#include "bench/samples.h"
#include "engine/chosen_device.h"
#include "engine/request.h"
#include "model/family.h"
#include "options.h"

#define LIMIT         0.02 /* share of its time that a clean sample may wait for processors */
#define LEAST_SAMPLES 3
#define PATIENCE      3       /* times as many samples as were asked for are taken, where many are disturbed */
#define PAUSE_NS      4000000 /* until the threads of one library have stopped spinning for work */
#define MOST_LAYERS   8       /* shapes */

static const uint32_t dtypes[] = {LLMRUN_F32, LLMRUN_BF16};

#define DTYPES (int)(sizeof dtypes / sizeof dtypes[0])

/* A linear layer and how often a step has it. */
struct layer {
    char name[48];
    int64_t outputs, inputs, count;
};

struct result {
    struct product product;
    const struct layer *layer;
    struct samples_summary orders[PRODUCT_ORDERS];
    char kernels[PRODUCT_ORDERS][64];
    int unequal; /* of the sampled elements, against the reference; -1: not compared */
};

struct gemm_bench {
    const struct config *config;
    const char *model;
    int64_t rows, repeat;
    bool json;
    struct chosen_device chosen, reference;
    bool has_reference;
    struct layer layers[MOST_LAYERS];
    int layer_count;
    struct result results[MOST_LAYERS * PRODUCT_KINDS * DTYPES];
    int result_count;
    struct sample *samples[PRODUCT_ORDERS];
};

/* One undisturbed launch behind one that fetches the code and wakes the threads. */
static int take_sample(struct product_run *run, enum product_order order, struct sample *sample, struct error *error)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    struct stopwatch stopwatch;
    int64_t ns;
    int status;

    nanosleep(&pause, NULL);
    status = product_launch(run, order, &ns, error);
    if (status != STATUS_OK)
        return status;
    stopwatch_start(&stopwatch);
    status = product_launch(run, order, &ns, error);
    *sample = stopwatch_stop(&stopwatch);
    sample->wall_ns = ns;
    return status;
}

/* The orders take turns, so that what changes on the machine meets both. */
static int time_orders(struct gemm_bench *bench, struct product_run *run, struct result *result, struct error *error)
{
    int64_t count = 0, clean[PRODUCT_ORDERS] = {0};
    int status = STATUS_OK;

    while (status == STATUS_OK && count < PATIENCE * bench->repeat &&
           (clean[PRODUCT_EXACT] < bench->repeat || clean[PRODUCT_FREE] < bench->repeat)) {
        for (int i = 0; status == STATUS_OK && i < PRODUCT_ORDERS; i++) {
            enum product_order order = (enum product_order)((i + count) % PRODUCT_ORDERS);
            struct sample *sample = &bench->samples[order][count];

            status = take_sample(run, order, sample, error);
            clean[order] += status == STATUS_OK && sample_is_clean(sample, LIMIT);
        }
        count++;
    }
    for (int i = 0; status == STATUS_OK && i < PRODUCT_ORDERS; i++)
        result->orders[i] = samples_summarise(bench->samples[i], count, LIMIT, LEAST_SAMPLES);
    return status;
}

/* The reference computes the same elements from the same rows and columns alone. */
static int compare(struct gemm_bench *bench, struct product_run *run, struct result *result, struct error *error)
{
    const struct product_choice choice = product_choose(&run->product, (uint32_t)bench->result_count);
    uint32_t found[PRODUCT_SAMPLES][PRODUCT_SAMPLES], wanted[PRODUCT_SAMPLES][PRODUCT_SAMPLES];
    struct product_run small;
    int status = product_open(&small, bench->reference.device, &run->product, &choice, true, error);

    if (status != STATUS_OK)
        return status;
    status = product_sample(&small, PRODUCT_EXACT, &choice, true, wanted, error);
    product_close(&small);
    if (status == STATUS_OK)
        status = product_sample(run, PRODUCT_EXACT, &choice, false, found, error);
    result->unequal = 0;
    for (int i = 0; status == STATUS_OK && i < PRODUCT_SAMPLES * PRODUCT_SAMPLES; i++)
        result->unequal +=
            found[i / PRODUCT_SAMPLES][i % PRODUCT_SAMPLES] != wanted[i / PRODUCT_SAMPLES][i % PRODUCT_SAMPLES];
    return status;
}

static int measure_product(struct gemm_bench *bench, const struct layer *layer, enum product_kind kind, uint32_t dtype,
                           struct error *error)
{
    struct result *result = &bench->results[bench->result_count];
    struct product_run run;
    int status;

    *result = (struct result){
        .product = {kind, dtype, bench->rows, layer->outputs, layer->inputs}, .layer = layer, .unequal = -1};
    status = product_open(&run, bench->chosen.device, &result->product, NULL, false, error);
    if (status != STATUS_OK)
        return status;
    for (int i = 0; i < PRODUCT_ORDERS; i++)
        device_kernel_name(&run.kernels[i], result->kernels[i], sizeof result->kernels[i]);
    if (bench->has_reference)
        status = compare(bench, &run, result, error);
    if (status == STATUS_OK)
        status = time_orders(bench, &run, result, error);
    product_close(&run);
    bench->result_count += status == STATUS_OK;
    return status;
}

/* Products of one shape are one row. STATUS_BUG where there are more shapes than rows. */
static int add_layer(struct gemm_bench *bench, const char *name, int64_t outputs, int64_t inputs, int64_t count,
                     struct error *error)
{
    struct layer *layer = bench->layers;

    while (layer < bench->layers + bench->layer_count && (layer->outputs != outputs || layer->inputs != inputs))
        layer++;
    if (layer < bench->layers + bench->layer_count) {
        layer->count += count;
        return STATUS_OK;
    }
    if (bench->layer_count == MOST_LAYERS)
        return error_set(error, STATUS_BUG, "a layer has more than %d shapes of products, at %s", MOST_LAYERS, name);
    *layer = (struct layer){.outputs = outputs, .inputs = inputs, .count = count};
    snprintf(layer->name, sizeof layer->name, "%s", name);
    bench->layer_count++;
    return STATUS_OK;
}

/* The matrices of a layer of a preset's model, named as its parameters are, and the head as it is stored, with padding.
 */
static int list_layers(struct gemm_bench *bench, const char *preset, struct error *error)
{
    struct model_config model;
    struct program program;
    struct builder builder;
    int status = model_preset(preset, &model, error);
    char first[64];
    int64_t layers;

    if (status != STATUS_OK)
        return status;
    layers = model.n_layer;
    model.n_layer = 1;
    snprintf(first, sizeof first, "%s0.", model.family->layers);
    program_init(&program);
    builder_init(&builder, &program, error);
    builder_section(&builder, SECTION_INIT);
    model_build_init(&builder, &model, 0);
    status = builder.status;
    for (int64_t i = 0; status == STATUS_OK && i < program.value_count; i++) {
        const struct value *value = &program.values[i];

        if (value->rank == 2 && strncmp(value->name, first, strlen(first)) == 0)
            status = add_layer(bench, value->name + strlen(first), value->shape[0], value->shape[1], layers, error);
    }
    program_finish(&program);
    return status == STATUS_OK ? add_layer(bench, "head", model_padded_vocabulary(&model), model.n_embd, 1, error)
                               : status;
}

static double gflops(const struct result *result, enum product_order order)
{
    return product_flops(&result->product) / (double)result->orders[order].median_ns;
}

static double ratio(const struct result *result)
{
    return gflops(result, PRODUCT_EXACT) / gflops(result, PRODUCT_FREE);
}

static const char *dtype_name(uint32_t dtype)
{
    return dtype == LLMRUN_BF16 ? "bf16" : "fp32";
}

static void print_row(const struct result *result)
{
    const struct samples_summary *exact = &result->orders[PRODUCT_EXACT], *unordered = &result->orders[PRODUCT_FREE];
    double waited = exact->waited > unordered->waited ? exact->waited : unordered->waited;

    printf("%-10s %-8s %3lld x %6lld x %-5lld %9.1f %9.1f %7.3f %5lld %5lld %6.1f  ", result->layer->name,
           product_kind_name(result->product.kind), (long long)result->layer->count, (long long)result->layer->outputs,
           (long long)result->layer->inputs, gflops(result, PRODUCT_EXACT), gflops(result, PRODUCT_FREE), ratio(result),
           (long long)exact->kept, (long long)unordered->kept, waited * 100);
    if (result->unequal == 0)
        puts("equal");
    else if (result->unequal > 0)
        printf("%d of %d differ\n", result->unequal, PRODUCT_SAMPLES * PRODUCT_SAMPLES);
    else
        puts("not compared");
}

/* What a step spends on products of a type, in ms. */
static double step_ms(const struct gemm_bench *bench, uint32_t dtype, enum product_order order)
{
    double ms = 0;

    for (int i = 0; i < bench->result_count; i++)
        if (bench->results[i].product.dtype == dtype)
            ms += (double)bench->results[i].layer->count * (double)bench->results[i].orders[order].median_ns * 1e-6;
    return ms;
}

/* A library takes all products of a type or none of them. */
static void print_kernels(const struct gemm_bench *bench, uint32_t dtype)
{
    const struct result *first = &bench->results[0];

    while (first->product.dtype != dtype)
        first++;
    if (strcmp(first->kernels[PRODUCT_EXACT], first->kernels[PRODUCT_FREE]) == 0)
        printf("both are '%s': no library here is faster\n", first->kernels[PRODUCT_EXACT]);
    else
        printf("kernels: exact '%s', unordered '%s'\n", first->kernels[PRODUCT_EXACT], first->kernels[PRODUCT_FREE]);
}

static void print_dtype(const struct gemm_bench *bench, uint32_t dtype)
{
    const double exact = step_ms(bench, dtype, PRODUCT_EXACT), unordered = step_ms(bench, dtype, PRODUCT_FREE);

    printf("\n%s, %lld rows\n", dtype_name(dtype), (long long)bench->rows);
    printf("%-10s %-8s %-20s %9s %9s %7s %5s %5s %6s  %s\n", "layer", "product", "a step x outputs x in", "exact GF/s",
           "free", "ratio", "kept", "kept", "wait %", "bits");
    for (int i = 0; i < bench->result_count; i++)
        if (bench->results[i].product.dtype == dtype)
            print_row(&bench->results[i]);
    printf("all products of a step: exact %.1f ms, unordered %.1f ms, ratio %.3f\n", exact, unordered,
           unordered / exact);
    print_kernels(bench, dtype);
}

static void print_text(const struct gemm_bench *bench)
{
    printf("matrix products on %s: medians of undisturbed samples, the orders by turns\n"
           "GF/s: a multiply-add counted as two; ratio: exact over unordered, above 1 the exact one is faster;\n"
           "kept: samples in the median, exact and free; wait: the longest that a kept one waited for a processor;\n"
           "bits: %d elements of the exact product against %s\n",
           bench->chosen.device->info.name, PRODUCT_SAMPLES * PRODUCT_SAMPLES,
           bench->has_reference ? "cpu-ref" : "nothing (there is no cpu-ref)");
    for (int i = 0; i < DTYPES; i++)
        print_dtype(bench, dtypes[i]);
}

static void print_json(const struct gemm_bench *bench)
{
    static const char *const orders[] = {"exact", "free"};

    printf("{\"bench\":\"gemm\",\"backend\":\"%s\",\"device\":\"%s\",\"rows\":%lld,\"products\":[",
           bench->chosen.backend->name, bench->chosen.device->info.name, (long long)bench->rows);
    for (int i = 0; i < bench->result_count; i++) {
        const struct result *result = &bench->results[i];

        printf(
            "%s{\"layer\":\"%s\",\"product\":\"%s\",\"dtype\":\"%s\",\"count\":%lld,\"outputs\":%lld,\"inputs\":%lld,"
            "\"unequal\":%d,\"ratio\":%.4f",
            i > 0 ? "," : "", result->layer->name, product_kind_name(result->product.kind),
            dtype_name(result->product.dtype), (long long)result->layer->count, (long long)result->layer->outputs,
            (long long)result->layer->inputs, result->unequal, ratio(result));
        for (int order = 0; order < PRODUCT_ORDERS; order++)
            printf(",\"%s\":{\"kernel\":\"%s\",\"ms\":%.6f,\"gflops\":%.2f,\"kept\":%lld,\"rejected\":%lld,\"waited\":%"
                   ".4f}",
                   orders[order], result->kernels[order], (double)result->orders[order].median_ns * 1e-6,
                   gflops(result, (enum product_order)order), (long long)result->orders[order].kept,
                   (long long)result->orders[order].rejected, result->orders[order].waited);
        putchar('}');
    }
    printf("],\"ratio_fp32\":%.4f,\"ratio_bf16\":%.4f}\n",
           step_ms(bench, LLMRUN_F32, PRODUCT_FREE) / step_ms(bench, LLMRUN_F32, PRODUCT_EXACT),
           step_ms(bench, LLMRUN_BF16, PRODUCT_FREE) / step_ms(bench, LLMRUN_BF16, PRODUCT_EXACT));
}

static int measure(struct gemm_bench *bench, struct error *error)
{
    int status = STATUS_OK;

    for (int i = 0; i < PRODUCT_ORDERS; i++) {
        bench->samples[i] = calloc((size_t)(PATIENCE * bench->repeat), sizeof *bench->samples[i]);
        if (bench->samples[i] == NULL)
            status =
                error_set(error, STATUS_MEMORY, "no memory for %lld samples", (long long)(PATIENCE * bench->repeat));
    }
    for (int i = 0; i < DTYPES; i++)
        for (int layer = 0; layer < bench->layer_count; layer++)
            for (int kind = 0; status == STATUS_OK && kind < PRODUCT_KINDS; kind++)
                status = measure_product(bench, &bench->layers[layer], (enum product_kind)kind, dtypes[i], error);
    return status;
}

/* The plain reference, where it is installed; without it there is nothing to compare with. */
static void open_reference(struct gemm_bench *bench)
{
    static char name[] = "cpu-ref";
    struct config config = *bench->config; /* shares everything with the original, which frees it */
    struct error none;

    config.run.backend = name;
    bench->has_reference = chosen_device_open(&bench->reference, &config, &none) == STATUS_OK;
}

static int run(void *context, const struct config *config, struct error *error)
{
    struct gemm_bench *bench = context;
    int status = list_layers(bench, bench->model, error);

    bench->config = config;
    if (status == STATUS_OK)
        status = chosen_device_open(&bench->chosen, bench->config, error);
    if (status == STATUS_OK) {
        open_reference(bench);
        status = measure(bench, error);
    }
    if (status == STATUS_OK) {
        if (bench->json)
            print_json(bench);
        else
            print_text(bench);
    }
    for (int i = 0; i < PRODUCT_ORDERS; i++)
        free(bench->samples[i]);
    chosen_device_close(&bench->reference);
    chosen_device_close(&bench->chosen);
    return status;
}

int bench_gemm(int argc, char **argv, struct error *error)
{
    struct gemm_bench bench = {.model = "gpt2", .rows = 1024, .repeat = 7};
    const struct command_option options[] = {
        {"model", OPTION_TEXT, "PRESET", "whose layers (gpt2)", .target = &bench.model},
        {"rows", OPTION_INTEGER, "N", "tokens that a product is about (1024)", "[8, 1048576]", .target = &bench.rows},
        {"repeat", OPTION_INTEGER, "N", "samples of each (7), with patience for disturbed ones", "[1, 10000]",
         .target = &bench.repeat},
        {"json", OPTION_SWITCH, NULL, "print one JSON object", .target = &bench.json},
    };
    const struct usage usage = {
        "bench gemm",       "Speed of matrix products, in the exact order and in the device's own",
        .takes_keys = true, .keys_of = CONFIG_COMMAND_BENCH_GEMM,
        .options = options, .option_count = sizeof options / sizeof options[0]};

    return options_run(&usage, argc, argv, run, &bench, error);
}
