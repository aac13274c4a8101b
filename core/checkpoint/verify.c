#include "checkpoint/verify.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/checksum.h"
#include "checkpoint/content_hash.h"
#include "checkpoint/folder.h"

#define CHUNK_BYTES ((int64_t)1 << 20)
#define MOST_TRIES  20

/* The first sentence of a kind, and how many there were. */
struct problems {
    int64_t count;
    char first[sizeof((struct error *)0)->message];
};

struct verification {
    struct checkpoint checkpoint; /* not opened: its parts are checked one by one */
    checkpoint_problem *report;
    void *context;
    struct problems damage, unread;
    int64_t bytes;
    char *chunk;
    struct checksum *block, *whole;
};

/* Damage and what cannot be read are told, and the rest is looked at; anything else ends the verification. */
static int report(struct verification *verification, const char *file, const char *tensor, const struct error *found,
                  struct error *error)
{
    struct problems *problems = found->status == STATUS_INPUT ? &verification->damage : &verification->unread;

    if (found->status != STATUS_INPUT && found->status != STATUS_STORAGE)
        return error_set(error, found->status, "%s", found->message);
    if (problems->count++ == 0)
        memcpy(problems->first, found->message, sizeof problems->first);
    if (verification->report != NULL)
        verification->report(verification->context, file, tensor, found->message);
    return STATUS_OK;
}

/* An open file that is read once, from its start to its end. */
struct pass {
    int handle;
    const char *path;
    int64_t position;
};

/* The next `bytes` bytes are read into `chunk` (at most CHUNK_BYTES) and added to the checksum of the whole file. */
static int read_next(struct verification *verification, struct pass *pass, int64_t bytes, struct error *error)
{
    int result = file_read_range(verification->checkpoint.fs, pass->handle, pass->path, pass->position,
                                 verification->chunk, bytes, error);

    if (result != STATUS_OK)
        return result;
    checksum_add(verification->whole, verification->chunk, (size_t)bytes);
    verification->bytes += bytes;
    pass->position += bytes;
    return STATUS_OK;
}

/* What is no data of a tensor. */
static int pass_over(struct verification *verification, struct pass *pass, int64_t bytes, struct error *error)
{
    int result = STATUS_OK;

    for (int64_t done = 0; done < bytes && result == STATUS_OK; done += CHUNK_BYTES)
        result = read_next(verification, pass, bytes - done < CHUNK_BYTES ? bytes - done : CHUNK_BYTES, error);
    return result;
}

static int verify_block(struct verification *verification, const struct manifest_tensor *tensor, int64_t bytes,
                        uint64_t wanted, struct content *content, struct pass *pass, struct error *error)
{
    int result = STATUS_OK;

    checksum_reset(verification->block);
    for (int64_t done = 0; done < bytes && result == STATUS_OK; done += CHUNK_BYTES) {
        const int64_t chunk = bytes - done < CHUNK_BYTES ? bytes - done : CHUNK_BYTES;

        result = read_next(verification, pass, chunk, error);
        if (result != STATUS_OK)
            break;
        checksum_add(verification->block, verification->chunk, (size_t)chunk);
        content_add(content, verification->chunk, chunk);
    }
    if (result == STATUS_OK && checksum_value(verification->block) != wanted)
        return error_set(error, STATUS_INPUT, "%s is damaged: tensor '%.200s' is not what was written", pass->path,
                         tensor->name);
    return result;
}

static int verify_part(struct verification *verification, const struct manifest_tensor *tensor,
                       const struct manifest_part *part, struct pass *pass, struct error *error)
{
    struct content content;
    int result = STATUS_OK;

    if (part->offset != pass->position)
        return error_set(error, STATUS_INPUT, "%s: tensor '%.200s' does not start where the one before it ends",
                         pass->path, tensor->name);
    content_begin(&content, tensor->dtype, &tensor->shape, &part->box);
    for (int64_t at = 0; at < part->bytes && result == STATUS_OK; at += part->block_bytes) {
        const int64_t left = part->bytes - at;

        result = verify_block(verification, tensor, left < part->block_bytes ? left : part->block_bytes,
                              part->blocks[at / part->block_bytes], &content, pass, error);
    }
    if (result == STATUS_OK && verification->checkpoint.manifest.format > 1 && content.sum != part->content)
        return error_set(error, STATUS_INPUT, "%s: tensor '%.200s' has another content hash than the manifest says",
                         pass->path, tensor->name);
    return result;
}

/* Parts of a file in the order of their bytes. */
struct listed_part {
    const struct manifest_tensor *tensor;
    const struct manifest_part *part;
};

static int compare_places(const void *a, const void *b)
{
    const struct listed_part *x = a, *y = b;

    if (x->part->offset != y->part->offset)
        return x->part->offset < y->part->offset ? -1 : 1;
    return (x->part->bytes > y->part->bytes) - (x->part->bytes < y->part->bytes);
}

