#include "conversion/new_folder.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint/folder.h"
#include "checkpoint/stored_file.h"

static int check_target(const char *path, struct error *error)
{
    struct folder_names names = {0};
    bool empty;

    if (access(path, F_OK) != 0)
        return STATUS_OK;
    if (!folder_exists(path))
        return error_set(error, STATUS_USAGE, "%s is there already and is no folder; name a new one", path);
    if (folder_names(path, &names, error) != STATUS_OK)
        return STATUS_INPUT;
    empty = names.count == 0;
    folder_names_finish(&names);
    return empty ? STATUS_OK
                 : error_set(error, STATUS_USAGE, "%s is there already and is not empty; name a new folder", path);
}

int new_folder_begin(struct new_folder *folder, const struct file_system *fs, const char *path, struct error *error)
{
    size_t length = strlen(path);
    int status;

    *folder = (struct new_folder){.fs = fs};
    while (length > 1 && path[length - 1] == '/')
        length--;
    if (length == 0 || length >= sizeof folder->final - 32)
        return error_set(error, STATUS_USAGE, "the folder to write has %s",
                         length == 0 ? "no name" : "too long a path");
    memcpy(folder->final, path, length);
    status = check_target(folder->final, error);
    if (status != STATUS_OK)
        return status;
    snprintf(folder->partial, sizeof folder->partial, "%.*s.partial-%ld", (int)length, path, (long)getpid());
    status = file_make_folders(fs, folder->partial, error);
    if (status != STATUS_OK)
        folder->partial[0] = '\0';
    return status;
}

/* The folder above, whose entry is the new name. */
static int sync_parent(const struct new_folder *folder, struct error *error)
{
    char parent[PATH_MAX], *slash;

    memcpy(parent, folder->final, sizeof parent);
    slash = strrchr(parent, '/');
    if (slash == NULL)
        strcpy(parent, ".");
    else
        slash[slash == parent] = '\0';
    return stored_folder_sync(folder->fs, parent, error);
}

int new_folder_commit(struct new_folder *folder, const char *inner, struct error *error)
{
    char from[PATH_MAX];
    int result, status;

    if (inner == NULL)
        memcpy(from, folder->partial, sizeof from);
    else if (!file_join(from, sizeof from, folder->partial, inner))
        return error_set(error, STATUS_STORAGE, "%s: the path is too long", folder->final);
    status = stored_folder_sync(folder->fs, from, error);
    if (status != STATUS_OK)
        return status;
    result = folder->fs->rename(folder->fs, from, folder->final);
    if (result != 0)
        return error_set(error, STATUS_STORAGE, "%s: could not rename it to %s: %s", from, folder->final,
                         strerror(-result));
    if (inner != NULL)
        folder->fs->remove(folder->fs, folder->partial);
    folder->partial[0] = '\0';
    return sync_parent(folder, error);
}

void new_folder_abandon(struct new_folder *folder, const char *inner)
{
    char path[PATH_MAX];

    if (folder->partial[0] == '\0')
        return;
    if (inner != NULL && file_join(path, sizeof path, folder->partial, inner) && folder_exists(path))
        (void)folder_remove(folder->fs, path, NULL, NULL);
    (void)folder_remove(folder->fs, folder->partial, NULL, NULL);
    folder->partial[0] = '\0';
}
