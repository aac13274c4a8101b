/* What a file of training text may not be, by the ending of its name and by how its content begins. Known kinds alone
 * are refused: any other ending may name plain text. */
#ifndef LLMRUN_DATA_FILE_KIND_H
#define LLMRUN_DATA_FILE_KIND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum compression { COMPRESSION_NONE, COMPRESSION_GZIP, COMPRESSION_ZSTD };

/* What a name says: its last ending, and the one before where that is of a compressed file. Case does not count. */
struct file_name_kind {
    enum compression compression;
    bool jsonl;
    bool open; /* it says nothing of the content */
};

/* STATUS_USAGE for the ending of a kind that is not read; the sentence says what to do with such a file. */
int file_kind_of_name(const char *name, struct file_name_kind *kind, struct error *error);

enum compression file_kind_compression(const char *head, int64_t bytes);

/* `head`: the first bytes of the content. STATUS_INPUT, naming `name`, for content that is known not to be text:
 * another format, UTF-16 and UTF-32 with and without a byte-order mark, many bytes that are no UTF-8 or that text does
 * not hold. `jsonl`: bytes are checked where lines are read, so only formats are looked for. */
int file_kind_check(const char *name, const char *head, int64_t bytes, bool jsonl, struct error *error);

#endif
