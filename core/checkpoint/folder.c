#include "checkpoint/folder.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool append(struct folder_names *names, const char *name)
{
    char **grown = array_reserve(names->names, names->count, 1, &names->capacity, sizeof *grown);

    if (grown == NULL)
        return false;
    names->names = grown;
    grown[names->count] = strdup(name);
    return grown[names->count++] != NULL;
}

/* opendir allocates. */
static int listing_status(int problem)
{
    return problem == ENOENT || problem == ENOTDIR ? STATUS_INPUT : problem == ENOMEM ? STATUS_MEMORY : STATUS_STORAGE;
}

int folder_names(const char *path, struct folder_names *names, struct error *error)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    int result = STATUS_OK;

    *names = (struct folder_names){0};
    if (folder == NULL)
        return error_set(error, listing_status(errno), "%s: %s", path, strerror(errno));
    while (result == STATUS_OK && (errno = 0, entry = readdir(folder)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && !append(names, entry->d_name))
            result = error_set(error, STATUS_MEMORY, "no memory for the names in %s", path);
    }
    if (result == STATUS_OK && errno != 0)
        result = error_set(error, STATUS_STORAGE, "%s: its names could not be read: %s", path, strerror(errno));
    closedir(folder);
    if (result != STATUS_OK) {
        folder_names_finish(names);
        return result;
    }
    if (names->count > 0)
        qsort(names->names, (size_t)names->count, sizeof *names->names, compare);
    return STATUS_OK;
}

void folder_names_finish(struct folder_names *names)
{
    for (int64_t i = 0; i < names->count; i++)
        free(names->names[i]);
    free(names->names);
    *names = (struct folder_names){0};
}

bool folder_exists(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

int folder_find(const char *path, bool *found, struct error *error)
{
    struct stat status;

    *found = stat(path, &status) == 0;
    if (!*found && errno == ENOENT && lstat(path, &status) == 0)
        return error_set(error, STATUS_INPUT, "%s is a symbolic link to what is not there", path);
    if (*found && !S_ISDIR(status.st_mode))
        return error_set(error, STATUS_INPUT, "%s is no folder", path);
    if (!*found && errno != ENOENT && errno != ENOTDIR)
        return error_set(error, STATUS_STORAGE, "%s could not be read: %s", path, strerror(errno));
    return STATUS_OK;
}

static int remove_one(const struct file_system *fs, const char *folder, const char *name, struct error *error)
{
    char path[PATH_MAX];
    int result;

    if (!file_join(path, sizeof path, folder, name))
        return error_set(error, STATUS_STORAGE, "%.200s...: a name in it is too long to remove", folder);
    result = fs->remove(fs, path);
    if (result != 0 && result != -ENOENT)
        return error_set(error, STATUS_STORAGE, "%s: could not remove: %s", path, strerror(-result));
    return STATUS_OK;
}

int folder_remove(const struct file_system *fs, const char *path, const char *first, struct error *error)
{
    struct folder_names names;
    int result = folder_names(path, &names, error);

    if (result != STATUS_OK)
        return result == STATUS_MEMORY ? result : error_set(error, STATUS_STORAGE, "%s: could not be listed", path);
    if (first != NULL)
        result = remove_one(fs, path, first, error);
    for (int64_t i = 0; i < names.count && result == STATUS_OK; i++)
        result = remove_one(fs, path, names.names[i], error);
    folder_names_finish(&names);
    if (result == STATUS_OK && (result = fs->remove(fs, path)) != 0)
        return error_set(error, STATUS_STORAGE, "%s: could not remove: %s", path, strerror(-result));
    return result;
}
