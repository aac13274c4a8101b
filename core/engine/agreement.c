#include "engine/agreement.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/text.h"
#include "model/family.h"

#define ITEMS_MOST 24
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

/* One value of the config, as it prints: keys that a resumed run may change count here too. */
static void add_key(struct listing *listing, const struct config *config, const char *name, enum config_key_id key)
{
    char *text = config_value_text(config, key);

    add_text(listing, name, text != NULL ? text : "?");
    free(text);
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
    add_number(listing, "parallel.zero_group", engine->request.zero_group);
    add_number(listing, "parallel.sp", engine->request.sequence_parallel);
    add_number(listing, "parallel.recompute", engine->request.recompute);
    add(listing, "schedule tables", schedule_hash(&engine->compiled.pipeline),
        pipeline_kind_name(engine->request.schedule));
}

int agreement_reach(struct ranks *ranks, const struct engine *engine, const struct config *config,
                    const struct work_hashes *hashes, struct error *error)
{
    struct listing listing = {.count = 0};
    uint64_t fixed = 0;
    int status;

    if (ranks == NULL)
        return STATUS_OK;
    status = config_hash(config, &fixed, error);
    if (status != STATUS_OK)
        return status;
    add_text(&listing, "version", LLMRUN_VERSION);
    add_layout(&listing, engine);
    add_key(&listing, config, "train.steps", CONFIG_KEY_train_steps);
    add_key(&listing, config, "train.eval_every", CONFIG_KEY_train_eval_every);
    add_key(&listing, config, "checkpoint.every", CONFIG_KEY_checkpoint_every);
    add_key(&listing, config, "optim.lr", CONFIG_KEY_optim_lr);
    add(&listing, "config", fixed, "");
    add_number(&listing, "numerics.exact", engine->request.exact);
    if (!engine->request.exact)
        add_text(&listing, "architecture of the device", engine->chosen.device->info.architecture);
    add_text(&listing, "model family", engine->request.model.family->name);
    add_number(&listing, "model parameters", model_parameters(&engine->request.model));
    add(&listing, "logical program", engine->compiled.logical_hash, "");
    add(&listing, "tokenizer", hashes->tokenizer, "");
    add(&listing, "training data", hashes->train, "");
    add(&listing, "validation data", hashes->eval, "");
    add(&listing, "weights read", hashes->weights, "");
    add_number(&listing, "steps done before", hashes->first_step);
    return control_agree(ranks_control(ranks), listing.items, listing.count, error);
}
