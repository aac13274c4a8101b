#include "engine/request.h"

#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"
#include "data/sampler.h"
#include "engine/layout.h"
#include "huggingface/config.h"
#include "model/family.h"

#define EVAL_TOKENS 2048 /* of a batch of an evaluation: more would take memory and little time less */

static int apply_overrides(const struct config *config, struct model_config *model, bool *vocabulary_given,
                           struct error *error)
{
    const struct config_map *overrides = &config->model.overrides;

    for (int64_t i = 0; i < overrides->count; i++) {
        const struct config_pair *pair = &overrides->pairs[i];
        int status = model_override(model, pair->name, pair->text, error);

        if (status != STATUS_OK)
            return status;
        *vocabulary_given |= strcmp(pair->name, "vocab_size") == 0;
    }
    return STATUS_OK;
}

int request_model(const struct file_system *fs, const struct config *config, int64_t vocabulary,
                  struct model_config *model, struct error *error)
{
    bool overridden = false;
    int status;

    if (config->model.path[0] != '\0')
        status = hf_config_read(
            fs, config->model.path,
            &(struct hf_ignored){.names = config->model.ignore.items, .count = config->model.ignore.count}, model,
            error);
    else
        status = model_preset(config->model.preset, model, error);
    if (status == STATUS_OK)
        status = apply_overrides(config, model, &overridden, error);
    if (status != STATUS_OK)
        return status;
    if (vocabulary > 0 && !overridden && config->model.init != CONFIG_INIT_WEIGHTS)
        model->vocab_size = vocabulary;
    return model_check(model, error);
}

bool request_keeps_ids(const struct config *config)
{
    return config->model.path[0] != '\0' &&
           (config->model.init == CONFIG_INIT_WEIGHTS || strcmp(config->data.tokenizer, config->model.path) == 0);
}

enum special_tokens request_special_tokens(const struct config *config)
{
    switch (config->data.special) {
    case CONFIG_SPECIAL_TEXT:
        return SPECIAL_NOWHERE;
    case CONFIG_SPECIAL_FIND:
        return SPECIAL_EVERYWHERE;
    default:
        return SPECIAL_IN_PROMPTS;
    }
}

static enum pipeline_kind schedule_kind(const struct config *config)
{
    switch (config->parallel.schedule) {
    case CONFIG_SCHEDULE_GPIPE:
        return PIPELINE_GPIPE;
    case CONFIG_SCHEDULE_INTERLEAVED:
        return PIPELINE_INTERLEAVED;
    case CONFIG_SCHEDULE_ZERO_BUBBLE:
        return PIPELINE_ZERO_BUBBLE;
    default:
        return PIPELINE_ONE_F_ONE_B;
    }
}

static enum recompute recompute_mode(const struct config *config)
{
    switch (config->parallel.recompute) {
    case CONFIG_RECOMPUTE_SELECTIVE:
        return RECOMPUTE_SELECTIVE;
    case CONFIG_RECOMPUTE_FULL:
        return RECOMPUTE_FULL;
    default:
        return RECOMPUTE_NONE;
    }
}

/* Ops count tokens in 32 bits. */
static int check_tokens(const struct config *config, const struct compile_request *request, struct error *error)
{
    const struct model_family *family = request->model.family;

    if (!request->train || request->micro_batch <= INT32_MAX / request->sequence)
        return STATUS_OK;
    return error_set(
        error, STATUS_USAGE,
        "train.micro_batch is %lld and data.seq_len %lld%s%s%s; at most %d tokens are computed at once, set "
        "smaller ones",
        (long long)request->micro_batch, (long long)request->sequence,
        config->data.seq_len > 0 ? "" : " (not set: the ",
        config->data.seq_len > 0 ? ""
                                 : keys_name(family, model_context(&request->model) < request->model.n_positions
                                                         ? offsetof(struct model_config, sliding_window)
                                                         : offsetof(struct model_config, n_positions)),
        config->data.seq_len > 0 ? "" : " of the model)", INT32_MAX);
}

/* At most data.seq_len or the context, and no longer than `longest` tokens need (0: not known), but for what makes it a
 * multiple of 8, as kernels and the parts of positions like it. */
static int64_t sequence_of(const struct config *config, const struct model_config *model, int64_t longest)
{
    const int64_t most = config->data.seq_len > 0 ? config->data.seq_len : model_context(model);
    const int64_t needed = round_up(longest, 8);

    return longest > 0 && needed < most && most <= model_context(model) ? needed : most;
}

