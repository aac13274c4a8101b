/* A file of training text as a stream of its bytes: decompressed, without a byte-order mark, and known not to be of
 * another kind. */
#ifndef LLMRUN_DATA_DATA_FILE_H
#define LLMRUN_DATA_DATA_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "data/decompressor.h"
#include "data/file_kind.h"
#include "data/utf8_count.h"

struct data_file {
    const char *name; /* borrowed; named in errors */
    bool jsonl;       /* what it is read as; false: plain text */
    enum compression compression;
    int handle;         /* -1: closed */
    int64_t file_bytes; /* as it is stored */
    int64_t mark_bytes; /* of the byte-order mark before the text */
    int64_t done;       /* bytes of the file that were read, of one that is not compressed */
    struct decompressor *decompressor;
    char *head; /* the beginning of the text, which was looked at */
    int64_t head_bytes, head_done;
    struct utf8_count count; /* of plain text */
};

/* STATUS_INPUT for what is missing, empty, no regular file, a Git LFS pointer or not text by its content; STATUS_USAGE
 * for a kind of file that is not read, by its name. Warns of JSONL that is read as plain text. Close it after
 * STATUS_OK. */
int data_file_open(struct data_file *file, const char *name, struct error *error);

/* The bytes of the text. A compressed file is decompressed once for it. */
int data_file_count(const struct data_file *file, int64_t *bytes, struct error *error);

/* The next `bytes` bytes; *got is fewer only at the end of the text. */
int data_file_read(struct data_file *file, char *out, int64_t bytes, int64_t *got, struct error *error);

/* When all was read: refuses plain text that turned out to be of another encoding, and warns of bytes that are not
 * UTF-8. */
int data_file_check(struct data_file *file, struct error *error);

void data_file_close(struct data_file *file);

#endif
