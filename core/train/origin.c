#include "train/origin.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "checkpoint/find.h"
#include "huggingface/directory.h"
#include "train/model_files.h"
#include "train/path_defaults.h"
#include "train/saver.h"
#include "train/stored_model.h"

int origin_damaged(int status, struct error *error)
{
    char found[sizeof error->message];

    if (status != STATUS_INPUT || error == NULL)
        return status;
    memcpy(found, error->message, sizeof found);
    return error_set(error, status, "%.900s; run.resume can name an older checkpoint", found);
}

/* Opens the checkpoint to go on from: *found is false for a fresh start. */
static int find_checkpoint(const struct file_system *fs, const char *resume, const char *run_folder,
                           struct checkpoint *checkpoint, bool *found, struct error *error)
{
    char folder[PATH_MAX], path[PATH_MAX];
    int status;

    *found = false;
    if (strcmp(resume, "none") != 0 && strcmp(resume, "auto") != 0) {
        status = checkpoint_open_given(fs, resume, checkpoint, error);
        *found = status == STATUS_OK;
        return status;
    }
    if (!file_join(folder, sizeof folder, run_folder, SAVER_FOLDER))
        return error_set(error, STATUS_USAGE, "run.dir: the path is too long");
    status = checkpoint_find_newest(fs, folder, path, found, error);
    /* Beside a fresh start, later steps of the old run would be taken for its newest. */
    if (status == STATUS_OK && *found && strcmp(resume, "none") == 0)
        return error_set(error, STATUS_USAGE, "run.resume is none, and %s is there already; name another run.dir",
                         path);
    if (status == STATUS_OK && *found)
        status = origin_damaged(checkpoint_open(fs, path, checkpoint, error), error);
    return status;
}

/* Where nobody sets data.tokenizer it follows from what model.path holds; that may be gone. So may be what
 * model.dropout follows from, and runs that are older than that have none. */
static void follow_path_again(struct config *now, const struct config *stored)
{
    if (now->sources[CONFIG_KEY_model_dropout].level <= CONFIG_PATH && now->model.path[0] != '\0' &&
        stored->model.path[0] != '\0')
        now->model.dropout = stored->model.dropout;
    if (now->sources[CONFIG_KEY_data_tokenizer].level != CONFIG_DEFAULT || now->model.path[0] == '\0' ||
        strcmp(stored->data.tokenizer, stored->model.path) != 0)
        return;
    now->data.tokenizer = now->model.path;
    now->sources[CONFIG_KEY_data_tokenizer] = (struct config_source){.level = CONFIG_PATH};
}

