#include "train/trainer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "checkpoint/find.h"
#include "checkpoint/folder.h"
#include "checkpointing/space.h"
#include "engine/path_defaults.h"
#include "engine/stored_model.h"
#include "program/text.h"
#include "train/run.h"
#include "train/schedule_notes.h"
#include "train/stop.h"

/* The bound of the data's tokens: the tokenizer's, or the model's where that has fewer. */
static int find_vocabulary(const struct trainer *trainer, int32_t *vocabulary, struct error *error)
{
    struct model_config model;
    int status = request_model(trainer->resume.fs, &trainer->resume.files, tokenizer_vocabulary(trainer->tokenizer),
                               &model, error);

    *vocabulary = tokenizer_vocabulary(trainer->tokenizer);
    if (status == STATUS_OK && model.vocab_size < *vocabulary)
        *vocabulary = (int32_t)model.vocab_size;
    return status;
}

static int load_data(struct trainer *trainer, struct error *error)
{
    const struct config *config = trainer->config;
    struct corpus_options options = {
        .train = (const char *const *)config->data.train.items,
        .train_count = config->data.train.count,
        .valid = (const char *const *)config->data.valid.items,
        .valid_count = config->data.valid.count,
        .valid_split = config->data.valid_split,
        .builtin = trainer->options.builtin,
        .builtin_bytes = trainer->options.builtin_bytes,
    };
    int status =
        tokenizer_open_from(trainer->resume.fs, trainer->resume.files.data.tokenizer, &trainer->tokenizer, error);

    request_corpus(config, &options);
    if (status != STATUS_OK)
        return status;
    if (config->model.path[0] != '\0' && config->sources[CONFIG_KEY_data_tokenizer].level == CONFIG_DEFAULT)
        log_line(LOG_WARNING, "%s holds no tokenizer: texts are read as %s; data.tokenizer names another",
                 config->model.path, config->data.tokenizer);
    status = find_vocabulary(trainer, &options.vocabulary, error);
    if (status == STATUS_OK)
        status = corpus_load(&options, trainer->tokenizer, &trainer->train_set, &trainer->valid_set, error);
    if (status != STATUS_OK)
        return status;
    trainer->has_valid = trainer->valid_set.count > 0;
    trainer->state.tokenizer_hash = tokenizer_hash(trainer->tokenizer);
    trainer->state.data_hash = token_set_hash(&trainer->train_set);
    return STATUS_OK;
}

static int start_engine(struct trainer *trainer, struct error *error)
{
    const struct request_work work = {.uses = USE_TRAIN | (trainer->has_valid ? USE_EVALUATE : 0),
                                      .train = &trainer->train_set,
                                      .eval = trainer->has_valid ? &trainer->valid_set : NULL,
                                      .eval_tokens = trainer->config->train.eval_tokens,
                                      .ranks = trainer->options.ranks,
                                      .hashes = {.tokenizer = trainer->state.tokenizer_hash,
                                                 .train = trainer->state.data_hash,
                                                 .eval = token_set_hash(&trainer->valid_set),
                                                 .weights = trainer->weights_hash}};

    return engine_open(&trainer->engine, trainer->resume.fs, &trainer->resume.files,
                       tokenizer_vocabulary(trainer->tokenizer), &work, error);
}

static int start_samplers(struct trainer *trainer, struct error *error)
{
    struct sampler_options options = {.seq_len = trainer->engine.request.sequence,
                                      .pack = trainer->config->data.pack,
                                      .seed = trainer->engine.request.seed};
    int status = sampler_start_training(&trainer->train_sampler, &trainer->train_set, &options, error);

    options.seq_len = compile_eval_sequence(&trainer->engine.request);
    if (status == STATUS_OK && trainer->has_valid)
        status = sampler_start_evaluation(&trainer->valid_sampler, &trainer->valid_set, &options,
                                          trainer->config->train.eval_tokens, error);
    return status;
}

/* The last part of a path, without slashes behind it. */
static const char *last_part(const char *path, int *length)
{
    const char *end = path + strlen(path), *begin;

    while (end > path && end[-1] == '/')
        end--;
    for (begin = end; begin > path && begin[-1] != '/';)
        begin--;
    *length = (int)(end - begin);
    return begin;
}