/* *parts is freed by the caller. */
static int parts_of(const struct manifest *manifest, int64_t file, struct listed_part **parts, int64_t *count,
                    struct error *error)
{
    int64_t capacity = 0;

    *parts = NULL;
    *count = 0;
    for (int64_t i = 0; i < manifest->tensor_count; i++)
        for (int64_t j = 0; j < manifest->tensors[i].part_count; j++) {
            const struct manifest_tensor *tensor = &manifest->tensors[i];
            struct listed_part *grown;

            if (tensor->parts[j].file != file)
                continue;
            grown = array_reserve(*parts, *count, 1, &capacity, sizeof *grown);
            if (grown == NULL)
                return error_set(error, STATUS_MEMORY, "no memory for a list of the parts of tensors");
            *parts = grown;
            grown[(*count)++] = (struct listed_part){tensor, &tensor->parts[j]};
        }
    if (*count > 0)
        qsort(*parts, (size_t)*count, sizeof **parts, compare_places);
    return STATUS_OK;
}

static int verify_tensors(struct verification *verification, int64_t file, struct pass *pass, struct error *error)
{
    const struct manifest *manifest = &verification->checkpoint.manifest;
    const struct manifest_file *shard = &manifest->files[file];
    struct listed_part *parts;
    struct error found = {0};
    int64_t count;
    int result = parts_of(manifest, file, &parts, &count, error);

    if (result == STATUS_OK &&
        (checkpoint_check_shard(&verification->checkpoint, file, pass->handle, pass->path, &found) != STATUS_OK ||
         pass_over(verification, pass, shard->header_bytes, &found) != STATUS_OK))
        result = report(verification, shard->name, NULL, &found, error);
    pass->position = shard->header_bytes;
    for (int64_t i = 0; i < count && result == STATUS_OK; i++) {
        if (verify_part(verification, parts[i].tensor, parts[i].part, pass, &found) != STATUS_OK)
            result = report(verification, shard->name, parts[i].tensor->name, &found, error);
        pass->position = parts[i].part->offset + parts[i].part->bytes;
    }
    free(parts);
    return result;
}

static int verify_bytes(struct verification *verification, int64_t file, struct pass *pass, struct error *error)
{
    const struct manifest_file *wanted = &verification->checkpoint.manifest.files[file];
    const int64_t before = verification->damage.count + verification->unread.count;
    struct error found = {0};
    int result = STATUS_OK;

    checksum_reset(verification->whole);
    if (wanted->header_bytes > 0)
        result = verify_tensors(verification, file, pass, error);
    if (result != STATUS_OK)
        return result;
    if (pass_over(verification, pass, wanted->bytes - pass->position, &found) == STATUS_OK) {
        if (verification->damage.count + verification->unread.count > before ||
            checksum_value(verification->whole) == wanted->checksum)
            return STATUS_OK;
        error_set(&found, STATUS_INPUT, "%s is damaged: its bytes are not the ones that were written", pass->path);
    }
    return report(verification, wanted->name, NULL, &found, error);
}

static int verify_names(struct verification *verification, struct error *error)
{
    const struct checkpoint *checkpoint = &verification->checkpoint;
    struct error found = {0};
    struct folder_names names;
    int result = folder_names(checkpoint->folder, &names, &found);

    /* Removed while its files were verified, which are held. */
    if (result == STATUS_INPUT)
        return STATUS_OK;
    if (result != STATUS_OK)
        return report(verification, MANIFEST_NAME, NULL, &found, error);
    for (int64_t i = 0; i < names.count && result == STATUS_OK; i++) {
        if (strcmp(names.names[i], MANIFEST_NAME) == 0 ||
            manifest_find_file(&checkpoint->manifest, names.names[i]) != NULL)
            continue;
        error_set(&found, STATUS_INPUT, "%s/%.255s is not part of the checkpoint", checkpoint->folder, names.names[i]);
        result = report(verification, names.names[i], NULL, &found, error);
    }
    folder_names_finish(&names);
    return result;
}

/* Opens all files before one is read, as many as can be held: what a run removes meanwhile stays readable. *again:
 * another checkpoint has taken the place of this one. */
static int open_all(struct verification *verification, int *handles, bool *again, struct error *error)
{
    const struct checkpoint *checkpoint = &verification->checkpoint;
    enum checkpoint_presence presence = CHECKPOINT_SAME;
    const int most = checkpoint_most_held();
    char path[PATH_MAX];
    bool damaged = false;
    int result;

    for (int64_t i = 0; i < checkpoint->manifest.file_count; i++)
        handles[i] = -1;
    for (int64_t i = 0; i < checkpoint->manifest.file_count && i < most; i++) {
        result = checkpoint_open_file(checkpoint->fs, checkpoint->folder, &checkpoint->manifest.files[i], path,
                                      &handles[i], NULL);
        if (result != STATUS_OK)
            handles[i] = -1;
        damaged |= result == STATUS_INPUT;
    }
    result = checkpoint_look_again(checkpoint->fs, checkpoint->folder, &checkpoint->manifest, &presence, error);
    *again = presence == CHECKPOINT_REPLACED;
    return result == STATUS_OK && presence == CHECKPOINT_GONE && damaged ? checkpoint_removed(checkpoint->folder, error)
                                                                         : result;
}

