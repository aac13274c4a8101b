/* model_check GOLDEN.safetensors BACKEND [KEY=VALUE...]: logits, greedy tokens, one step, and as many steps of AdamW as
 * the file has, against what PyTorch and transformers computed (make_gpt2.py, make_decoders.py). Prints each quantity
 * with its bound; ends with 1 when one is over it.
 *
 * Bounds: logits 1e-4 (absolute), greedy tokens equal, loss 1e-5 (relative), each gradient NMSE 1e-8, or, where the
 * reference's norm is under 1e-6 of its layer's largest, a norm of the difference under 1e-6 of that largest; losses of
 * later steps 1e-5 (relative). In bf16: loss 1e-2 against the bf16 of transformers; against fp32, gradients and losses
 * of the steps 1e-2, 1e-3, 1e-2. Keys: micro_batch, compute (f32, bf16), recompute (none, selective, full), threads,
 * cpu_isa, steps (at most so many, and every ninth row of logits). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/safetensors.h"
#include "hal/trial.h"
#include "model/family.h"
#include "plugin/registry.h"
#include "runtime/constants.h"
#include "runtime/device_compile.h"
#include "runtime/executor.h"

struct check {
    struct safetensors golden;
    struct registry registry;
    struct device *device;
    struct compiled compiled;
    struct executor *executor;
    struct compile_request request;
    struct llmrun_option options[2];
    int option_count;
    int steps; /* 0: all */
    struct error error;
    int failures;
};

static double metadata_number(const struct check *check, const char *key)
{
    const char *text = safetensors_metadata(&check->golden, key);

    return text != NULL ? atof(text) : 0;
}

static void *read_tensor(struct check *check, const char *prefix, const char *name)
{
    char full[160];
    const struct safetensors_tensor *tensor;
    void *memory;

    snprintf(full, sizeof full, "%s%s", prefix, name);
    tensor = safetensors_find(&check->golden, full);
    if (tensor == NULL)
        return NULL;
    memory = malloc((size_t)tensor->bytes + 1);
    if (memory != NULL &&
        safetensors_read(&check->golden, tensor, 0, memory, tensor->bytes, &check->error) != STATUS_OK) {
        free(memory);
        return NULL;
    }
    return memory;
}

static void verdict(struct check *check, bool good, const char *what, double found, double bound)
{
    printf("%-4s %-44s %.3e (bound %.1e)\n", good ? "ok" : "FAIL", what, found, bound);
    check->failures += !good;
}

static int set_key(struct check *check, const char *text)
{
    struct compile_request *request = &check->request;

    if (strncmp(text, "micro_batch=", 12) == 0)
        request->micro_batch = atoll(text + 12);
    else if (strcmp(text, "compute=bf16") == 0)
        request->compute_dtype = LLMRUN_BF16;
    else if (strcmp(text, "recompute=selective") == 0)
        request->recompute = RECOMPUTE_SELECTIVE;
    else if (strcmp(text, "recompute=full") == 0)
        request->recompute = RECOMPUTE_FULL;
    else if (strncmp(text, "steps=", 6) == 0)
        check->steps = atoi(text + 6);
    else if (strncmp(text, "threads=", 8) == 0)
        check->options[check->option_count++] = (struct llmrun_option){"threads", text + 8};
    else if (strncmp(text, "cpu_isa=", 8) == 0)
        check->options[check->option_count++] = (struct llmrun_option){"cpu_isa", text + 8};
    else
        return error_set(&check->error, STATUS_USAGE, "unknown key %s", text);
    return STATUS_OK;
}

/* The keys of the model's config are metadata of the file. */
static int read_config(struct check *check)
{
    struct model_config *model = &check->request.model;
    const char *type = safetensors_metadata(&check->golden, "model_type");
    int status = STATUS_OK;

    model_defaults(model_family_of_type(type != NULL ? type : "gpt2"), model);
    for (const struct key *key = model->family->keys; status == STATUS_OK && key->name != NULL; key++) {
        const char *value = safetensors_metadata(&check->golden, key->name);

        if (value != NULL)
            status = model_set(model, "metadata: ", STATUS_INPUT, key->name, value, &check->error);
    }
    return status;
}

