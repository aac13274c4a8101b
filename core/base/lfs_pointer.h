/* Git LFS pointers: the small text that stands in place of a large file whose content was not downloaded. To a reader
 * of weights, tokenizers or text it looks like a damaged or a short file.
 * https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md */
#ifndef LLMRUN_BASE_LFS_POINTER_H
#define LLMRUN_BASE_LFS_POINTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

/* A pointer is smaller than this. */
#define LFS_POINTER_LIMIT 1024

/* `data`: a whole file of `bytes` bytes, or, of one that is longer than LFS_POINTER_LIMIT, its beginning. */
bool lfs_pointer_is(const char *data, int64_t bytes);

/* For a reader that has the content of `path`: STATUS_INPUT with a sentence that names `path` and `git lfs pull` when
 * it is a pointer, STATUS_OK when it is not. */
int lfs_pointer_refuse(const char *path, const char *data, int64_t bytes, struct error *error);

#endif