static int verify_files(struct verification *verification, int *handles, struct error *error)
{
    const struct checkpoint *checkpoint = &verification->checkpoint;
    char path[PATH_MAX];
    int result = STATUS_OK;

    for (int64_t i = 0; i < checkpoint->manifest.file_count && result == STATUS_OK; i++) {
        const struct manifest_file *file = &checkpoint->manifest.files[i];
        struct pass pass = {.path = path};
        struct error found;

        file_join(path, sizeof path, checkpoint->folder, file->name);
        if (handles[i] < 0 &&
            checkpoint_open_file(checkpoint->fs, checkpoint->folder, file, path, &handles[i], &found) != STATUS_OK) {
            handles[i] = -1;
            result = report(verification, file->name, NULL, &found, error);
            continue;
        }
        pass.handle = handles[i];
        result = verify_bytes(verification, i, &pass, error);
        checkpoint->fs->close(checkpoint->fs, handles[i]);
        handles[i] = -1;
    }
    return result == STATUS_OK ? verify_names(verification, error) : result;
}

static int verify_parts(struct verification *verification, bool *again, struct error *error)
{
    struct manifest *manifest = &verification->checkpoint.manifest;
    const struct file_system *fs = verification->checkpoint.fs;
    int *handles = malloc((size_t)(manifest->file_count + 1) * sizeof *handles);
    int result;

    if (handles == NULL)
        result = error_set(error, STATUS_MEMORY, "no memory to verify %s", verification->checkpoint.folder);
    else
        result = name_index_make(manifest->tensors, manifest->tensor_count, sizeof *manifest->tensors,
                                 &verification->checkpoint.names, error);
    if (result == STATUS_OK) {
        result = open_all(verification, handles, again, error);
        if (result == STATUS_OK && !*again)
            result = verify_files(verification, handles, error);
        for (int64_t i = 0; i < manifest->file_count; i++)
            if (handles[i] >= 0)
                fs->close(fs, handles[i]);
    }
    free(handles);
    return result;
}

static int verify_once(struct verification *verification, bool *again, struct error *error)
{
    struct checkpoint *checkpoint = &verification->checkpoint;
    struct error found = {0};
    int result = checkpoint_read_manifest(checkpoint->fs, checkpoint->folder, &checkpoint->manifest, &found);

    *again = false;
    result = result == STATUS_OK ? verify_parts(verification, again, error)
                                 : report(verification, MANIFEST_NAME, NULL, &found, error);
    name_index_finish(&checkpoint->names);
    manifest_finish(&checkpoint->manifest);
    return result;
}

static int conclude(const struct problems *problems, int status, struct error *error)
{
    if (problems->count == 1)
        return error_set(error, status, "%s", problems->first);
    return error_set(error, status, "%.900s (and %lld more problems)", problems->first, (long long)problems->count - 1);
}

int checkpoint_verify(const struct file_system *fs, const char *folder, checkpoint_problem *problem, void *context,
                      int64_t *bytes, struct error *error)
{
    struct verification verification = {.checkpoint = {.fs = fs},
                                        .report = problem,
                                        .context = context,
                                        .chunk = malloc(CHUNK_BYTES),
                                        .block = checksum_create(),
                                        .whole = checksum_create()};
    bool again = true;
    int result = STATUS_OK;

    if (verification.chunk == NULL || verification.block == NULL || verification.whole == NULL)
        result = error_set(error, STATUS_MEMORY, "no memory to verify %s", folder);
    else if (strlen(folder) + MANIFEST_NAME_LIMIT + 2 > sizeof verification.checkpoint.folder)
        result = error_set(error, STATUS_INPUT, "the path of the checkpoint is too long: %.200s...", folder);
    else
        strcpy(verification.checkpoint.folder, folder);
    for (int tries = 0; tries < MOST_TRIES && again && result == STATUS_OK; tries++)
        result = verify_once(&verification, &again, error);
    if (result == STATUS_OK && verification.damage.count > 0)
        result = conclude(&verification.damage, STATUS_INPUT, error);
    else if (result == STATUS_OK && verification.unread.count > 0)
        result = conclude(&verification.unread, STATUS_STORAGE, error);
    else if (result == STATUS_OK && again)
        result = error_set(error, STATUS_INPUT, "%s is replaced all the time", folder);
    if (bytes != NULL)
        *bytes = verification.bytes;
    checksum_destroy(verification.block);
    checksum_destroy(verification.whole);
    free(verification.chunk);
    return result;
}
