#include "checkpoint/commit.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "checkpoint/checkpoint.h"
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

/* A second name that nobody has: start, start.2, start.3 ... */
static int free_name(const char *final, const char *start, char aside[PATH_MAX], struct error *error)
{
    struct stat status;

    for (int n = 1; n < 1000; n++) {
        int used = n == 1 ? snprintf(aside, PATH_MAX, "%s%s", final, start)
                          : snprintf(aside, PATH_MAX, "%s%s.%d", final, start, n);

        if (used < 0 || used >= PATH_MAX)
            break;
        if (lstat(aside, &status) != 0 && errno == ENOENT)
            return STATUS_OK;
    }
    return error_set(error, STATUS_STORAGE, "there is no name to set aside what is there already: %s", final);
}

/* The name for what has the name `final` by now; *stays where nobody but a user removes it. */
static int name_aside(const struct file_system *fs, const char *final, const struct manifest *manifest,
                      char aside[PATH_MAX], bool *stays, struct error *error)
{
    struct manifest old;
    struct error damage;
    int result = checkpoint_read_manifest(fs, final, &old, &damage);
    char start[64];

    if (result != STATUS_OK && result != STATUS_INPUT)
        return error_set(error, result, "%s; it is not replaced", damage.message);
    *stays = result != STATUS_OK || manifest_branch(&old) != manifest_branch(manifest);
    if (result != STATUS_OK)
        snprintf(start, sizeof start, COMMIT_DAMAGED);
    else
        snprintf(start, sizeof start, COMMIT_BRANCH "%" PRId64, manifest_branch(&old));
    manifest_finish(&old);
    if (*stays)
        return free_name(final, start, aside, error);
    if ((size_t)snprintf(aside, PATH_MAX, "%s" COMMIT_REPLACED "%s", final, manifest->run_id) >= PATH_MAX)
        return error_set(error, STATUS_STORAGE,
                         "%.200s...: it is there already, and its path is too long to set it aside", final);
    return STATUS_OK;
}

/* Both stay durable at every moment: the old one under its second name until the new one has the first. */
static int replace(const struct file_system *fs, const char *folder, const char *partial, const char *final,
                   const struct manifest *manifest, char aside[PATH_MAX], bool *stays, struct error *error)
{
    int result = name_aside(fs, final, manifest, aside, stays, error);

    if (result != STATUS_OK ||
        (!*stays && folder_exists(aside) && (result = folder_remove(fs, aside, MANIFEST_NAME, error)) != STATUS_OK) ||
        (result = rename_folder(fs, final, aside, error)) != STATUS_OK ||
        (result = stored_folder_sync(fs, folder, error)) != STATUS_OK)
        return result;
    return rename_folder(fs, partial, final, error);
}

int commit_folder(const struct file_system *fs, const char *folder, const char *partial, const char *final,
                  const struct manifest *manifest, bool *renamed, struct error *error)
{
    char aside[PATH_MAX] = "";
    bool stays = false;
    int result;

    *renamed = false;
    if ((result = stored_folder_sync(fs, partial, error)) != STATUS_OK ||
        (result = write_manifest(fs, partial, manifest, error)) != STATUS_OK ||
        (result = stored_folder_sync(fs, partial, error)) != STATUS_OK)
        return result;
    result = fs->rename(fs, partial, final);
    if (result == -ENOTEMPTY || result == -EEXIST || result == -ENOTDIR)
        result = replace(fs, folder, partial, final, manifest, aside, &stays, error);
    else if (result != 0)
        result =
            error_set(error, STATUS_STORAGE, "%s: could not rename it to %s: %s", partial, final, strerror(-result));
    if (result != STATUS_OK)
        return result;
    *renamed = true;
    result = stored_folder_sync(fs, folder, error);
    if (result == STATUS_OK && aside[0] != '\0' && !stays)
        result = folder_remove(fs, aside, MANIFEST_NAME, error);
    return result;
}
