/* The text files of a tokenizer's folder. */
#ifndef LLMRUN_TOKENIZER_TOKENIZER_FILE_H
#define LLMRUN_TOKENIZER_TOKENIZER_FILE_H

#include <stdint.h>

#include "base/file.h"
#include "base/status.h"

struct tokenizer_file {
    char path[4096];
    char *memory;     /* owned by the caller, free it also after a failure */
    const char *text; /* behind a byte-order mark, which is no part of the text */
    int64_t bytes;
};

/* STATUS_INPUT, with the path, for a file that is missing or larger than `most`, and for a Git LFS pointer. */
int tokenizer_file_read(const struct file_system *fs, const char *folder, const char *name, int64_t most,
                        struct tokenizer_file *file, struct error *error);

#endif
