/* The small files that travel with a model: its tokenizer and what else a Hugging Face directory says of it. */
#ifndef LLMRUN_ENGINE_MODEL_FILES_H
#define LLMRUN_ENGINE_MODEL_FILES_H

#include "checkpoint/checkpoint.h"
#include "checkpoint/save.h"
#include "config/config.h"

#define MODEL_FILES       10
#define MODEL_FILES_LIMIT ((int64_t)256 << 20) /* bytes of one */

/* Owns the data of its blobs; zero-initialised it is empty. */
struct model_files {
    struct checkpoint_blob blobs[MODEL_FILES];
    int count;
};

/* Reads those that are there: tokenizer files from the folder data.tokenizer, others from model.path. STATUS_INPUT
 * names one that cannot be what its name says: JSON, UTF-8, and not a Git LFS pointer or empty. What a tokenizer or a
 * model says in it is for their readers. */
int model_files_read(const struct file_system *fs, const struct config *config, struct model_files *files,
                     struct error *error);

/* Reads those that a checkpoint holds. */
int model_files_read_checkpoint(const struct checkpoint *checkpoint, struct model_files *files, struct error *error);

void model_files_finish(struct model_files *files);

/* NULL when it is not among them. */
const struct checkpoint_blob *model_files_find(const struct model_files *files, const char *name);

/* True when a folder holds a model's config.json, or a tokenizer, or that cannot be told (file_is_there). */
bool model_files_config_in(const struct file_system *fs, const char *folder);
bool model_files_tokenizer_in(const struct file_system *fs, const char *folder);

#endif
