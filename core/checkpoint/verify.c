#include "checkpoint/verify.h"

#include <stdlib.h>
#include <string.h>

#include "checkpoint/checkpoint.h"
#include "checkpoint/checksum.h"
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
    struct checksum *part, *whole;
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

/* The checksum of the next `bytes` bytes; they are added to that of the whole file too. */
static int hash_next(struct verification *verification, struct pass *pass, int64_t bytes, uint64_t *checksum,
                     struct error *error)
{
    checksum_reset(verification->part);
    for (int64_t done = 0; done < bytes; done += CHUNK_BYTES) {
        int64_t chunk = bytes - done < CHUNK_BYTES ? bytes - done : CHUNK_BYTES;
        int result = file_read_range(verification->checkpoint.fs, pass->handle, pass->path, pass->position,
                                     verification->chunk, chunk, error);

        if (result != STATUS_OK)
            return result;
        checksum_add(verification->part, verification->chunk, (size_t)chunk);
        checksum_add(verification->whole, verification->chunk, (size_t)chunk);
        verification->bytes += chunk;
        pass->position += chunk;
    }
    *checksum = checksum_value(verification->part);
    return STATUS_OK;
}

static int verify_tensor(struct verification *verification, const struct manifest_tensor *tensor, struct pass *pass,
                         struct error *error)
{
    uint64_t checksum;
    int result;

    if (tensor->offset != pass->position)
        return error_set(error, STATUS_INPUT, "%s: tensor '%.200s' does not start where the one before it ends",
                         pass->path, tensor->name);
    result = hash_next(verification, pass, tensor->bytes, &checksum, error);
    if (result == STATUS_OK && checksum != tensor->checksum)
        return error_set(error, STATUS_INPUT, "%s is damaged: tensor '%.200s' is not what was written", pass->path,
                         tensor->name);
    return result;
}

static int verify_tensors(struct verification *verification, int64_t file, struct pass *pass, struct error *error)
{
    const struct manifest *manifest = &verification->checkpoint.manifest;
    const struct manifest_file *shard = &manifest->files[file];
    struct error found = {0};
    uint64_t header;
    int result = STATUS_OK;

    if (checkpoint_check_shard(&verification->checkpoint, file, pass->handle, pass->path, &found) != STATUS_OK ||
        hash_next(verification, pass, shard->header_bytes, &header, &found) != STATUS_OK)
        result = report(verification, shard->name, NULL, &found, error);
    pass->position = shard->header_bytes;
    for (int64_t i = 0; i < manifest->tensor_count && result == STATUS_OK; i++) {
        if (manifest->tensors[i].file != file)
            continue;
        if (verify_tensor(verification, &manifest->tensors[i], pass, &found) != STATUS_OK)
            result = report(verification, shard->name, manifest->tensors[i].name, &found, error);
        pass->position = manifest->tensors[i].offset + manifest->tensors[i].bytes;
    }
    return result;
}

static int verify_bytes(struct verification *verification, int64_t file, struct pass *pass, struct error *error)
{
    const struct manifest_file *wanted = &verification->checkpoint.manifest.files[file];
    const int64_t before = verification->damage.count + verification->unread.count;
    struct error found = {0};
    uint64_t rest;
    int result = STATUS_OK;

    checksum_reset(verification->whole);
    if (wanted->header_bytes > 0)
        result = verify_tensors(verification, file, pass, error);
    if (result != STATUS_OK)
        return result;
    if (hash_next(verification, pass, wanted->bytes - pass->position, &rest, &found) == STATUS_OK) {
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
                                        .part = checksum_create(),
                                        .whole = checksum_create()};
    bool again = true;
    int result = STATUS_OK;

    if (verification.chunk == NULL || verification.part == NULL || verification.whole == NULL)
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
    checksum_destroy(verification.part);
    checksum_destroy(verification.whole);
    free(verification.chunk);
    return result;
}
