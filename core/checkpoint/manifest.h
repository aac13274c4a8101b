/* manifest.json: what a checkpoint holds and how to know that it is whole. Its first member is a checksum of all bytes
 * that follow that line, so damage to the manifest is found before a word of it is believed. It names logical tensors
 * and, for each, where the boxes lie that together are all of it; how many ranks wrote them changes nothing for a
 * reader.
 *
 * Format 2, as it is written. Format 1 has no parts: a tensor is one, with one checksum and no content hash. */
#ifndef LLMRUN_CHECKPOINT_MANIFEST_H
#define LLMRUN_CHECKPOINT_MANIFEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "checkpoint/box.h"
#include "checkpoint/state.h"
#include "tensor/shape.h"

#define MANIFEST_NAME         "manifest.json"
#define MANIFEST_FORMAT       2         /* readers refuse every number but this and those below */
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

/* A box of a tensor in a file: contiguous, row-major. */
struct manifest_part {
    int64_t file; /* index; -1 in a list of one rank: it has the box, and another rank writes it */
    struct box box;
    int64_t offset;      /* from the start of the file */
    int64_t bytes;       /* of the box */
    uint64_t content;    /* its share of the content hash (checkpoint/content_hash.h); 0 in format 1 */
    int64_t block_bytes; /* of what each checksum is of; the last block may be shorter */
    uint64_t *blocks;    /* XXH3 of each block */
};

struct manifest_tensor {
    char *name;
    uint32_t dtype;
    struct shape shape;
    int64_t bytes;    /* of the whole */
    uint64_t content; /* the sum of those of its parts */
    int64_t part_count, part_capacity;
    struct manifest_part *parts; /* disjoint, together the whole */
};

/* Owns everything below it. Zero-initialised it is empty; freed with manifest_finish. */
struct manifest {
    uint64_t checksum; /* of a manifest that was read: the one that guards its text */
    int64_t format;    /* of one that was read; it is printed in MANIFEST_FORMAT */
    bool is_list;      /* what one rank has: parts of tensors may be missing (checkpoint/merge.h) */
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

/* Append one; the name is copied. A tensor begins without parts: those of `tensor` are not looked at. STATUS_MEMORY
 * without memory. */
int manifest_add_file(struct manifest *manifest, const struct manifest_file *file, struct error *error);
int manifest_add_tensor(struct manifest *manifest, const struct manifest_tensor *tensor, struct error *error);

/* Appends a part; its checksums are copied. */
int manifest_add_part(struct manifest_tensor *tensor, const struct manifest_part *part, struct error *error);

/* Whether the parts are disjoint and together the whole; STATUS_INPUT, naming `source`, tensor and boxes. */
int manifest_check_parts(const struct manifest *manifest, const struct manifest_tensor *tensor, const char *source,
                         struct error *error);

/* The text of manifest.json, which has been read back once; freed by the caller. On failure *text is NULL. */
int manifest_print(const struct manifest *manifest, char **text, int64_t *bytes, struct error *error);

/* Reads what manifest_print wrote. STATUS_INPUT, naming `source`, for a wrong checksum, another format, a file name
 * that is not plain, names that occur twice, tensors whose dtype, shape, boxes, bytes, places and files do not fit each
 * other, and parts that are not the whole of a tensor. */
int manifest_parse(const char *text, int64_t bytes, const char *source, struct manifest *manifest, struct error *error);

/* The same of a list of one rank. */
int manifest_parse_list(const char *text, int64_t bytes, const char *source, struct manifest *manifest,
                        struct error *error);

/* One tensor of format 2, in a manifest whose files are read; used by manifest_parse. */
struct name_index;
int manifest_read_parts(const json_t *object, const char *source, const struct name_index *files,
                        const struct manifest *manifest, struct manifest_tensor *tensor, struct error *error);
bool manifest_part_is_in_file(const struct manifest *manifest, const struct manifest_part *part);

/* Which line of a run a checkpoint belongs to (docs/checkpoints.md): 0 unless its state says another. */
#define MANIFEST_BRANCH_KEY "branch"
int64_t manifest_branch(const struct manifest *manifest);

/* NULL when there is none. Takes a walk over the table. */
const struct manifest_file *manifest_find_file(const struct manifest *manifest, const char *name);

#endif