/* Without run.dir: runs/<preset or name of model.path>-<UTC time>, with a number after it where that is taken. */
static int name_folder(struct trainer *trainer, struct error *error)
{
    const struct config *config = trainer->config;
    time_t now = (time_t)trainer->options.clock->utc_s(trainer->options.clock);
    const char *name = config->model.preset;
    int name_length = (int)strlen(name);
    char base[256], stamp[32];
    struct tm utc;

    if (config->run.dir[0] != '\0') {
        if (snprintf(trainer->folder, sizeof trainer->folder, "%s", config->run.dir) >= (int)sizeof trainer->folder)
            return error_set(error, STATUS_USAGE, "run.dir: the path is too long");
        return STATUS_OK;
    }
    if (config->model.path[0] != '\0')
        name = last_part(config->model.path, &name_length);
    gmtime_r(&now, &utc);
    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &utc);
    snprintf(base, sizeof base, "runs/%.*s-%s", name_length < 100 ? name_length : 100, name, stamp);
    snprintf(trainer->folder, sizeof trainer->folder, "%s", base);
    for (int i = 2; access(trainer->folder, F_OK) == 0; i++)
        snprintf(trainer->folder, sizeof trainer->folder, "%s.%d", base, i);
    return STATUS_OK;
}

static int write_file(struct trainer *trainer, const char *name, const char *text, int64_t bytes, struct error *error)
{
    const struct file_system *fs = trainer->options.fs;
    char path[4200];
    int handle, status;

    file_join(path, sizeof path, trainer->folder, name);
    handle = fs->open(fs, path, FILE_CREATE);
    if (handle < 0)
        return error_set(error, STATUS_STORAGE, "%s: %s", path, file_problem_text(-handle));
    status = file_write_all(fs, handle, path, text, (size_t)bytes, error);
    if (fs->close(fs, handle) != 0 && status == STATUS_OK)
        status = error_set(error, STATUS_STORAGE, "%s: could not be closed", path);
    return status;
}

/* config.yaml is the user's file as it was; config.resolved.yaml is every key. */
static int write_configs(struct trainer *trainer, struct error *error)
{
    const struct config *config = trainer->config;
    char *text = NULL;
    int64_t bytes;
    int status = STATUS_OK;

    if (config->file != NULL) {
        status = file_read_all(trainer->options.fs, config->file, (int64_t)1 << 20, &text, &bytes, error);
        if (status == STATUS_OK)
            status = write_file(trainer, "config.yaml", text, bytes, error);
        free(text);
    }
    if (status == STATUS_OK)
        status = config_to_text(config, true, &text, error);
    if (status == STATUS_OK) {
        status = write_file(trainer, STORED_CONFIG_NAME, text, (int64_t)strlen(text), error);
        free(text);
    }
    return status;
}

/* Nobody else saves into a folder or removes from it while its checkpoints are looked at. */
static int take_folder(struct trainer *trainer, struct error *error)
{
    int status = name_folder(trainer, error);

    return status == STATUS_OK && folder_exists(trainer->folder)
               ? run_lock_acquire(trainer->folder, &trainer->lock, error)
               : status;
}

/* The folder is rank 0's. */
static int find_resume(struct trainer *trainer, struct error *error)
{
    struct ranks *ranks = trainer->options.ranks;
    int status = checkpoint_channel_init(&trainer->channel, ranks, error);

    if (status == STATUS_OK && ranks_is_first(ranks))
        status = take_folder(trainer, error);
    status = ranks_together(ranks, status, error);
    if (status == STATUS_OK)
        status = ranks_share(ranks, trainer->folder, sizeof trainer->folder, error);
    if (status == STATUS_OK)
        status = resume_find(&trainer->resume, trainer->options.fs, trainer->options.config, trainer->folder,
                             checkpoint_channel_ranks(&trainer->channel), error);
    trainer->config = &trainer->resume.config;
    return status;
}

/* A folder that was not there when the run looked for its origin. */
static int make_folder(struct trainer *trainer, struct error *error)
{
    char path[PATH_MAX], below[PATH_MAX];
    bool found = false;
    int status = file_make_folders(trainer->options.fs, trainer->folder, error);

    if (status == STATUS_OK)
        status = run_lock_acquire(trainer->folder, &trainer->lock, error);
    if (status != STATUS_OK || trainer->resume.resumed)
        return status;
    if (file_join(below, sizeof below, trainer->folder, SAVER_FOLDER))
        status = checkpoint_find_newest(trainer->options.fs, below, path, &found, error);
    if (status == STATUS_OK && found)
        status =
            error_set(error, STATUS_USAGE, "another run has saved %s meanwhile; start again to go on from it", path);
    return status;
}

/* A run that cannot start makes no folder. */
static int open_folder(struct trainer *trainer, struct error *error)
{
    int status = trainer->lock.handle < 0 ? make_folder(trainer, error) : STATUS_OK;

    if (status == STATUS_OK)
        status = metrics_open(&trainer->metrics, trainer->options.fs, trainer->folder, error);
    return status;
}

