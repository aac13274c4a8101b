/* A checkpoint becomes a Hugging Face directory. */
#ifndef LLMRUN_CONVERSION_EXPORT_H
#define LLMRUN_CONVERSION_EXPORT_H

#include "base/file.h"
#include "base/status.h"

struct export_options {
    const struct file_system *fs;
    const char *source;  /* a checkpoint, or a run folder: its newest complete one */
    const char *target;  /* the new folder; it may be there when it is empty, and appears whole or not at all */
    uint32_t dtype;      /* of all tensors; LLMRUN_NONE: that in which each was imported, else fp32 */
    int64_t shard_bytes; /* of tensors in one file, > 0 */
};

struct export_report {
    int64_t tensors, bytes, files;
};

/* Writes the tensors as transformers names and stores them (a tied head is not written, rows that pad the vocabulary
 * are cut), config.json and the files that came with the model. STATUS_INPUT for a checkpoint that is damaged or lacks
 * a tensor; STATUS_USAGE for a number that a 16-bit type cannot hold, and for a target that holds something. */
int export_checkpoint(const struct export_options *options, struct export_report *report, struct error *error);

#endif
