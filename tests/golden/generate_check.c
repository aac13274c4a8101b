/* generate_check GOLDEN.safetensors BACKEND: greedy texts against those of transformers (make_generate.py). Ends with 1
 * when a token differs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/safetensors.h"
#include "engine/generate.h"

struct made {
    const int32_t *wanted;
    int64_t count, different;
};

static bool compare(void *context, int32_t token)
{
    struct made *made = context;

    made->different += token != made->wanted[made->count++];
    return true;
}

static void *read_tensor(const struct safetensors *golden, const char *prefix, const char *name, int64_t *count,
                         struct error *error)
{
    char full[160];
    const struct safetensors_tensor *tensor;
    void *memory;

    snprintf(full, sizeof full, "%s%s", prefix, name);
    tensor = safetensors_find(golden, full);
    if (tensor == NULL) {
        error_set(error, STATUS_INPUT, "the golden file has no %s", full);
        return NULL;
    }
    memory = malloc((size_t)tensor->bytes + 1);
    if (memory != NULL && safetensors_read(golden, tensor, 0, memory, tensor->bytes, error) != STATUS_OK) {
        free(memory);
        return NULL;
    }
    *count = tensor->bytes / 4;
    return memory;
}

static int open_engine(struct engine *engine, const struct safetensors *golden, const char *backend,
                       struct error *error)
{
    static const char *const keys[] = {"n_layer", "n_embd", "n_head", "n_positions", "vocab_size"};
    struct config_flag flags[7] = {{"model.preset", "gpt2"}, {"run.backend", backend}};
    struct config_inputs inputs = {.flags = flags, .flag_count = 2};
    char names[5][40];
    struct config config;
    int status;

    for (int i = 0; i < 5; i++) {
        snprintf(names[i], sizeof names[i], "model.overrides.%s", keys[i]);
        flags[inputs.flag_count++] = (struct config_flag){names[i], safetensors_metadata(golden, keys[i])};
    }
    status = config_load(&config, &inputs, error);
    if (status != STATUS_OK)
        return status;
    status = engine_open(engine, &file_system_real, &config, 0, &(struct request_work){.uses = USE_GENERATE}, error);
    config_finish(&config);
    return status;
}

static int load_weights(struct engine *engine, const struct safetensors *golden, struct error *error)
{
    const struct program *program = &executor_compiled(engine->executor)->program;
    int status = engine_initialise(engine, error);

    for (int64_t i = 0; status == STATUS_OK && i < program->value_count; i++) {
        int64_t count;
        void *data;

        if (program->values[i].kind != VALUE_PARAMETER)
            continue;
        data = read_tensor(golden, "weight.", program->values[i].name, &count, error);
        status = data != NULL ? executor_write(engine->executor, (int32_t)i, data, error) : STATUS_INPUT;
        free(data);
    }
    return status == STATUS_OK ? engine_cast_weights(engine, error) : status;
}

static int check_prompt(struct engine *engine, const struct safetensors *golden, int index, int64_t *different,
                        struct error *error)
{
    struct generate_options options = {.top_p = 1};
    struct made made = {.count = 0};
    int64_t prompt_count = 0, wanted_count = 0;
    int32_t *prompt, *wanted;
    char name[16];
    int status = STATUS_INPUT;

    snprintf(name, sizeof name, ".%d", index);
    prompt = read_tensor(golden, "prompt", name, &prompt_count, error);
    wanted = read_tensor(golden, "made", name, &wanted_count, error);
    if (prompt != NULL && wanted != NULL) {
        made.wanted = wanted;
        options.tokens = wanted_count;
        status = generate(engine, prompt, prompt_count, &options, compare, &made, error);
    }
    if (status == STATUS_OK) {
        printf("%lld tokens after %lld: %lld differ\n", (long long)made.count, (long long)prompt_count,
               (long long)made.different);
        *different += made.different + (wanted_count - made.count);
    }
    free(prompt);
    free(wanted);
    return status;
}

int main(int argc, char **argv)
{
    struct safetensors golden = {0};
    struct engine engine = {0};
    struct error error = {0};
    int64_t different = 0;
    int status;

    if (argc != 3) {
        fputs("usage: generate_check GOLDEN.safetensors BACKEND\n", stderr);
        return 2;
    }
    status = safetensors_open(&file_system_real, argv[1], &golden, &error);
    if (status == STATUS_OK)
        status = open_engine(&engine, &golden, argv[2], &error);
    if (status == STATUS_OK)
        status = load_weights(&engine, &golden, &error);
    if (status == STATUS_OK)
        for (int i = 0; status == STATUS_OK && i < atoi(safetensors_metadata(&golden, "prompts")); i++)
            status = check_prompt(&engine, &golden, i, &different, &error);
    if (status != STATUS_OK)
        fprintf(stderr, "generate_check: %s\n", error.message);
    engine_close(&engine);
    safetensors_close(&golden);
    return status != STATUS_OK ? status : different > 0;
}