static int open_all(struct check *check, const char *golden, const char *backend, int count, char **keys)
{
    struct compile_request *request = &check->request;
    const struct backend *loaded;
    struct plugin_search search;
    int status = safetensors_open(&file_system_real, golden, &check->golden, &check->error);

    if (status != STATUS_OK)
        return status;
    status = read_config(check);
    if (status != STATUS_OK)
        return status;
    request->sequence = (int64_t)metadata_number(check, "length");
    request->global_batch = request->micro_batch = (int64_t)metadata_number(check, "batch");
    request->train = request->generate = true;
    request->compute_dtype = LLMRUN_F32;
    request->update = (struct update_policy){.beta1 = (float)metadata_number(check, "beta1"),
                                             .beta2 = (float)metadata_number(check, "beta2"),
                                             .epsilon = (float)metadata_number(check, "eps"),
                                             .weight_decay = (float)metadata_number(check, "weight_decay"),
                                             .clip = (float)metadata_number(check, "clip")};
    for (int i = 0; status == STATUS_OK && i < count; i++)
        status = set_key(check, keys[i]);
    if (status == STATUS_OK)
        status = plugin_search_default(&search, backend, &check->error);
    if (status == STATUS_OK)
        status = registry_init(&search, device_trial, &check->registry, &check->error);
    if (status == STATUS_OK)
        status = registry_open(&check->registry, backend, &loaded, &check->error);
    if (status == STATUS_OK)
        status = device_open(loaded, 0, check->options, check->option_count, &check->device, &check->error);
    if (status == STATUS_OK)
        request->exact = check->device->info.exact;
    if (status == STATUS_OK)
        status = device_compile(check->device, request, &check->compiled, &check->error);
    return status == STATUS_OK ? executor_create(check->device, &check->compiled, NULL, &check->executor, &check->error)
                               : status;
}

static int load_weights(struct check *check)
{
    const struct program *program = &check->compiled.program;
    const uint32_t none = 0;
    int status = executor_begin(check->executor, &check->error);

    if (status == STATUS_OK)
        status = executor_submit(check->executor, JOB_INIT, &check->error); /* zeroes the moments */
    if (status == STATUS_OK)
        status = executor_collect(check->executor, &check->error);
    for (int64_t i = 0; status == STATUS_OK && i < program->value_count; i++) {
        void *data;

        if (program->values[i].kind != VALUE_PARAMETER)
            continue;
        data = read_tensor(check, "weight.", program->values[i].name);
        if (data == NULL)
            return error_set(&check->error, STATUS_INPUT, "the golden file has no weight %s", program->values[i].name);
        status = executor_write(check->executor, (int32_t)i, data, &check->error);
        free(data);
    }
    if (status == STATUS_OK)
        status = executor_write(check->executor, check->compiled.io.found_inf, &none, &check->error);
    if (status == STATUS_OK)
        status = executor_submit(check->executor, JOB_CAST_WEIGHTS, &check->error);
    if (status == STATUS_OK)
        status = executor_collect(check->executor, &check->error);
    return status == STATUS_OK ? constants_write(check->executor, &check->request.model, &check->error) : status;
}

/* Of an input that is no microbatch's. */
static void *input(struct check *check, int32_t value)
{
    return executor_input(check->executor, value, 0);
}

