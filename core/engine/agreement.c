#include "engine/agreement.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/text.h"
#include "config/keys.h"
#include "model/family.h"

#define ITEMS_MOST (CONFIG_KEYS + 32)
#define TEXT_BYTES 64

struct listing {
    struct control_item items[ITEMS_MOST];
    char texts[ITEMS_MOST][TEXT_BYTES];
    int count;
};

static void add(struct listing *listing, const char *key, uint64_t hash, const char *text)
{
    struct control_item *item = &listing->items[listing->count];

    snprintf(listing->texts[listing->count], TEXT_BYTES, "%s", text);
    *item = (struct control_item){.key = key, .hash = hash, .text = listing->texts[listing->count++]};
}

static void add_number(struct listing *listing, const char *key, int64_t number)
{
    char text[TEXT_BYTES];

    snprintf(text, sizeof text, "%lld", (long long)number);
    add(listing, key, (uint64_t)number, text);
}

static void add_text(struct listing *listing, const char *key, const char *text)
{
    add(listing, key, hash_text(text), text);
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Keys that decide what is computed, and when ranks meet. Others may differ: where files are, threads, the log. */
static bool must_agree(const struct config_key *key)
{
    return key->resume == CONFIG_FIXED || starts_with(key->dotted, "optim.") || starts_with(key->dotted, "train.") ||
           strcmp(key->dotted, "parallel.collective_options") == 0 || strcmp(key->dotted, "checkpoint.every") == 0 ||
           strcmp(key->dotted, "checkpoint.async") == 0;
}

/* Each value of the config by its key, as it prints. */
static void add_config(struct listing *listing, const struct config *config)
{
    for (int key = 0; key < CONFIG_KEYS; key++) {
        char *text = must_agree(&config_keys[key]) ? config_value_text(config, (enum config_key_id)key) : NULL;

        if (text != NULL)
            add_text(listing, config_keys[key].dotted, text);
        free(text);
    }
}

/* Builds of one version are told apart too. Ranks whose file cannot be read have 0 alike. */
static uint64_t binary_hash(void)
{
    uint64_t hash = 0;
    struct error ignored;
    int64_t bytes;
    char *data;

    if (file_read_all(&file_system_real, "/proc/self/exe", (int64_t)1 << 30, &data, &bytes, &ignored) == STATUS_OK) {
        hash = hash_bytes(data, (size_t)bytes);
        free(data);
    }
    return hash;
}

static void add_collective(struct listing *listing, const struct collective *collective)
{
    char text[TEXT_BYTES];

    snprintf(text, sizeof text, "%s %.30s", collective->name, collective->version);
    add_text(listing, "parallel.collective", text);
}

/* Where bits depend on what computes them. */
static void add_device(struct listing *listing, const struct chosen_device *chosen, const struct config *config)
{
    char *isa = config_value_text(config, CONFIG_KEY_run_cpu_isa);

    add_text(listing, "backend", chosen->backend->name);
    add_text(listing, "architecture of the device", chosen->device->info.architecture);
    add_text(listing, "run.cpu_isa", isa != NULL ? isa : "");
    free(isa);
}

static uint64_t schedule_hash(const struct pipeline *pipeline)
{
    struct text text = {0};
    uint64_t hash;

    for (int32_t r = 0; pipeline->ranks != NULL && r < pipeline->shape.ranks; r++)
        for (int64_t i = 0; i < pipeline->ranks[r].count; i++) {
            const struct pipeline_entry *entry = &pipeline->ranks[r].entries[i];

            text_add(&text, "%d %d %d %d,", entry->action, entry->level, entry->chunk, entry->microbatch);
        }
    hash = hash_text(text.data != NULL ? text.data : "");
    text_finish(&text);
    return hash;
}

static void add_layout(struct listing *listing, const struct engine *engine)
{
    const struct mesh *mesh = &engine->compiled.mesh;

    add_number(listing, "parallel.tp", mesh->sizes[MESH_TP]);
    add_number(listing, "parallel.pp", mesh->sizes[MESH_PP]);
    add_number(listing, "data parallel size", mesh->sizes[MESH_DP]);
    add_number(listing, "parallel.zero", engine->request.zero);
    add_number(listing, "parallel.zero_group", mesh->shards);
    add_number(listing, "parallel.loss_chunk", engine->request.loss_chunk);
    add_number(listing, "parallel.sp", engine->request.sequence_parallel);
    add_number(listing, "parallel.recompute", engine->request.recompute);
}

int agreement_reach(struct ranks *ranks, const struct engine *engine, const struct config *config,
                    const struct work_hashes *hashes, struct error *error)
{
    const struct compile_request *request = &engine->request;
    struct listing listing = {.count = 0};

    if (ranks == NULL)
        return STATUS_OK;
    add_text(&listing, "version", LLMRUN_VERSION);
    add(&listing, "binary", binary_hash(), "");
    add_collective(&listing, engine->collective);
    add_number(&listing, "plugin contract", LLMRUN_ABI_MAJOR * 1000 + LLMRUN_ABI_MINOR);
    add_number(&listing, "numerics.exact", request->exact);
    if (!request->exact)
        add_device(&listing, &engine->chosen, config);
    add_config(&listing, config);
    add_layout(&listing, engine);
    add_text(&listing, "model family", request->model.family->name);
    add_number(&listing, "model parameters", model_parameters(&request->model));
    add(&listing, "tokenizer", hashes->tokenizer, "");
    add(&listing, "training data", hashes->train, "");
    add(&listing, "validation data", hashes->eval, "");
    add(&listing, "weights read", hashes->weights, "");
    add(&listing, "schedule tables", schedule_hash(&engine->compiled.pipeline), pipeline_kind_name(request->schedule));
    add(&listing, "logical program", engine->compiled.logical_hash, "");
    return ranks_compare(ranks, listing.items, listing.count, error);
}
