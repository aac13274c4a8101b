/* The probabilities of dropout in a config.json. */
#ifndef LLMRUN_HUGGINGFACE_DROPOUT_H
#define LLMRUN_HUGGINGFACE_DROPOUT_H

#include <jansson.h>

#include "base/file.h"
#include "model/family.h"

#define HF_MOST_DROPOUTS 3

/* One for each place where the family drops: GPT-2 after the embedding, in attention and after each branch of the
 * residual stream; LLaMA in attention alone. */
struct hf_dropout {
    int count;
    const char *fields[HF_MOST_DROPOUTS];
    double values[HF_MOST_DROPOUTS]; /* of a field that is not there: what transformers takes; of null: 0 */
};

/* STATUS_INPUT, naming `source` and the field, for what is no number from 0 to below 1. */
int hf_dropout_parse(const json_t *root, const struct model_family *family, const char *source,
                     struct hf_dropout *dropout, struct error *error);

/* The same of folder/config.json. */
int hf_dropout_read(const struct file_system *fs, const char *folder, const struct model_family *family,
                    struct hf_dropout *dropout, struct error *error);

/* Whether all of them are one probability, which the model of model.h has. */
bool hf_dropout_is_one(const struct hf_dropout *dropout);

#endif