/* Sequences of a batch of an evaluation: those of a microbatch where training has memory for them, or the user says so;
 * else as many as hold EVAL_TOKENS. Batches are of one size, and the last one has as few empty rows as that allows. */
static int size_evaluation(const struct config *config, const struct request_work *work,
                           struct compile_request *request, struct error *error)
{
    const struct sampler_options options = {.seq_len = request->eval_sequence, .pack = config->data.pack};
    struct sampler sampler;
    int64_t batches;
    int status;

    request->eval_batch = request->micro_batch * request->mesh.sizes[MESH_DP];
    if ((work->uses & USE_TRAIN) == 0 && config->train.micro_batch == 0)
        request->eval_batch = round_up(request->eval_sequence < EVAL_TOKENS ? EVAL_TOKENS / request->eval_sequence : 1,
                                       request->mesh.sizes[MESH_DP]);
    if (work->eval == NULL)
        return STATUS_OK;
    status = sampler_start_evaluation(&sampler, work->eval, &options, work->eval_tokens, error);
    if (status != STATUS_OK)
        return status;
    batches = (sampler_rows(&sampler) + request->eval_batch - 1) / request->eval_batch;
    request->eval_batch = round_up((sampler_rows(&sampler) + batches - 1) / batches, request->mesh.sizes[MESH_DP]);
    sampler_finish(&sampler);
    return STATUS_OK;
}

static int64_t longest(const struct config *config, const struct token_set *set)
{
    return set != NULL ? sampler_longest(set, config->data.pack) : 0;
}

int request_make(const struct file_system *fs, const struct config *config, int64_t vocabulary,
                 const struct request_work *work, struct compile_request *request, struct error *error)
{
    int64_t each;
    int status;

    memset(request, 0, sizeof *request);
    status = request_model(fs, config, vocabulary, &request->model, error);
    if (status == STATUS_OK)
        status = layout_mesh(config, work->world > 0 ? work->world : ranks_world(work->ranks),
                             work->world > 0 ? work->rank : ranks_rank(work->ranks), &request->mesh, error);
    if (status == STATUS_OK)
        status = layout_sequence_parallel(config, &request->mesh, &request->sequence_parallel, error);
    if (status != STATUS_OK)
        return status;
    request->seed = (uint64_t)config->run.seed;
    request->sequence =
        sequence_of(config, &request->model, work->uses & USE_GENERATE ? work->text : longest(config, work->train));
    request->eval_sequence = sequence_of(config, &request->model, longest(config, work->eval));
    request->global_batch = config->train.global_batch;
    each = request->global_batch / request->mesh.sizes[MESH_DP];
    request->micro_batch = config->train.micro_batch > 0 ? config->train.micro_batch : each > 0 ? each : 1;
    if (request->micro_batch > each && each > 0 && (work->uses & USE_TRAIN) != 0)
        request->micro_batch = each;
    request->batch_parts = config->numerics.batch_parts;
    request->position_parts = config->numerics.position_parts;
    request->train = work->uses & USE_TRAIN;
    request->generate = work->uses & USE_GENERATE;
    request->dropout = (float)config->model.dropout;
    request->compute_dtype = config->precision.compute == CONFIG_COMPUTE_BF16 ? LLMRUN_BF16 : LLMRUN_F32;
    request->recompute = recompute_mode(config);
    request->schedule = schedule_kind(config);
    request->chunks = (int32_t)config->parallel.chunks;
    /* A group of one rank has the whole state. */
    request->zero = mesh_group_size(&request->mesh, MESH_SHARDS) > 1 ? (int32_t)config->parallel.zero : 0;
    request->loss_chunk = config->parallel.loss_chunk;
    request->update = (struct update_policy){.beta1 = (float)config->optim.beta1,
                                             .beta2 = (float)config->optim.beta2,
                                             .epsilon = (float)config->optim.eps,
                                             .weight_decay = (float)config->optim.weight_decay,
                                             .clip = (float)config->optim.clip};
    status = check_tokens(config, request, error);
    return status == STATUS_OK && (work->uses & USE_EVALUATE) != 0 ? size_evaluation(config, work, request, error)
                                                                   : status;
}

/* Threads that turn text into tokens; their number changes no token. */
static int reader_threads(const struct config *config)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);

    if (config->run.threads > 0)
        return (int)config->run.threads;
    return online < 1 ? 1 : online > 8 ? 8 : (int)online;
}

void request_corpus(const struct config *config, struct corpus_options *options)
{
    options->special = request_special_tokens(config);
    options->mask_prompt = config->data.mask == CONFIG_MASK_PROMPT;
    options->threads = reader_threads(config);
}
