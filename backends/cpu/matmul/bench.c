#include "matmul/bench.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "matmul/bf16.h"
#include "matmul/free_order.h"
#include "matmul/gemm_kernel.h"

#define HUGE_PAGE    (2 << 20)
#define MOST_SAMPLES 64
#define PATIENCE     4    /* times as many samples as are kept are taken, where many are disturbed */
#define LIMIT        0.02 /* of its time that a sample may wait for a processor */
#define WORKSPACE    (128 << 20)
#define PAUSE_NS     5000000 /* after each sample: until the threads of a library no longer spin */
#define LAYERS       12

enum way { OWN_F32, BLAS_OWN_THREADS, BLAS_SLICES, OWN_BF16, DNNL_OWN_THREADS, DNNL_SLICES, WAYS };
enum pass { FORWARD, INPUT_GRAD, WEIGHT_GRAD, PASSES };

static const char *const pass_names[PASSES] = {"forward", "dx", "dw"};

struct samples {
    int count;
    double seconds[MOST_SAMPLES];
    double waited[MOST_SAMPLES]; /* share of the time */
};

struct bench {
    const struct gemm_bench_options *options;
    struct pool *pool;
    void *x, *w, *y, *workspace; /* large enough for fp32 */
    double totals[WAYS];         /* seconds of a step */
};