/* Whether the head is the embedding followed from weights that may be gone, or others by now. */
static int follow_head_again(struct origin *origin, const struct config *stored, struct error *error)
{
    static const struct config_pair untied = {
        .name = (char *)PATH_TIE_ENTRY, .text = (char *)"false", .source = {CONFIG_PATH, 0}};
    const struct config_map *given = &origin->config.model.overrides;
    const struct config_pair *ours = path_tie_entry(&origin->config), *theirs = path_tie_entry(stored);
    struct config_pair *pairs;
    int64_t count = 0;

    if (origin->config.model.path[0] == '\0' || stored->model.path[0] == '\0' ||
        (ours != NULL && ours->source.level != CONFIG_PATH) || (ours != NULL) == (theirs != NULL) ||
        (theirs != NULL && strcmp(theirs->text, untied.text) != 0))
        return STATUS_OK;
    pairs = malloc((size_t)(given->count + 1) * sizeof *pairs);
    if (pairs == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for model.overrides");
    for (int64_t i = 0; i < given->count; i++)
        if (&given->pairs[i] != ours)
            pairs[count++] = given->pairs[i];
    if (theirs != NULL)
        pairs[count++] = untied;
    origin->overrides = pairs;
    origin->config.model.overrides = (struct config_map){pairs, count, count};
    return STATUS_OK;
}

/* A name that differs has to name files, or nothing says that it is the same model and tokenizer in another place. */
static int compare_places(const struct file_system *fs, const struct config *stored, const struct config *now,
                          struct error *error)
{
    if (strcmp(stored->model.path, now->model.path) != 0 && !model_files_config_in(fs, now->model.path))
        return config_differs(stored, now, CONFIG_KEY_model_path, ", and the first has no config.json to compare",
                              error);
    if (strcmp(stored->data.tokenizer, now->data.tokenizer) != 0 && !model_files_tokenizer_in(fs, now->data.tokenizer))
        return config_differs(stored, now, CONFIG_KEY_data_tokenizer, ", and the first holds no tokenizer to compare",
                              error);
    return STATUS_OK;
}

/* Runs of versions without data.special, which write no such key, found special tokens nowhere in data. Where nobody
 * sets it now, it is what the run began with. */
static void follow_special_tokens(struct config *now, struct config *stored)
{
    if (stored->sources[CONFIG_KEY_data_special].level == CONFIG_DEFAULT)
        stored->data.special = CONFIG_SPECIAL_TEXT;
    if (now->sources[CONFIG_KEY_data_special].level == CONFIG_DEFAULT)
        now->data.special = stored->data.special;
}

static int compare_config(struct origin *origin, struct error *error)
{
    struct config stored;
    int status = saver_read_config(&origin->checkpoint, NULL, &stored, error);

    if (status != STATUS_OK)
        return status;
    origin->steps_before = stored.train.steps;
    follow_path_again(&origin->config, &stored);
    follow_special_tokens(&origin->config, &stored);
    status = follow_head_again(origin, &stored, error);
    if (status == STATUS_OK)
        status = config_check_resume(&stored, &origin->config, error);
    if (status == STATUS_OK)
        status = compare_places(origin->checkpoint.fs, &stored, &origin->config, error);
    config_free(&stored);
    return status;
}

/* What model.path says may have changed in place, or be another model's in another place. */
static int compare_model(const struct origin *origin, const char *path, struct error *error)
{
    const struct checkpoint *checkpoint = &origin->checkpoint;
    char name[PATH_MAX], *now = NULL, *stored = NULL;
    int64_t now_bytes = 0, stored_bytes = 0;
    int status;

    if (!file_join(name, sizeof name, path, HF_CONFIG_NAME))
        return error_set(error, STATUS_USAGE, "model.path: the path is too long");
    status = file_read_all(checkpoint_files(checkpoint), name, MODEL_FILES_LIMIT, &now, &now_bytes, error);
    if (status == STATUS_OK)
        status = checkpoint_read_file(checkpoint, HF_CONFIG_NAME, &stored, &stored_bytes, error);
    if (status == STATUS_OK && (stored_bytes != now_bytes || memcmp(stored, now, (size_t)now_bytes) != 0))
        status =
            error_set(error, STATUS_USAGE,
                      "model.path: its %s is not the one that %s was made with; use the same, or start a new run with "
                      "%s",
                      HF_CONFIG_NAME, checkpoint->folder, config_new_run(&origin->config));
    free(now);
    free(stored);
    return status;
}

/* Files that are still where the config says are used, and compared; for others the checkpoint stands in. */
static int locate_files(struct origin *origin, struct error *error)
{
    struct checkpoint *checkpoint = &origin->checkpoint;
    const char *path = origin->config.model.path, *tokenizer = origin->config.data.tokenizer;
    const char *stored = stored_model_tokenizer(checkpoint, &origin->config);
    int status = STATUS_OK;

    origin->files = origin->config;
    if (path[0] != '\0' && model_files_config_in(checkpoint->fs, path)) {
        status = compare_model(origin, path, error);
    } else if (path[0] != '\0' && manifest_find_file(&checkpoint->manifest, HF_CONFIG_NAME) != NULL) {
        origin->files.model.path = checkpoint->folder;
        log_line(LOG_INFO, "model.path %s is gone; its files are taken from %s", path, checkpoint->folder);
    }
    if (stored == checkpoint->folder && !model_files_tokenizer_in(checkpoint->fs, tokenizer)) {
        origin->files.data.tokenizer = checkpoint->folder;
        log_line(LOG_INFO, "data.tokenizer %s is gone; its files are taken from %s", tokenizer, checkpoint->folder);
    }
    return status;
}

int origin_find(struct origin *origin, const struct file_system *fs, const struct config *given, const char *run_folder,
                struct error *error)
{
    int status;

    *origin = (struct origin){.config = *given, .files = *given, .fs = checkpoint_files_anywhere()};
    status = find_checkpoint(fs, given->run.resume, run_folder, &origin->checkpoint, &origin->resumed, error);
    if (status != STATUS_OK || !origin->resumed)
        return status;
    status = compare_config(origin, error);
    if (status == STATUS_OK)
        status = locate_files(origin, error);
    if (status == STATUS_OK)
        origin->fs = checkpoint_files(&origin->checkpoint);
    else
        origin_close(origin);
    return status;
}

void origin_close(struct origin *origin)
{
    checkpoint_close(&origin->checkpoint);
}

void origin_free(struct origin *origin)
{
    free(origin->overrides);
    origin->overrides = NULL;
}
