/* The files of an exported model: which tensor goes where, their headers, and the index of several. */
#ifndef LLMRUN_HUGGINGFACE_FILES_H
#define LLMRUN_HUGGINGFACE_FILES_H

#include "huggingface/stored_list.h"

struct hf_file {
    char name[64]; /* "model.safetensors", "model-00001-of-00003.safetensors" */
    int64_t first, count;
    char *header;
    int64_t header_bytes;
    int64_t data_bytes;
};

struct hf_files {
    struct hf_file *files;
    int64_t count, capacity;
    int64_t total_bytes; /* of the tensors */
    char *index;         /* the text of model.safetensors.index.json; NULL for one file */
};

/* Cuts the list, in its order, before each tensor that would take a file over `limit` bytes of data (a tensor alone
 * may). STATUS_BUG for tensors that cannot be stored. Freed with hf_files_finish. */
int hf_files_plan(const struct hf_stored_list *list, int64_t limit, struct hf_files *files, struct error *error);
void hf_files_finish(struct hf_files *files);

#endif