/* With one thread, its processor time: what others take does not count then. */
static double now(const struct bench *bench)
{
    struct timespec time;
    clock_gettime(bench->options->threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* Seconds that the threads of this process have waited in run queues: second field of schedstat(5), in ns. */
static double waited(void)
{
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *entry;
    double sum = 0;
    while (tasks != NULL && (entry = readdir(tasks)) != NULL) {
        char path[300];
        unsigned long long ran, delay;
        snprintf(path, sizeof(path), "/proc/self/task/%s/schedstat", entry->d_name);
        FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (file == NULL)
            continue;
        if (fscanf(file, "%llu %llu", &ran, &delay) == 2)
            sum += (double)delay * 1e-9;
        fclose(file);
    }
    if (tasks != NULL)
        closedir(tasks);
    return sum;
}

static void *allocate(int64_t bytes)
{
    size_t rounded = ((size_t)bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    void *memory = aligned_alloc(HUGE_PAGE, rounded);
    if (memory == NULL)
        return NULL;
    madvise(memory, rounded, MADV_HUGEPAGE);
    return memset(memory, 0, rounded);
}

/* Product of one pass of y = x w^T, with x [tokens, k] and w [n, k]. */
static struct gemm_problem make_problem(const struct bench *bench, enum pass pass, int bf16, int64_t n, int64_t k)
{
    int64_t m = bench->options->tokens;
    uint32_t dtype = bf16 ? LLMRUN_BF16 : LLMRUN_F32;
    struct gemm_problem problem = {.m = m, .n = n, .dtype = dtype, .c_dtype = dtype, .segments = 1, .c = bench->y};
    if (pass == FORWARD) {
        problem.segment[0] = (struct gemm_segment){k, bench->x, k, 1, bench->w, 1, k};
    } else if (pass == INPUT_GRAD) {
        problem.n = k;
        problem.segment[0] = (struct gemm_segment){n, bench->x, n, 1, bench->w, k, 1};
    } else {
        problem.m = n;
        problem.n = k;
        problem.c_dtype = LLMRUN_F32;
        problem.accumulate = 1;
        problem.segment[0] = (struct gemm_segment){m, bench->x, 1, n, bench->w, k, 1};
    }
    problem.c_row = problem.n;
    return problem;
}

static const struct free_order *library_of(enum way way)
{
#if defined(LLMRUN_CPU_OPENBLAS)
    if (way == BLAS_OWN_THREADS || way == BLAS_SLICES)
        return &free_order_openblas;
#endif
#if defined(LLMRUN_CPU_ONEDNN)
    if (way == DNNL_OWN_THREADS || way == DNNL_SLICES)
        return &free_order_onednn;
#endif
    (void)way;
    return NULL;
}

static int is_own(enum way way)
{
    return way == OWN_F32 || way == OWN_BF16;
}

static void run(const struct bench *bench, enum way way, const struct gemm_problem *problem)
{
    const struct free_order *library = library_of(way);
    if (is_own(way)) {
        gemm_run(problem, cpu_isa_best(), bench->pool, bench->workspace);
    } else if (way == BLAS_SLICES || way == DNNL_SLICES) {
        free_order_run(problem, library, bench->pool, bench->workspace);
    } else {
        library->set_threads(bench->options->threads);
        library->multiply(problem);
    }
}

static void take_sample(const struct bench *bench, enum way way, const struct gemm_problem *problem,
                        struct samples *samples)
{
    double delay = waited(), start = now(bench);
    run(bench, way, problem);
    double seconds = now(bench) - start;
    double share = bench->options->threads == 1 ? 0 : (waited() - delay) / seconds;
    nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);

    /* Where there is no room for another one, the most disturbed one gives way. */
    int at = samples->count;
    if (at == bench->options->repeat) {
        at = 0;
        for (int i = 1; i < samples->count; i++)
            at = samples->waited[i] > samples->waited[at] ? i : at;
        if (share >= samples->waited[at])
            return;
    } else {
        samples->count++;
    }
    samples->seconds[at] = seconds;
    samples->waited[at] = share;
}

static int is_clean(const struct bench *bench, const struct samples *samples)
{
    int clean = 0;
    for (int i = 0; i < samples->count; i++)
        clean += samples->waited[i] <= LIMIT;
    return clean == bench->options->repeat;
}

static int compare_doubles(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static double median(struct samples *samples)
{
    qsort(samples->seconds, (size_t)samples->count, sizeof(double), compare_doubles);
    return samples->seconds[samples->count / 2];
}

static void bench_product(struct bench *bench, FILE *out, enum pass pass, int64_t n, int64_t k, int times)
{
    struct samples samples[WAYS] = {{0}};
    double flops = 2.0 * (double)bench->options->tokens * (double)n * (double)k;
    for (int round = 0; round < PATIENCE * bench->options->repeat + 1; round++) {
        for (enum way way = 0; way < WAYS; way++) {
            struct gemm_problem problem = make_problem(bench, pass, way >= OWN_BF16, n, k);
            if ((!is_own(way) && library_of(way) == NULL) || is_clean(bench, &samples[way]))
                continue;
            if (round == 0)
                run(bench, way, &problem); /* first touch, first use */
            else
                take_sample(bench, way, &problem, &samples[way]);
        }
    }
    fprintf(out, "%6d %6d  %-8s", (int)n, (int)k, pass_names[pass]);
    for (enum way way = 0; way < WAYS; way++) {
        double seconds = samples[way].count > 0 ? median(&samples[way]) : 0;
        bench->totals[way] += seconds * times;
        fprintf(out, " %8.0f%c", seconds > 0 ? flops / seconds * 1e-9 : 0, is_clean(bench, &samples[way]) ? ' ' : '~');
    }
    fprintf(out, "\n");
    fflush(out);
}

/* The faster of a library's two ways. */
static double best_of(double a, double b)
{
    return a < b ? a : b;
}

static void print_totals(const struct bench *bench, FILE *out)
{
    const double *t = bench->totals;
    fprintf(out, "all of a step, ms      ");
    for (enum way way = 0; way < WAYS; way++)
        fprintf(out, " %8.1f ", t[way] * 1e3);
    fprintf(out, "\n");
    if (t[BLAS_SLICES] > 0)
        fprintf(out, "exact fp32 is %.3f times as fast as OpenBLAS\n",
                best_of(t[BLAS_SLICES], t[BLAS_OWN_THREADS]) / t[OWN_F32]);
    if (t[DNNL_SLICES] > 0)
        fprintf(out, "exact bf16 is %.3f times as fast as oneDNN\n",
                best_of(t[DNNL_SLICES], t[DNNL_OWN_THREADS]) / t[OWN_BF16]);
}

static void print_head(const struct bench *bench, FILE *out)
{
    char reason[128];
    const struct gemm_kernel *f32 = gemm_kernel_choose(LLMRUN_F32, cpu_isa_best());
    const struct gemm_kernel *bf16 = gemm_kernel_choose(LLMRUN_BF16, cpu_isa_best());
    fprintf(out, "GFLOP/s, %d threads, %d tokens, medians of %d; ~ marks samples that waited for a processor\n",
            bench->options->threads, (int)bench->options->tokens, bench->options->repeat);
    fprintf(out, "exact fp32: %s; exact bf16: %s\n", f32 == NULL ? "plain" : f32->name,
            bf16 == NULL ? "plain" : bf16->name);
    for (enum way way = BLAS_SLICES; way < WAYS; way += DNNL_SLICES - BLAS_SLICES) {
        struct gemm_problem problem = make_problem(bench, FORWARD, way == DNNL_SLICES, 1, 1);
        if (library_of(way) != NULL && !library_of(way)->fit(&problem, reason, sizeof(reason)))
            fprintf(out, "not used for training here: %s\n", reason);
    }
    fprintf(out, "%6s %6s  %-8s %8s  %8s  %8s  %8s  %8s  %8s\n", "n", "k", "pass", "fp32", "OpenBLAS", "slices", "bf16",
            "oneDNN", "slices");
}

/* Pairs of bf16 numbers of which none is zero: read as fp32 they are usual numbers too, none below the normal range. */
static void fill(struct bench *bench, int64_t x_words, int64_t w_words)
{
    uint16_t *x = bench->x, *w = bench->w;
    for (int64_t i = 0; i < 2 * x_words; i++)
        x[i] = bf16_round(((float)(i % 13) - 6.5f) * 0.125f);
    for (int64_t i = 0; i < 2 * w_words; i++)
        w[i] = bf16_round(((float)(i % 11) - 5.5f) * 0.125f);
}

int gemm_bench(FILE *out, const struct gemm_bench_options *options)
{
    static const int64_t shapes[][2] = {{2304, 768}, {768, 768}, {3072, 768}, {768, 3072}};
    int64_t widest = options->vocabulary > 3072 ? options->vocabulary : 3072;
    int64_t x_words = options->tokens * widest, w_words = widest * 768;
    w_words = w_words > options->tokens * 3072 ? w_words : options->tokens * 3072; /* dw multiplies by x */
    struct gemm_bench_options kept = *options;
    kept.repeat = options->repeat < MOST_SAMPLES ? options->repeat : MOST_SAMPLES;
    struct bench bench = {.options = &kept, .pool = pool_create(options->threads)};
    int status = -1;
    bench.x = allocate(x_words * 4);
    bench.w = allocate(w_words * 4);
    bench.y = allocate((x_words > w_words ? x_words : w_words) * 4);
    bench.workspace = allocate(WORKSPACE);
    if (bench.pool == NULL || bench.x == NULL || bench.w == NULL || bench.y == NULL || bench.workspace == NULL)
        goto out;
    fill(&bench, x_words, w_words);
    print_head(&bench, out);
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        for (enum pass pass = 0; pass < PASSES; pass++)
            bench_product(&bench, out, pass, shapes[i][0], shapes[i][1], LAYERS);
    }
    for (enum pass pass = 0; pass < PASSES && options->vocabulary > 0; pass++)
        bench_product(&bench, out, pass, options->vocabulary, 768, 1);
    print_totals(&bench, out);
    status = 0;
out:
    free(bench.x);
    free(bench.w);
    free(bench.y);
    free(bench.workspace);
    pool_destroy(bench.pool);
    return status;
}
