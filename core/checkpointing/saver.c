#include "checkpointing/saver.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "checkpoint/branch.h"
#include "engine/stored_model.h"

/* A run that has no memory for it is not to learn that after hours. */
static int make_snapshot_memory(struct saver *saver, struct error *error)
{
    char *at;

    saver->snapshot = malloc((size_t)saver->list.bytes + 1);
    saver->data = malloc((size_t)(saver->list.count + 1) * sizeof *saver->data);
    if (saver->snapshot == NULL || saver->data == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for a snapshot of %lld bytes", (long long)saver->list.bytes);
    at = saver->snapshot;
    for (int64_t i = 0; i < saver->list.count; i++) {
        saver->data[i] = at;
        at += state_dict_box_bytes(&saver->list, i);
    }
    return STATUS_OK;
}

static int find_folder(struct saver *saver, const char *run_folder, const struct resume *resume, struct error *error)
{
    if (!file_join(saver->folder, sizeof saver->folder, run_folder, SAVER_FOLDER))
        return error_set(error, STATUS_USAGE, "run.dir: the path is too long");
    if (!resume->resumed || (resume->ranks != NULL && resume->ranks->rank != 0))
        return STATUS_OK;
    return checkpoint_branch_of_run(saver->fs, saver->folder, &resume->checkpoint.manifest, &saver->branch, error);
}

static int make_list(struct saver *saver, struct error *error)
{
    const struct compiled *compiled = executor_compiled(saver->engine->executor);
    int status = state_dict_make(&compiled->program, &saver->list, error);

    if (status == STATUS_OK && saver->ranks != NULL)
        state_dict_own(&saver->list, &compiled->program, &compiled->mesh);
    return status == STATUS_OK ? make_snapshot_memory(saver, error) : status;
}

int saver_create(struct saver *saver, const struct file_system *fs, const char *run_folder, const struct resume *resume,
                 struct engine *engine, struct error *error)
{
    const struct config *config = &resume->config;
    int status;

    memset(saver, 0, sizeof *saver);
    saver->fs = fs;
    saver->ranks = resume->ranks;
    saver->engine = engine;
    saver->keep = config->checkpoint.keep;
    saver->new_run = config_new_run(config);
    saver->last_step = -1;
    saver->unreported = -1;
    status = find_folder(saver, run_folder, resume, error);
    if (status == STATUS_OK)
        status = make_list(saver, error);
    if (status == STATUS_OK)
        status = config_to_text(config, false, &saver->config_text, error);
    if (status == STATUS_OK)
        status = model_files_read(resume->fs, &resume->files, &saver->model, error);
    if (status == STATUS_OK && config->checkpoint.async)
        status = checkpoint_async_create(&saver->async, error);
    status = ranks_agree(saver->ranks, status, error);
    if (status != STATUS_OK) {
        saver_destroy(saver);
        return status;
    }
    saver->files[0] =
        (struct checkpoint_blob){STORED_CONFIG_NAME, saver->config_text, (int64_t)strlen(saver->config_text)};
    memcpy(saver->files + 1, saver->model.blobs, sizeof saver->model.blobs);
    return STATUS_OK;
}

void saver_destroy(struct saver *saver)
{
    checkpoint_async_destroy(saver->async);
    state_dict_finish(&saver->list);
    free(saver->config_text);
    model_files_finish(&saver->model);
    checkpoint_state_finish(&saver->described);
    free(saver->snapshot);
    free(saver->data);
    memset(saver, 0, sizeof *saver);
}

static int describe_state(const struct train_state *state, int64_t branch, struct checkpoint_state *out,
                          struct error *error)
{
    char hash[24];
    int status = checkpoint_state_set_integer(out, "step", state->step, error);

    if (status == STATUS_OK)
        status = checkpoint_state_set_integer(out, "tokens", state->tokens, error);
    snprintf(hash, sizeof hash, "%016" PRIx64, state->data_hash);
    if (status == STATUS_OK)
        status = checkpoint_state_set_text(out, "data", hash, error);
    snprintf(hash, sizeof hash, "%016" PRIx64, state->tokenizer_hash);
    if (status == STATUS_OK)
        status = checkpoint_state_set_text(out, "tokenizer", hash, error);
    if (status == STATUS_OK && branch > 0)
        status = checkpoint_state_set_integer(out, MANIFEST_BRANCH_KEY, branch, error);
    return status;
}

/* With a refusal there is nothing to save, which other ranks have to learn. */
static int start_save(struct saver *saver, const struct train_state *state, const struct error *refusal,
                      struct error *error)
{
    const struct checkpoint_snapshot snapshot = {
        .target = {.fs = saver->fs, .folder = saver->folder, .step = state->step, .run_id = state->run_id},
        .forms = saver->list.forms,
        .data = saver->data,
        .count = saver->list.count,
        .files = saver->files,
        .file_count = 1 + saver->model.count,
        .state = &saver->described,
        .keep = saver->keep,
        .ranks = saver->ranks,
        .slices = saver->ranks != NULL ? saver->list.slices : NULL,
        .refusal = *refusal,
    };

    return saver->async != NULL ? checkpoint_async_start(saver->async, &snapshot, error)
                                : checkpoint_save(&snapshot, NULL, error);
}

int saver_save(struct saver *saver, const struct train_state *state, struct error *error)
{
    struct error refusal = {0};
    int status = state_dict_snapshot(saver->engine->executor, &saver->list, saver->snapshot, &refusal);

    if (status == STATUS_OK)
        status = state_dict_check_finite(&saver->list, saver->snapshot, &refusal);
    if (status == STATUS_OK)
        status = describe_state(state, saver->branch, &saver->described, &refusal);
    if (status != STATUS_OK && saver->ranks == NULL)
        return error_set(error, status, "%s", refusal.message);
    status = start_save(saver, state, &refusal, error);
    if (status == STATUS_OK)
        saver->last_step = saver->unreported = state->step;
    return status;
}

bool saver_busy(const struct saver *saver)
{
    return saver->async != NULL && checkpoint_async_busy(saver->async);
}

int saver_wait(struct saver *saver, int64_t *step, struct error *error)
{
    int status = saver->async != NULL ? checkpoint_async_wait(saver->async, NULL, error) : STATUS_OK;

    if (step != NULL)
        *step = saver->unreported;
    saver->unreported = -1;
    if (status != STATUS_OK)
        saver->last_step = -1;
    return status;
}

static int compare_hash(const struct checkpoint *checkpoint, const char *key, const char *config_key, uint64_t now,
                        const char *new_run, struct error *error)
{
    const char *stored = checkpoint_state_text(&checkpoint->manifest.state, key);
    char hash[24];

    snprintf(hash, sizeof hash, "%016" PRIx64, now);
    if (stored == NULL || strcmp(stored, hash) != 0)
        return error_set(error, STATUS_USAGE,
                         "%s: %s holds other contents than when %s was saved; use the same, or start a new run with %s",
                         config_key, key, checkpoint->folder, new_run);
    return STATUS_OK;
}

static int load(struct saver *saver, struct checkpoint *checkpoint, struct train_state *state, struct error *error)
{
    int status = compare_hash(checkpoint, "tokenizer", "data.tokenizer", state->tokenizer_hash, saver->new_run, error);

    if (status == STATUS_OK)
        status = compare_hash(checkpoint, "data", "data.train", state->data_hash, saver->new_run, error);
    if (status == STATUS_OK && (!checkpoint_state_integer(&checkpoint->manifest.state, "step", &state->step) ||
                                !checkpoint_state_integer(&checkpoint->manifest.state, "tokens", &state->tokens)))
        status = error_set(error, STATUS_INPUT, "%s: its manifest has no step and tokens", checkpoint->folder);
    if (status == STATUS_OK)
        status = resume_damaged(state_dict_load(saver->engine->executor, &saver->list, checkpoint, error), error);
    return status == STATUS_OK ? engine_cast_weights(saver->engine, error) : status;
}

int saver_restore(struct saver *saver, struct checkpoint *checkpoint, struct train_state *state, struct error *error)
{
    int status = ranks_agree(saver->ranks, load(saver, checkpoint, state, error), error);

    if (status == STATUS_OK) {
        snprintf(state->run_id, sizeof state->run_id, "%.63s", checkpoint->manifest.run_id);
        saver->last_step = state->step;
        log_line(LOG_DEBUG, "%s: %lld bytes of tensors were read, of which this rank has %lld", checkpoint->folder,
                 (long long)checkpoint->bytes_read, (long long)saver->list.bytes);
    }
    return status;
}
