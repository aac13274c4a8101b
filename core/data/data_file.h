/* A file of training text as a stream of its bytes, without a byte-order mark. */
#ifndef LLMRUN_DATA_DATA_FILE_H
#define LLMRUN_DATA_DATA_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct data_file {
    const char *name; /* borrowed; named in errors */
    bool jsonl;       /* what it is read as; false: plain text */
    int handle;       /* -1: closed */
    int64_t bytes;    /* of the text */
    int64_t begin;    /* of the text in the file */
    int64_t done;     /* bytes of the text that were read */
};

/* STATUS_INPUT for what is missing, empty, no regular file or a Git LFS pointer; STATUS_USAGE for a kind of file that
 * is not read. Close it after STATUS_OK. */
int data_file_open(struct data_file *file, const char *name, struct error *error);

/* The next `bytes` bytes; *got is fewer only at the end of the text. */
int data_file_read(struct data_file *file, char *out, int64_t bytes, int64_t *got, struct error *error);

void data_file_close(struct data_file *file);

#endif
