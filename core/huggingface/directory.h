/* The tensors of a Hugging Face directory: model.safetensors, or model.safetensors.index.json and the shards that it
 * names. Nothing is believed before it is checked: names of shards are plain file names, every tensor of the index is
 * in its shard, no shard holds another one, and each file keeps the rules of safetensors.h. One thread at a time. */
#ifndef LLMRUN_HUGGINGFACE_DIRECTORY_H
#define LLMRUN_HUGGINGFACE_DIRECTORY_H

#include <limits.h>

#include "checkpoint/safetensors.h"

#define HF_CONFIG_NAME  "config.json"
#define HF_CONFIG_LIMIT ((int64_t)1 << 20) /* bytes */
#define HF_MODEL_NAME   "model.safetensors"
#define HF_INDEX_NAME   "model.safetensors.index.json"
#define HF_MOST_SHARDS  512 /* all of them are open at once */

struct hf_directory {
    char *path;
    struct safetensors *files;
    int64_t count, capacity;
};

/* True when the folder holds something of this name, or that cannot be told (file_is_there). */
bool hf_has_file(const struct file_system *fs, const char *folder, const char *name);

/* Reads the text folder/name, whose path is written to `path`; *text is freed by the caller. STATUS_INPUT, naming it,
 * where there is none, it is longer than `limit`, or Git LFS has left a pointer in its place. */
int hf_read_text(const struct file_system *fs, const char *folder, const char *name, int64_t limit, char path[PATH_MAX],
                 char **text, int64_t *bytes, struct error *error);

/* True when `path` is a folder with a config.json that is no checkpoint of ours. */
bool hf_is_directory(const struct file_system *fs, const char *path);

/* STATUS_INPUT, naming file and tensor, when something of the above is not so. */
int hf_directory_open(const struct file_system *fs, const char *path, struct hf_directory *directory,
                      struct error *error);

/* Accepts a zeroed struct. */
void hf_directory_close(struct hf_directory *directory);

/* The tensor, and the file that holds it; NULL when there is none. */
const struct safetensors_tensor *hf_directory_find(const struct hf_directory *directory, const char *name,
                                                   const struct safetensors **file);

#endif