static void fill_microbatch(struct check *check, int32_t microbatch, const int32_t *tokens, const int32_t *targets,
                            const float *weights)
{
    const struct batch_values *values = &check->compiled.io.train;
    const int64_t rows = check->request.micro_batch * check->request.sequence, first = microbatch * rows;
    int32_t *positions = executor_input(check->executor, values->positions, microbatch);

    for (int64_t i = 0; i < rows; i++)
        positions[i] = (int32_t)(i % check->request.sequence);
    memset(executor_input(check->executor, values->segment_starts, microbatch), 0, (size_t)rows * 4);
    memcpy(executor_input(check->executor, values->tokens, microbatch), tokens + first, (size_t)rows * 4);
    memcpy(executor_input(check->executor, values->targets, microbatch), targets + first, (size_t)rows * 4);
    memcpy(executor_input(check->executor, values->weights, microbatch), weights + first, (size_t)rows * 4);
}

static double fill_batch(struct check *check)
{
    const int64_t rows = check->request.global_batch * check->request.sequence;
    int32_t *tokens = read_tensor(check, "", "tokens"), *targets = read_tensor(check, "", "targets");
    float *weights = read_tensor(check, "", "weights");
    double valid = 0;

    for (int64_t i = 0; i < rows; i++)
        valid += weights[i];
    for (int32_t m = 0; m < check->compiled.microbatches; m++)
        fill_microbatch(check, m, tokens, targets, weights);
    free(tokens);
    free(targets);
    free(weights);
    *(float *)input(check, check->compiled.io.inverse_tokens) = (float)(1 / valid);
    return valid;
}

/* Step 1, 2, ...; returns the mean loss. */
static int run_step(struct check *check, int step, double *loss)
{
    int status = executor_begin(check->executor, &check->error);
    float *correction = input(check, check->compiled.io.bias_correction);
    double valid = fill_batch(check), sum = 0;
    const double *losses;

    *(float *)input(check, check->compiled.io.learning_rate) = (float)metadata_number(check, "lr");
    correction[0] = (float)(1 - pow(metadata_number(check, "beta1"), step));
    correction[1] = (float)sqrt(1 - pow(metadata_number(check, "beta2"), step));
    if (status == STATUS_OK)
        status = executor_submit(check->executor, JOB_STEP, &check->error);
    if (status == STATUS_OK)
        status = executor_collect(check->executor, &check->error);
    if (status != STATUS_OK)
        return status;
    losses = executor_result(check->executor, check->compiled.io.losses);
    for (int64_t i = 0; i < check->request.global_batch; i++)
        sum += losses[i];
    *loss = sum / valid;
    return STATUS_OK;
}

/* Bytes of "h.3." or "model.layers.3." for a tensor of layer 3, 0 outside the layers. */
static size_t layer_prefix(const char *name)
{
    static const char *const layers[] = {"h.", "model.layers."};

    for (size_t i = 0; i < sizeof layers / sizeof layers[0]; i++) {
        const size_t length = strlen(layers[i]);
        const char *dot = strncmp(name, layers[i], length) == 0 ? strchr(name + length, '.') : NULL;

        if (dot != NULL)
            return (size_t)(dot - name) + 1;
    }
    return 0;
}

static double norm_of(const float *x, int64_t count)
{
    double sum = 0;

    for (int64_t i = 0; i < count; i++)
        sum += (double)x[i] * x[i];
    return sqrt(sum);
}

static double largest_in_layer(struct check *check, const char *name)
{
    size_t prefix = layer_prefix(name);
    double largest = 0;

    for (int64_t i = 0; i < check->golden.count; i++) {
        const struct safetensors_tensor *tensor = &check->golden.tensors[i];
        const char *own = strncmp(tensor->name, "gradient.", 9) == 0 ? tensor->name + 9 : NULL;
        float *data;
        double norm;

        if (own == NULL || layer_prefix(own) != prefix || strncmp(own, name, prefix) != 0)
            continue;
        data = read_tensor(check, "gradient.", own);
        norm = data != NULL ? norm_of(data, tensor->bytes / 4) : 0;
        largest = norm > largest ? norm : largest;
        free(data);
    }
    return largest;
}

