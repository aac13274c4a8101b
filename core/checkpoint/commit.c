#include "checkpoint/commit.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/folder.h"
#include "checkpoint/stored_file.h"

static int write_manifest(const struct file_system *fs, const char *partial, const struct manifest *manifest,
                          struct error *error)
{
    struct stored_file file = {.handle = -1};
    char *text = NULL;
    uint64_t checksum;
    int64_t bytes;
    int result;

    if ((result = manifest_print(manifest, &text, &bytes, error)) == STATUS_OK &&
        (result = stored_file_create(&file, fs, partial, MANIFEST_NAME, error)) == STATUS_OK &&
        (result = stored_file_write(&file, text, bytes, error)) == STATUS_OK)
        result = stored_file_finish(&file, &checksum, error);
    stored_file_abandon(&file);
    free(text);
    return result;
}

static int rename_folder(const struct file_system *fs, const char *from, const char *to, struct error *error)
{
    int result = fs->rename(fs, from, to);

    if (result != 0)
        return error_set(error, STATUS_STORAGE, "%s: could not rename it to %s: %s", from, to, strerror(-result));
    return STATUS_OK;
}

/* Both stay durable at every moment: the old one under its second name until the new one has the first. */
static int replace(const struct file_system *fs, const char *folder, const char *partial, const char *final,
                   const char *run_id, char aside[PATH_MAX], struct error *error)
{
    int result;

    if ((size_t)snprintf(aside, PATH_MAX, "%s" COMMIT_REPLACED "%s", final, run_id) >= PATH_MAX)
        return error_set(error, STATUS_STORAGE, "%s: it is there already, and its path is too long to set it aside",
                         final);
    if ((folder_exists(aside) && (result = folder_remove(fs, aside, MANIFEST_NAME, error)) != STATUS_OK) ||
        (result = rename_folder(fs, final, aside, error)) != STATUS_OK ||
        (result = stored_folder_sync(fs, folder, error)) != STATUS_OK)
        return result;
    return rename_folder(fs, partial, final, error);
}

int commit_folder(const struct file_system *fs, const char *folder, const char *partial, const char *final,
                  const struct manifest *manifest, bool *renamed, struct error *error)
{
    char aside[PATH_MAX] = "";
    int result;

    *renamed = false;
    if ((result = stored_folder_sync(fs, partial, error)) != STATUS_OK ||
        (result = write_manifest(fs, partial, manifest, error)) != STATUS_OK ||
        (result = stored_folder_sync(fs, partial, error)) != STATUS_OK)
        return result;
    result = fs->rename(fs, partial, final);
    if (result == -ENOTEMPTY || result == -EEXIST)
        result = replace(fs, folder, partial, final, manifest->run_id, aside, error);
    else if (result != 0)
        result =
            error_set(error, STATUS_STORAGE, "%s: could not rename it to %s: %s", partial, final, strerror(-result));
    if (result != STATUS_OK)
        return result;
    *renamed = true;
    result = stored_folder_sync(fs, folder, error);
    if (result == STATUS_OK && aside[0] != '\0')
        result = folder_remove(fs, aside, MANIFEST_NAME, error);
    return result;
}
