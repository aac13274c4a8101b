/* The tokens at which a Hugging Face directory ends a text. */
#ifndef LLMRUN_HUGGINGFACE_STOP_IDS_H
#define LLMRUN_HUGGINGFACE_STOP_IDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/file.h"

#define HF_GENERATION_NAME "generation_config.json"

/* Freed with hf_stop_ids_finish; zero-initialised it is empty. */
struct hf_stop_ids {
    int32_t *ids; /* each below the vocabulary */
    int64_t count;
};

/* "eos_token_id" of the JSON object `text`: an id or a list of ids. *named is false where it is null or not there.
 * Ids outside `vocabulary` are passed over: they never come. STATUS_INPUT, naming `source`, for JSON that strict_json.h
 * refuses and another type. */
int hf_stop_ids_parse(const char *text, int64_t bytes, const char *source, int64_t vocabulary, struct hf_stop_ids *ids,
                      bool *named, struct error *error);

/* Those of folder/generation_config.json; where that names none, or is not there, of folder/config.json. */
int hf_stop_ids_read(const struct file_system *fs, const char *folder, int64_t vocabulary, struct hf_stop_ids *ids,
                     struct error *error);

void hf_stop_ids_finish(struct hf_stop_ids *ids);

#endif
