#include "checkpointing/resume.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "checkpoint/find.h"
#include "checkpointing/saver.h"
#include "engine/model_files.h"
#include "engine/path_defaults.h"
#include "engine/stored_model.h"
#include "huggingface/directory.h"

int resume_damaged(int status, struct error *error)
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
        status = resume_damaged(checkpoint_open(fs, path, checkpoint, error), error);
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
static int follow_head_again(struct resume *resume, const struct config *stored, struct error *error)
{
    static const struct config_pair untied = {
        .name = (char *)PATH_TIE_ENTRY, .text = (char *)"false", .source = {CONFIG_PATH, 0}};
    const struct config_map *given = &resume->config.model.overrides;
    const struct config_pair *ours = path_tie_entry(&resume->config), *theirs = path_tie_entry(stored);
    struct config_pair *pairs;
    int64_t count = 0;

    if (resume->config.model.path[0] == '\0' || stored->model.path[0] == '\0' ||
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
    resume->overrides = pairs;
    resume->config.model.overrides = (struct config_map){pairs, count, count};
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

static int compare_config(struct resume *resume, struct error *error)
{
    struct config stored;
    int status = stored_model_read_config(&resume->checkpoint, NULL, &stored, error);

    if (status != STATUS_OK)
        return status;
    resume->steps_before = stored.train.steps;
    follow_path_again(&resume->config, &stored);
    follow_special_tokens(&resume->config, &stored);
    status = follow_head_again(resume, &stored, error);
    if (status == STATUS_OK)
        status = config_check_resume(&stored, &resume->config, error);
    if (status == STATUS_OK)
        status = compare_places(resume->checkpoint.fs, &stored, &resume->config, error);
    config_finish(&stored);
    return status;
}

/* What model.path says may have changed in place, or be another model's in another place. */
static int compare_model(const struct resume *resume, const char *path, struct error *error)
{
    const struct checkpoint *checkpoint = &resume->checkpoint;
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
                      HF_CONFIG_NAME, checkpoint->folder, config_new_run(&resume->config));
    free(now);
    free(stored);
    return status;
}

/* Files that are still where the config says are used, and compared; for others the checkpoint stands in. */
static int locate_files(struct resume *resume, struct error *error)
{
    struct checkpoint *checkpoint = &resume->checkpoint;
    const char *path = resume->config.model.path, *tokenizer = resume->config.data.tokenizer;
    const char *stored = stored_model_tokenizer(checkpoint, &resume->config);
    int status = STATUS_OK;

    resume->files = resume->config;
    if (path[0] != '\0' && model_files_config_in(checkpoint->fs, path)) {
        status = compare_model(resume, path, error);
    } else if (path[0] != '\0' && manifest_find_file(&checkpoint->manifest, HF_CONFIG_NAME) != NULL) {
        resume->files.model.path = checkpoint->folder;
        log_line(LOG_INFO, "model.path %s is gone; its files are taken from %s", path, checkpoint->folder);
    }
    if (stored == checkpoint->folder && !model_files_tokenizer_in(checkpoint->fs, tokenizer)) {
        resume->files.data.tokenizer = checkpoint->folder;
        log_line(LOG_INFO, "data.tokenizer %s is gone; its files are taken from %s", tokenizer, checkpoint->folder);
    }
    return status;
}

/* What rank 0 tells the others: the checkpoint, and which one it was when it opened it. */
struct found {
    uint64_t checksum;     /* of the manifest */
    char folder[PATH_MAX]; /* "": none */
};

static int tell(void *context, const struct ranks_message *given, struct ranks_message *answer, struct error *error)
{
    (void)context;
    return ranks_message_of(given[0].data, given[0].bytes, answer, error);
}

static int open_told(struct resume *resume, const struct file_system *fs, const struct found *found,
                     struct error *error)
{
    int status;

    resume->resumed = found->folder[0] != '\0';
    if (!resume->resumed)
        return STATUS_OK;
    status = checkpoint_open(fs, found->folder, &resume->checkpoint, error);
    if (status == STATUS_OK && resume->checkpoint.manifest.checksum != found->checksum)
        status =
            error_set(error, STATUS_INPUT,
                      "%s is another checkpoint here than on rank 0; run.dir and run.resume must name folders that "
                      "all ranks share",
                      found->folder);
    return status;
}

/* Rank 0 finds it, the others open it. */
static int find_together(struct resume *resume, const struct file_system *fs, const char *run_folder,
                         struct error *error)
{
    const bool leads = resume->ranks == NULL || resume->ranks->rank == 0;
    struct ranks_message mine = {NULL, 0}, told;
    struct found found = {0};
    int status = STATUS_OK;

    if (leads)
        status =
            find_checkpoint(fs, resume->config.run.resume, run_folder, &resume->checkpoint, &resume->resumed, error);
    if (resume->ranks == NULL)
        return status;
    if (leads && status == STATUS_OK && resume->resumed) {
        found.checksum = resume->checkpoint.manifest.checksum;
        memcpy(found.folder, resume->checkpoint.folder, sizeof found.folder);
    }
    if (leads)
        mine = (struct ranks_message){(char *)&found, sizeof found};
    status = ranks_meet(resume->ranks, status, &mine, tell, NULL, &told, error);
    if (status == STATUS_OK && told.bytes != (int64_t)sizeof found)
        status = error_set(error, STATUS_PEER, "rank 0 did not say which checkpoint it found");
    if (status == STATUS_OK && !leads) {
        memcpy(&found, told.data, sizeof found);
        status = open_told(resume, fs, &found, error);
    }
    free(told.data);
    return status;
}

int resume_find(struct resume *resume, const struct file_system *fs, const struct config *given, const char *run_folder,
                const struct checkpoint_ranks *ranks, struct error *error)
{
    int status;

    *resume = (struct resume){.config = *given, .files = *given, .fs = checkpoint_files_anywhere(), .ranks = ranks};
    status = find_together(resume, fs, run_folder, error);
    if (status == STATUS_OK && resume->resumed)
        status = compare_config(resume, error);
    if (status == STATUS_OK && resume->resumed)
        status = locate_files(resume, error);
    if (status == STATUS_OK && resume->resumed)
        resume->fs = checkpoint_files(&resume->checkpoint);
    status = ranks_agree(ranks, status, error);
    if (status != STATUS_OK)
        resume_close(resume);
    return status;
}

void resume_close(struct resume *resume)
{
    checkpoint_close(&resume->checkpoint);
}

void resume_finish(struct resume *resume)
{
    free(resume->overrides);
    resume->overrides = NULL;
}