static int compare_gradient(struct check *check, int32_t gradient, double bound, double small_bound)
{
    const struct program *program = &check->compiled.program;
    const struct value *value = &program->values[gradient];
    const char *name = program->values[value->source].name;
    int64_t count = value_elements(value);
    float *found = malloc((size_t)count * 4 + 4), *wanted = read_tensor(check, "gradient.", name);
    double norm, difference, largest;
    int status = STATUS_OK;

    if (found == NULL || wanted == NULL)
        status = error_set(&check->error, STATUS_INPUT, "no gradient %s in the golden file", name);
    if (status == STATUS_OK)
        status = executor_read(check->executor, gradient, found, &check->error);
    if (status == STATUS_OK) {
        norm = norm_of(wanted, count);
        for (int64_t i = 0; i < count; i++)
            found[i] -= wanted[i];
        difference = norm_of(found, count);
        largest = largest_in_layer(check, name);
        if (norm < 1e-6 * largest)
            verdict(check, difference <= small_bound * largest, name, difference / largest, small_bound);
        else
            verdict(check, difference * difference / (norm * norm) <= bound, name,
                    difference * difference / (norm * norm), bound);
    }
    free(found);
    free(wanted);
    return status;
}

/* Puts tokens `first` on into the caches, which hold those before; *logits are those after the token at `row`. */
static int prefill(struct check *check, const int32_t *tokens, int64_t count, int64_t first, int64_t row,
                   const float **logits)
{
    const int64_t rows = compile_prefill_rows(&check->request), last = check->request.sequence - 1;
    int status = executor_begin(check->executor, &check->error);
    int32_t *row_tokens = input(check, check->compiled.io.prefill.tokens);
    int32_t *positions = input(check, check->compiled.io.prefill.positions);

    for (int64_t i = 0; i < rows; i++) {
        row_tokens[i] = first + i < count ? tokens[first + i] : 0;
        positions[i] = (int32_t)(first + i < last ? first + i : last);
    }
    *(int32_t *)input(check, check->compiled.io.prefill_cached) = (int32_t)first;
    *(int32_t *)input(check, check->compiled.io.prefill_row) = (int32_t)row;
    if (status == STATUS_OK)
        status = executor_submit(check->executor, JOB_PREFILL, &check->error);
    if (status == STATUS_OK)
        status = executor_collect(check->executor, &check->error);
    *logits = executor_result(check->executor, check->compiled.io.logits);
    return status;
}

static int decode(struct check *check, int32_t token, int64_t position, const float **logits)
{
    int status = executor_begin(check->executor, &check->error);

    *(int32_t *)input(check, check->compiled.io.decode.tokens) = token;
    *(int32_t *)input(check, check->compiled.io.decode.positions) = (int32_t)position;
    if (status == STATUS_OK)
        status = executor_submit(check->executor, JOB_DECODE, &check->error);
    if (status == STATUS_OK)
        status = executor_collect(check->executor, &check->error);
    *logits = executor_result(check->executor, check->compiled.io.logits);
    return status;
}

static int compare_logits(struct check *check)
{
    const int64_t sequence = check->request.sequence, vocabulary = check->request.model.vocab_size;
    const int64_t rows = compile_prefill_rows(&check->request);
    int32_t *tokens = read_tensor(check, "", "tokens");
    float *wanted = read_tensor(check, "", "logits");
    double worst = 0;
    int status = STATUS_OK;

    for (int64_t t = 0; status == STATUS_OK && wanted != NULL && t<sequence; t += check->steps> 0 ? 9 : 1) {
        const float *found;

        status = prefill(check, tokens, sequence, t / rows * rows, t % rows, &found);
        for (int64_t v = 0; status == STATUS_OK && v < vocabulary; v++)
            worst = fmax(worst, fabs((double)found[v] - (double)wanted[t * vocabulary + v]));
    }
    if (wanted != NULL && status == STATUS_OK)
        verdict(check, worst <= 1e-4, "logits", worst, 1e-4);
    free(tokens);
    free(wanted);
    return status;
}

static int32_t largest_logit(const float *logits, int64_t vocabulary)
{
    int64_t best = 0;

    for (int64_t v = 1; v < vocabulary; v++)
        best = logits[v] > logits[best] ? v : best;
    return (int32_t)best;
}