/* What a new run starts with, when nothing can refuse it any more but the disk. */
static int tell_resume(const struct trainer *trainer, struct error *error)
{
    return trainer->resume.resumed ? STATUS_OK : path_defaults_tell(trainer->resume.fs, trainer->config, error);
}

static void make_run_id(struct trainer *trainer)
{
    const struct clock *clock = trainer->options.clock;
    uint64_t mixed = (uint64_t)clock->monotonic_ns(clock) * 0x9E3779B97F4A7C15u ^ (uint64_t)clock->utc_s(clock) << 20 ^
                     (uint64_t)getpid();

    snprintf(trainer->state.run_id, sizeof trainer->state.run_id, "%016" PRIx64, mixed);
}

/* Stored weights are compared with the model before anything of its size is made. */
static int open_pretrained(struct trainer *trainer, struct error *error)
{
    const struct config *config = trainer->config;
    struct model_config model;
    int status;

    trainer->weights_hash = trainer->resume.resumed ? trainer->resume.checkpoint.manifest.checksum : 0;
    if (trainer->resume.resumed || config->model.init != CONFIG_INIT_WEIGHTS)
        return STATUS_OK;
    status = request_model(trainer->resume.fs, config, tokenizer_vocabulary(trainer->tokenizer), &model, error);
    if (status == STATUS_OK)
        status = pretrained_open(&trainer->pretrained, trainer->resume.fs, config->model.path, &model, error);
    if (status == STATUS_OK && trainer->options.ranks != NULL)
        status = pretrained_hash(&trainer->pretrained, &trainer->weights_hash, error);
    return status;
}

static int first_weights(struct trainer *trainer, struct error *error)
{
    int status = engine_initialise(&trainer->engine, error);

    if (status != STATUS_OK || trainer->config->model.init != CONFIG_INIT_WEIGHTS)
        return status;
    status = pretrained_load(&trainer->pretrained, trainer->engine.executor, error);
    if (status == STATUS_OK)
        status = engine_cast_weights(&trainer->engine, error);
    return status;
}

static int start_weights(struct trainer *trainer, struct error *error)
{
    struct checkpoint *checkpoint = &trainer->resume.checkpoint;
    int status;

    if (!trainer->resume.resumed) {
        make_run_id(trainer);
        status = ranks_share(trainer->options.ranks, trainer->state.run_id, sizeof trainer->state.run_id, error);
        return status == STATUS_OK ? first_weights(trainer, error) : status;
    }
    status = saver_restore(&trainer->saver, checkpoint, &trainer->state, error);
    trainer->bytes_read = checkpoint->bytes_read;
    if (status == STATUS_OK)
        log_line(LOG_INFO, "resuming from %s", checkpoint->folder);
    return status;
}

static void report_start(struct trainer *trainer)
{
    const struct engine *engine = &trainer->engine;
    uint64_t hash = 0;
    struct error ignored;
    struct text device = {0};

    text_add_json(&device, engine->chosen.device->info.architecture);
    config_hash(trainer->config, &hash, &ignored);
    metrics_event(&trainer->metrics, "start",
                  "\"version\":\"%s\",\"config\":\"%016" PRIx64 "\",\"program\":\"%016" PRIx64
                  "\",\"step\":%lld,\"backend\":\"%s\","
                  "\"device\":%s,\"exact\":%s,\"mem_bytes\":%lld,\"bytes_read\":%lld",
                  LLMRUN_VERSION, hash, program_hash(&executor_compiled(engine->executor)->program),
                  (long long)trainer->state.step, engine->chosen.backend->name, device.failed ? "null" : device.data,
                  engine->request.exact ? "true" : "false",
                  (long long)executor_compiled(engine->executor)->plan.total_bytes, (long long)trainer->bytes_read);
    text_finish(&device);
    if (trainer->options.observer.started != NULL)
        trainer->options.observer.started(trainer->options.observer.context, trainer);
}

static void say_schedule(const struct trainer *trainer)
{
    char *decay = config_value_text(trainer->config, CONFIG_KEY_optim_decay);

    schedule_notes(&trainer->schedule, decay != NULL ? decay : "", trainer->first_step, trainer->resume.steps_before);
    free(decay);
}

/* What is made of data and device, by each rank for itself. */
static int start(struct trainer *trainer, struct error *error)
{
    int status = load_data(trainer, error);

    if (status == STATUS_OK)
        status = open_pretrained(trainer, error);
    status = ranks_together(trainer->options.ranks, status, error);
    if (status == STATUS_OK)
        status = start_engine(trainer, error);
    if (status == STATUS_OK)
        status = start_samplers(trainer, error);
    return ranks_together(trainer->options.ranks, status, error);
}

