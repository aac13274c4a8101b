/* Looks at every byte of a checkpoint. */
#ifndef LLMRUN_CHECKPOINT_VERIFY_H
#define LLMRUN_CHECKPOINT_VERIFY_H

#include <stdint.h>

#include "base/file.h"
#include "base/status.h"

/* One problem. `file` is a name in the folder; `tensor` is NULL where no single tensor is meant. */
typedef void checkpoint_problem(void *context, const char *file, const char *tensor, const char *sentence);

/* Checks the manifest, and for each file that it lists: presence, size, checksum, the shard's header, the checksum of
 * each tensor; then looks for files that it does not list. Goes on after a problem; `report` (may be NULL) gets each.
 * STATUS_INPUT with the first problem and their number when damage was found; STATUS_STORAGE when none was, but not all
 * could be read. *bytes (may be NULL) is what was read. Blocks. */
int checkpoint_verify(const struct file_system *fs, const char *folder, checkpoint_problem *report, void *context,
                      int64_t *bytes, struct error *error);

#endif
