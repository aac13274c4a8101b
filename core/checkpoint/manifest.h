/* manifest.json: what a checkpoint holds and how to know that it is whole. Its first member is a checksum of all bytes
 * that follow that line, so damage to the manifest is found before a word of it is believed. It names logical tensors;
 * nothing in it tells how many ranks wrote it or how the model was split. */
#ifndef LLMRUN_CHECKPOINT_MANIFEST_H
#define LLMRUN_CHECKPOINT_MANIFEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "checkpoint/state.h"
#include "tensor/shape.h"

#define MANIFEST_NAME         "manifest.json"
#define MANIFEST_FORMAT       1         /* readers refuse every other number */
#define MANIFEST_LIMIT        100000000 /* bytes */
#define MANIFEST_RUN_ID_BYTES 65
#define MANIFEST_NAME_LIMIT   128 /* characters of a file name */

struct manifest_file {
    char *name; /* a plain name: letters, digits, '.', '_', '-'; not starting with '.' */
    int64_t bytes;
    uint64_t checksum;        /* of the whole file */
    int64_t header_bytes;     /* safetensors: where the data start; 0 for any other file */
    uint64_t header_checksum; /* of these bytes, 0 for any other file */
};

struct manifest_tensor {
    char *name;
    int64_t file; /* index */
    uint32_t dtype;
    struct shape shape;
    int64_t offset; /* from the start of the file */
    int64_t bytes;
    uint64_t checksum;
};

/* Owns everything below it. Zero-initialised it is empty; freed with manifest_finish. */
struct manifest {
    uint64_t checksum; /* of a manifest that was read: the one that guards its text */
    int64_t step;
    char run_id[MANIFEST_RUN_ID_BYTES];
    int64_t file_count, file_capacity;
    struct manifest_file *files;
    int64_t tensor_count, tensor_capacity;
    struct manifest_tensor *tensors;
    struct checkpoint_state state;
};

void manifest_finish(struct manifest *manifest);

/* Letters, digits, '.', '_' and '-', 1 to `limit` of them, the first no '.': such a name cannot leave its folder. */
bool manifest_plain_name(const char *name, int64_t limit);

/* Append one; the name is copied. STATUS_MEMORY without memory. */
int manifest_add_file(struct manifest *manifest, const struct manifest_file *file, struct error *error);
int manifest_add_tensor(struct manifest *manifest, const struct manifest_tensor *tensor, struct error *error);

/* The text of manifest.json, which has been read back once; freed by the caller. On failure *text is NULL. */
int manifest_print(const struct manifest *manifest, char **text, int64_t *bytes, struct error *error);

/* Reads what manifest_print wrote. STATUS_INPUT, naming `source`, for a wrong checksum, another format, a file name
 * that is not plain, names that occur twice, or tensors whose dtype, shape, bytes, place and file do not fit each
 * other. */
int manifest_parse(const char *text, int64_t bytes, const char *source, struct manifest *manifest, struct error *error);

/* Which line of a run a checkpoint belongs to (docs/checkpoints.md): 0 unless its state says another. */
#define MANIFEST_BRANCH_KEY "branch"
int64_t manifest_branch(const struct manifest *manifest);

/* NULL when there is none. Takes a walk over the table. */
const struct manifest_file *manifest_find_file(const struct manifest *manifest, const char *name);

#endif