/* The run folder, which is rank 0's. */
static int start_folder(struct trainer *trainer, struct error *error)
{
    struct ranks *ranks = trainer->options.ranks;
    int status = ranks_together(ranks, ranks_is_first(ranks) ? tell_resume(trainer, error) : STATUS_OK, error);

    if (status == STATUS_OK)
        status = space_check(trainer->options.fs, &trainer->resume, trainer->folder,
                             &executor_compiled(trainer->engine.executor)->program, error);
    if (status == STATUS_OK && ranks_is_first(ranks))
        status = open_folder(trainer, error);
    status = ranks_together(ranks, status, error);
    if (status == STATUS_OK)
        ranks_name_folder(ranks, trainer->options.fs, trainer->folder);
    return status;
}

static int start_state(struct trainer *trainer, struct error *error)
{
    int status =
        saver_create(&trainer->saver, trainer->options.fs, trainer->folder, &trainer->resume, &trainer->engine, error);

    if (status == STATUS_OK)
        status = start_weights(trainer, error);
    pretrained_close(&trainer->pretrained);
    resume_close(&trainer->resume);
    if (status == STATUS_OK && ranks_is_first(trainer->options.ranks))
        status = write_configs(trainer, error);
    return ranks_together(trainer->options.ranks, status, error);
}

int trainer_create(const struct trainer_options *options, struct trainer **out, struct error *error)
{
    struct trainer *trainer = calloc(1, sizeof *trainer);
    int status;

    if (trainer == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the trainer");
    trainer->options = *options;
    trainer->config = options->config;
    trainer->created_ns = options->clock->monotonic_ns(options->clock);
    trainer->lock.handle = -1;
    trainer->metrics.handle = -1;
    learning_rate_of_config(trainer->config, &trainer->schedule);
    status = find_resume(trainer, error);
    if (status == STATUS_OK)
        status = start(trainer, error);
    if (status == STATUS_OK)
        status = start_folder(trainer, error);
    if (status == STATUS_OK)
        status = start_state(trainer, error);
    trainer->first_step = trainer->state.step;
    if (status == STATUS_OK)
        *out = trainer;
    else
        trainer_destroy(trainer);
    return status;
}

void trainer_destroy(struct trainer *trainer)
{
    if (trainer == NULL)
        return;
    saver_destroy(&trainer->saver);
    pretrained_close(&trainer->pretrained);
    resume_close(&trainer->resume);
    metrics_close(&trainer->metrics);
    run_lock_release(&trainer->lock);
    sampler_finish(&trainer->train_sampler);
    sampler_finish(&trainer->valid_sampler);
    engine_close(&trainer->engine);
    checkpoint_channel_finish(&trainer->channel);
    token_set_finish(&trainer->train_set);
    token_set_finish(&trainer->valid_set);
    tokenizer_close(trainer->tokenizer);
    resume_finish(&trainer->resume);
    free(trainer);
}

int trainer_run(struct trainer *trainer, struct error *error)
{
    int status;

    /* Rank 0 answers a signal; the others hear from it when to stop. */
    stop_listen(ranks_is_first(trainer->options.ranks) ? trainer->folder : NULL, trainer->first_step + 1);
    report_start(trainer);
    say_schedule(trainer);
    status = loop_run(trainer, error);
    if (status == STATUS_OK && trainer->options.observer.ended != NULL)
        status = trainer->options.observer.ended(trainer->options.observer.context, error);
    metrics_event(&trainer->metrics, "stop", "\"step\":%lld,\"reason\":\"%s\",\"exit_code\":%d",
                  (long long)trainer->state.step,
                  status == STATUS_OK        ? "done"
                  : status == STATUS_STOPPED ? trainer->stop_reason
                                             : "failed",
                  status);
    return status;
}

const struct engine *trainer_engine(const struct trainer *trainer)
{
    return &trainer->engine;
}

const char *trainer_folder(const struct trainer *trainer)
{
    return trainer->folder;
}

int64_t trainer_first_step(const struct trainer *trainer)
{
    return trainer->first_step;
}

int64_t trainer_steps(const struct trainer *trainer)
{
    return trainer->config->train.steps;
}

int64_t trainer_train_tokens(const struct trainer *trainer)
{
    return trainer->train_set.count;
}

int64_t trainer_valid_tokens(const struct trainer *trainer)
{
    return trainer->valid_set.count;
}
