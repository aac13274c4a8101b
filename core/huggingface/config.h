/* config.json of a Hugging Face directory, for the families of model/family.h. */
#ifndef LLMRUN_HUGGINGFACE_CONFIG_H
#define LLMRUN_HUGGINGFACE_CONFIG_H

#include "base/file.h"
#include "model/family.h"

/* Fields that a reader is told to pass over. */
struct hf_ignored {
    char *const *names;
    int64_t count;
};

/* Reads `text`; keys that are absent have transformers' defaults. STATUS_INPUT, naming `source` and the field, for JSON
 * that strict_json.h refuses, a model_type that is not known, a value that cannot be, and a field that is neither known
 * to the family, nor one that changes nothing (fields.h), nor ignored. STATUS_USAGE for an ignored name (`ignored` may
 * be NULL) that is not there or is read. */
int hf_config_parse(const char *text, int64_t bytes, const char *source, const struct hf_ignored *ignored,
                    struct model_config *config, struct error *error);

/* The same of folder/config.json. STATUS_INPUT too where there is none. */
int hf_config_read(const struct file_system *fs, const char *folder, const struct hf_ignored *ignored,
                   struct model_config *config, struct error *error);

struct hf_config_form {
    const char *original; /* a config.json that hf_config_parse accepts, whose other fields stay; NULL for none */
    uint32_t dtype;       /* of the tensors beside it */
    bool new_ids;         /* the ids of tokens in the original are of another vocabulary */
    int64_t end_of_text;  /* written with new_ids, and where there is no original; -1: none */
};

/* The text of a config.json with which AutoModelForCausalLM makes this model; *text is freed by the caller. */
int hf_config_print(const struct model_config *config, const struct hf_config_form *form, char **text,
                    struct error *error);

#endif
