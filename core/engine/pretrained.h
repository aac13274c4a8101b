/* Weights of a Hugging Face directory, for a model that is about to be trained, evaluated or imported. */
#ifndef LLMRUN_ENGINE_PRETRAINED_H
#define LLMRUN_ENGINE_PRETRAINED_H

#include "engine/state_dict.h"
#include "huggingface/directory.h"
#include "runtime/executor.h"

struct pretrained {
    struct hf_directory directory;
    struct model_config model;
    struct program program; /* the parameters of the model and nothing else */
    struct state_dict list; /* of these */
};

/* Opens the tensors and compares them with the parameters of `model`, before anything of the model's size is made.
 * STATUS_INPUT as hf_directory_open and hf_weights_check say. */
int pretrained_open(struct pretrained *pretrained, const struct file_system *fs, const char *path,
                    const struct model_config *model, struct error *error);
void pretrained_close(struct pretrained *pretrained); /* accepts a zeroed struct */

/* Tells these files from others without reading them whole: names, types, shapes and places of all tensors, and the
 * first and last 4 KiB of each. STATUS_INPUT where a file gives fewer bytes than it had. */
int pretrained_hash(const struct pretrained *pretrained, uint64_t *hash, struct error *error);

/* Reads all parameters into the device. The caller casts weights afterwards. */
int pretrained_load(const struct pretrained *pretrained, struct executor *executor, struct error *error);

/* Memory for the largest parameter, to be freed; STATUS_MEMORY when there is none. */
int pretrained_staging(const struct pretrained *pretrained, float **memory, struct error *error);

#endif
