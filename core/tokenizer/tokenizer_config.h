/* The files beside a tokenizer's vocabulary, and what they say of its stages: as AutoTokenizer of Hugging Face
 * transformers 5.24.0 obeys them, or refused by name. docs/data.md, "Files beside the vocabulary". */
#ifndef LLMRUN_TOKENIZER_TOKENIZER_CONFIG_H
#define LLMRUN_TOKENIZER_TOKENIZER_CONFIG_H

#include <jansson.h>
#include <stdbool.h>

#include "base/file.h"
#include "tokenizer/bpe.h"
#include "tokenizer/tokenizer_classes.h"

struct side_file {
    char path[4096];
    json_t *root; /* NULL: it is not there */
};

struct tokenizer_config {
    struct side_file config; /* tokenizer_config.json */
    struct side_file map;    /* special_tokens_map.json */
    struct side_file added;  /* added_tokens.json */
    struct side_file model;  /* config.json: of the folder's model, and not of a checkpoint, whose model is another */
    bool of_checkpoint;      /* the folder is one: what contradicts itself was judged when its run began */
};

/* Release with tokenizer_config_finish, also after a failure. STATUS_INPUT, with the file, for one that cannot be read.
 */
int tokenizer_config_read(const struct file_system *fs, const char *folder, struct tokenizer_config *config,
                          struct error *error);
void tokenizer_config_finish(struct tokenizer_config *config);

/* A member of tokenizer_config.json that is neither absent nor null; NULL otherwise. */
json_t *tokenizer_config_member(const struct tokenizer_config *config, const char *key);

/* Sets the stages that vocab.json and merges.txt lack: *pipeline, the split, normal form C and the space before a text.
 */
int tokenizer_config_apply(const struct tokenizer_config *config, struct bpe *bpe, enum tokenizer_pipeline *pipeline,
                           struct error *error);

/* Compares the stages of a tokenizer.json, which are in *bpe, with those of the class that AutoTokenizer takes: it
 * overrules them, so they must be the same. */
int tokenizer_config_compare(const struct tokenizer_config *config, const struct bpe *bpe, bool ignore_merges,
                             bool lacks_bytes, enum tokenizer_pipeline *pipeline, struct error *error);

#endif
