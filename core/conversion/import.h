/* A Hugging Face directory becomes a checkpoint of step 0. */
#ifndef LLMRUN_CONVERSION_IMPORT_H
#define LLMRUN_CONVERSION_IMPORT_H

#include "base/file.h"
#include "base/status.h"
#include "config/config.h"

/* Its state names the stored type of each parameter, "dtype.h.0.ln_1.weight": "bf16"; the tensors themselves are fp32.
 */
#define IMPORT_DTYPE_KEY "dtype."

/* The key of one parameter; to be freed. NULL when there is no memory. */
char *import_dtype_key(const char *parameter);

/* `target` is the folder of the new checkpoint: it may be there when it is empty, and appears whole or not at all. The
 * flags set keys of its config (CONFIG_COMMAND_IMPORT). *parameters (may be NULL) is their number. STATUS_INPUT for a
 * directory that is not a model of ours; STATUS_USAGE for a target that holds something. */
int import_directory(const struct file_system *fs, const char *source, const char *target,
                     const struct config_flag *flags, int64_t flag_count, int64_t *parameters, struct error *error);

#endif
