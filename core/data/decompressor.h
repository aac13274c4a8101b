/* The content of a gzip (RFC 1952, by zlib) or zstd file (RFC 8878, by libzstd), in pieces as large as the caller
 * likes: no more memory is needed than the formats' windows, at most 128 MiB. Files of several members or frames are
 * read whole. */
#ifndef LLMRUN_DATA_DECOMPRESSOR_H
#define LLMRUN_DATA_DECOMPRESSOR_H

#include <stdint.h>

#include "data/file_kind.h"

struct decompressor;

/* Reads from the beginning of an open file of `file_bytes` bytes; handle and name are borrowed. */
int decompressor_create(enum compression compression, int handle, const char *name, int64_t file_bytes,
                        struct decompressor **out, struct error *error);
void decompressor_destroy(struct decompressor *decompressor); /* NULL is accepted */

/* The next `bytes` bytes; *got is fewer only at the end. STATUS_INPUT, naming the file, for one that is damaged, ends
 * early, or goes on with something else. */
int decompressor_read(struct decompressor *decompressor, char *out, int64_t bytes, int64_t *got, struct error *error);

#endif
