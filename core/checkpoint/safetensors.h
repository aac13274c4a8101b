/* The safetensors format: 8 bytes header length (little-endian), a JSON header, then the tensors' bytes without a gap.
 * Format: https://github.com/huggingface/safetensors, README, "Format". Numbers in it are little-endian, tensors
 * row-major.
 *
 * The reader checks every rule before it trusts a number of the file, and allocates no more than a multiple of the
 * header that the file really holds. Data are read with pread straight into the caller's memory, so a file that shrinks
 * while it is open gives an error, not a signal. */
#ifndef LLMRUN_CHECKPOINT_SAFETENSORS_H
#define LLMRUN_CHECKPOINT_SAFETENSORS_H

#include <jansson.h>

#include "base/file.h"
#include "base/status.h"
#include "checkpoint/name_index.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

#define SAFETENSORS_HEADER_LIMIT 100000000 /* bytes of JSON: the cap of the format's own reader */

struct safetensors_tensor {
    const char *name;
    const char *stored_dtype; /* the file's word, "BF16" */
    uint32_t dtype;           /* LLMRUN_NONE for a type of the format that the contract lacks (BOOL, I64 ...) */
    struct shape shape;
    int64_t offset; /* of the first byte, from the start of the file */
    int64_t bytes;
};

/* An open file. The fields are read-only; texts live until safetensors_close. One thread at a time. */
struct safetensors {
    const struct file_system *fs;
    int handle;
    bool borrowed; /* the handle is not closed */
    char *path;
    int64_t file_bytes;
    int64_t header_bytes;     /* length field and JSON: where the data start */
    uint64_t header_checksum; /* XXH3 of these bytes */
    int64_t count;
    struct safetensors_tensor *tensors; /* in the order of their data */
    struct name_index names;
    json_t *header;
};

/* Opens and checks a file. STATUS_INPUT, naming the file and the rule, when it breaks one: the header within the file
 * and the cap, an object, no key twice, known dtypes, ranks up to LLMRUN_MAX_RANK, counts that fit 63 bits, sizes that
 * agree with dtype and shape, data from 0 to the end of the file without hole or overlap, __metadata__ of texts only.
 */
int safetensors_open(const struct file_system *fs, const char *path, struct safetensors *file, struct error *error);

/* The same with a file that is open already and stays open after safetensors_close. */
int safetensors_open_handle(const struct file_system *fs, int handle, const char *path, struct safetensors *file,
                            struct error *error);

/* Accepts a zeroed struct. */
void safetensors_close(struct safetensors *file);

/* NULL when the file has no tensor, or no metadata, of that name. */
const struct safetensors_tensor *safetensors_find(const struct safetensors *file, const char *name);
const char *safetensors_metadata(const struct safetensors *file, const char *key);

/* Reads `bytes` bytes of the tensor from its byte `offset` on. Blocks. STATUS_INPUT when the file gives fewer. */
int safetensors_read(const struct safetensors *file, const struct safetensors_tensor *tensor, int64_t offset,
                     void *memory, int64_t bytes, struct error *error);

/* What a new file holds, in this order. */
struct safetensors_form {
    const char *name;
    uint32_t dtype; /* one without a name in the format is stored as U8 (of the same size) */
    struct shape shape;
};

/* Bytes of its data; of a form that a file may have they can be counted. */
int64_t safetensors_form_bytes(const struct safetensors_form *form);

struct safetensors_pair {
    const char *key;
    const char *value;
};

/* Makes the bytes that precede the data: length, JSON, blanks up to a multiple of 64. The caller writes them, then each
 * tensor's bytes in the order of `forms`, and frees *header. STATUS_BUG for forms that no reader would take. */
int safetensors_make_header(const struct safetensors_form *forms, int64_t count,
                            const struct safetensors_pair *metadata, int64_t metadata_count, char **header,
                            int64_t *header_bytes, struct error *error);

#endif