static int compare_greedy(struct check *check)
{
    const struct safetensors_tensor *tensor = safetensors_find(&check->golden, "greedy");
    const int64_t prompt = (int64_t)metadata_number(check, "prompt"),
                  count = tensor != NULL && prompt > 0 ? tensor->bytes / 4 : 0;
    int32_t *tokens = read_tensor(check, "", "tokens"), *wanted = read_tensor(check, "", "greedy");
    int64_t different = 0;
    const float *logits = NULL;
    int status = STATUS_OK;

    if (count > 0)
        status = prefill(check, tokens, prompt, 0, prompt - 1, &logits);
    for (int64_t i = 0; status == STATUS_OK && i < count; i++) {
        const int32_t token = largest_logit(logits, check->request.model.vocab_size);

        different += token != wanted[i];
        if (i + 1 < count)
            status = decode(check, token, prompt + i, &logits);
    }
    if (count > 0 && status == STATUS_OK)
        verdict(check, different == 0, "greedy tokens that differ", (double)different, 0);
    free(tokens);
    free(wanted);
    return status;
}

static int compare_all(struct check *check)
{
    const struct program *program = &check->compiled.program;
    const bool bf16 = check->request.compute_dtype == LLMRUN_BF16;
    const double loss_bound = bf16 ? 1e-2 : 1e-5, gradient_bound = bf16 ? 1e-2 : 1e-8;
    double *golden_loss = read_tensor(check, "", bf16 ? "loss_bf16" : "loss"),
           *golden_losses = read_tensor(check, "", "losses");
    const struct safetensors_tensor *series = safetensors_find(&check->golden, "losses");
    int steps = series != NULL ? (int)(series->bytes / 8) : 0;
    double loss, worst = 0;
    int status = bf16 ? STATUS_OK : compare_logits(check);

    if (check->steps > 0 && check->steps < steps)
        steps = check->steps;
    if (status == STATUS_OK && !bf16)
        status = compare_greedy(check);
    if (status == STATUS_OK)
        status = run_step(check, 1, &loss);
    if (status == STATUS_OK)
        verdict(check, fabs(loss - *golden_loss) <= loss_bound * fabs(*golden_loss), "loss",
                fabs(loss / *golden_loss - 1), loss_bound);
    for (int64_t i = 0; status == STATUS_OK && i < program->value_count; i++)
        if (program->values[i].kind == VALUE_GRADIENT)
            status = compare_gradient(check, (int32_t)i, gradient_bound, bf16 ? 1e-3 : 1e-6);
    for (int step = 2; status == STATUS_OK && step <= steps; step++) {
        status = run_step(check, step, &loss);
        if (fabs(loss / golden_losses[step - 1] - 1) > worst)
            worst = fabs(loss / golden_losses[step - 1] - 1);
    }
    if (status == STATUS_OK && steps > 1)
        verdict(check, worst <= loss_bound, "losses of the AdamW steps, worst", worst, loss_bound);
    free(golden_loss);
    free(golden_losses);
    return status;
}

int main(int argc, char **argv)
{
    static struct check check;
    int status;

    if (argc < 3) {
        fputs("usage: model_check GOLDEN.safetensors BACKEND [KEY=VALUE...]\n", stderr);
        return 2;
    }
    status = open_all(&check, argv[1], argv[2], argc - 3, argv + 3);
    if (status == STATUS_OK)
        status = load_weights(&check);
    if (status == STATUS_OK)
        status = compare_all(&check);
    if (status != STATUS_OK)
        fprintf(stderr, "model_check: %s\n", check.error.message);
    else
        printf("%d quantities out of bounds\n", check.failures);
    executor_destroy(check.executor);
    compiled_finish(&check.compiled);
    device_close(check.device);
    registry_finish(&check.registry);
    safetensors_close(&check.golden);
    return status != STATUS_OK ? status : check.failures > 0;
}
