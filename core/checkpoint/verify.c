#include "checkpoint/verify.h"

#include <stdlib.h>
#include <string.h>

#include "checkpoint/checkpoint.h"
#include "checkpoint/checksum.h"
#include "checkpoint/folder.h"

#define CHUNK_BYTES ((int64_t)1 << 20)

struct verification {
    struct checkpoint checkpoint; /* not opened: its parts are checked one by one */
    checkpoint_problem *report;
    void *context;
    int64_t problems, bytes;
    char first[sizeof((struct error *)0)->message];
    char *chunk;
    struct checksum *part, *whole;
};

static void report(struct verification *verification, const char *file, const char *tensor, const char *sentence)
{
    if (verification->problems++ == 0)
        memcpy(verification->first, sentence, strlen(sentence) + 1);
    if (verification->report != NULL)
        verification->report(verification->context, file, tensor, sentence);
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

static void verify_tensors(struct verification *verification, int64_t file, struct pass *pass)
{
    const struct manifest *manifest = &verification->checkpoint.manifest;
    const struct manifest_file *shard = &manifest->files[file];
    struct error error = {0};
    uint64_t header;

    if (checkpoint_check_shard(&verification->checkpoint, file, &error) != STATUS_OK ||
        hash_next(verification, pass, shard->header_bytes, &header, &error) != STATUS_OK)
        report(verification, shard->name, NULL, error.message);
    pass->position = shard->header_bytes;
    for (int64_t i = 0; i < manifest->tensor_count; i++) {
        if (manifest->tensors[i].file != file)
            continue;
        if (verify_tensor(verification, &manifest->tensors[i], pass, &error) != STATUS_OK)
            report(verification, shard->name, manifest->tensors[i].name, error.message);
        pass->position = manifest->tensors[i].offset + manifest->tensors[i].bytes;
    }
}

static void verify_bytes(struct verification *verification, int64_t file, struct pass *pass)
{
    const struct manifest_file *wanted = &verification->checkpoint.manifest.files[file];
    int64_t before = verification->problems;
    struct error error = {0};
    uint64_t rest;

    checksum_reset(verification->whole);
    if (wanted->header_bytes > 0)
        verify_tensors(verification, file, pass);
    if (hash_next(verification, pass, wanted->bytes - pass->position, &rest, &error) != STATUS_OK) {
        report(verification, wanted->name, NULL, error.message);
    } else if (verification->problems == before && checksum_value(verification->whole) != wanted->checksum) {
        error_set(&error, STATUS_INPUT, "%s is damaged: its bytes are not the ones that were written", pass->path);
        report(verification, wanted->name, NULL, error.message);
    }
}

static void verify_file(struct verification *verification, int64_t file)
{
    const struct file_system *fs = verification->checkpoint.fs;
    const struct manifest_file *wanted = &verification->checkpoint.manifest.files[file];
    struct manifest only = {.file_count = 1, .files = (struct manifest_file *)wanted};
    struct error error = {0};
    char path[PATH_MAX];
    struct pass pass = {.path = path};

    if (checkpoint_check_sizes(fs, verification->checkpoint.folder, &only, &error) != STATUS_OK) {
        report(verification, wanted->name, NULL, error.message);
        return;
    }
    file_join(path, sizeof path, verification->checkpoint.folder, wanted->name);
    pass.handle = fs->open(fs, path, FILE_READ);
    if (pass.handle < 0) {
        error_set(&error, STATUS_INPUT, "%s: %s", path, strerror(-pass.handle));
        report(verification, wanted->name, NULL, error.message);
        return;
    }
    verify_bytes(verification, file, &pass);
    fs->close(fs, pass.handle);
}

static void verify_names(struct verification *verification)
{
    const struct checkpoint *checkpoint = &verification->checkpoint;
    struct error error = {0};
    struct folder_names names;

    if (folder_names(checkpoint->folder, &names, &error) != STATUS_OK) {
        report(verification, MANIFEST_NAME, NULL, error.message);
        return;
    }
    for (int64_t i = 0; i < names.count; i++) {
        if (strcmp(names.names[i], MANIFEST_NAME) == 0 ||
            manifest_find_file(&checkpoint->manifest, names.names[i]) != NULL)
            continue;
        error_set(&error, STATUS_INPUT, "%s/%.255s is not part of the checkpoint", checkpoint->folder, names.names[i]);
        report(verification, names.names[i], NULL, error.message);
    }
    folder_names_finish(&names);
}

static int verify_parts(struct verification *verification, struct error *error)
{
    struct manifest *manifest = &verification->checkpoint.manifest;
    int result = name_index_make(manifest->tensors, manifest->tensor_count, sizeof *manifest->tensors,
                                 &verification->checkpoint.names, error);

    if (result != STATUS_OK)
        return result;
    for (int64_t i = 0; i < manifest->file_count; i++)
        verify_file(verification, i);
    verify_names(verification);
    return STATUS_OK;
}

int checkpoint_verify(const struct file_system *fs, const char *folder, checkpoint_problem *problem, void *context,
                      int64_t *bytes, struct error *error)
{
    struct verification verification = {.checkpoint = {.fs = fs, .open_file = -1},
                                        .report = problem,
                                        .context = context,
                                        .chunk = malloc(CHUNK_BYTES),
                                        .part = checksum_create(),
                                        .whole = checksum_create()};
    struct error found = {0};
    int result;

    if (verification.chunk == NULL || verification.part == NULL || verification.whole == NULL) {
        result = error_set(error, STATUS_MEMORY, "no memory to verify %s", folder);
        goto out;
    }
    if (strlen(folder) + MANIFEST_NAME_LIMIT + 2 > sizeof verification.checkpoint.folder) {
        result = error_set(error, STATUS_INPUT, "the path of the checkpoint is too long: %.200s...", folder);
        goto out;
    }
    strcpy(verification.checkpoint.folder, folder);
    result = checkpoint_read_manifest(fs, folder, &verification.checkpoint.manifest, &found);
    if (result == STATUS_OK)
        result = verify_parts(&verification, error);
    else
        report(&verification, MANIFEST_NAME, NULL, found.message);
    if (verification.problems == 1)
        result = error_set(error, STATUS_INPUT, "%s", verification.first);
    else if (verification.problems > 1)
        result = error_set(error, STATUS_INPUT, "%.900s (and %lld more problems)", verification.first,
                           (long long)verification.problems - 1);
    if (bytes != NULL)
        *bytes = verification.bytes;
out:
    checkpoint_close(&verification.checkpoint);
    checksum_destroy(verification.part);
    checksum_destroy(verification.whole);
    free(verification.chunk);
    return result;
}
