#include "plugin/search.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/file.h"
#include "plugin/note.h"

int plugin_search_name(struct plugin_search *search, uint32_t kind, const char *value, struct error *error)
{
    const char *equals = value != NULL ? strchr(value, '=') : NULL;
    struct plugin_named *named = &search->named[kind - 1];

    memset(named, 0, sizeof *named);
    if (equals == NULL)
        return STATUS_OK;
    if (equals == value || equals[1] == '\0' || (size_t)(equals - value) >= sizeof named->name)
        return error_set(error, STATUS_USAGE, "the %s '%s' is not of the form name=path", plugin_kind_name(kind),
                         value);
    memcpy(named->name, value, (size_t)(equals - value));
    named->path = equals + 1;
    return STATUS_OK;
}

int plugin_search_default(struct plugin_search *search, const char *backend, struct error *error)
{
    char program[400];
    ssize_t length;
    char *slash;
    int result;

    memset(search, 0, sizeof *search);
    result = plugin_search_name(search, LLMRUN_PLUGIN_BACKEND, backend, error);
    if (result != STATUS_OK)
        return result;
    search->listed = getenv("LLMRUN_BACKEND_PATH");
    length = readlink("/proc/self/exe", program, sizeof program);
    if (length > 0 && (size_t)length < sizeof program) {
        program[length] = '\0';
        slash = strrchr(program, '/');
        *slash = '\0';
        snprintf(search->folders[0], sizeof search->folders[0], "%s/../lib/llmrun", program);
#ifdef LLMRUN_MULTIARCH
        snprintf(search->folders[1], sizeof search->folders[1], "%s/../lib/" LLMRUN_MULTIARCH "/llmrun", program);
#endif
    }
#ifdef LLMRUN_INSTALL_PLUGIN_DIR
    snprintf(search->folders[2], sizeof search->folders[2], "%s", LLMRUN_INSTALL_PLUGIN_DIR);
#endif
    return STATUS_OK;
}

/* Takes `path`, which must be from malloc. */
static int append(struct plugin_paths *paths, char *path, uint32_t named, int missing, struct error *error)
{
    struct plugin_path *items = NULL;

    if (path != NULL) {
        for (int64_t i = 0; i < paths->count; i++) {
            if (strcmp(paths->items[i].path, path) == 0) {
                free(path);
                return STATUS_OK;
            }
        }
        items = array_reserve(paths->items, paths->count, 1, &paths->capacity, sizeof *items);
    }
    if (items == NULL) {
        free(path);
        return error_set(error, STATUS_MEMORY, "no memory for the list of plugins");
    }
    paths->items = items;
    items[paths->count++] = (struct plugin_path){.path = path, .named = named, .missing = missing};
    return STATUS_OK;
}

/* A path that somebody wrote down: a file. Shown even when it is not there. */
static int append_file(struct plugin_paths *paths, const char *path, uint32_t named, struct error *error)
{
    struct stat status;
    char *real = realpath(path, NULL);
    int missing = 0;

    if (real == NULL)
        return append(paths, strdup(path), named, errno, error);
    if (stat(real, &status) != 0)
        missing = errno;
    else if (!S_ISREG(status.st_mode))
        missing = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
    return append(paths, real, named, missing, error);
}

static int is_candidate(const struct dirent *entry)
{
    return fnmatch("libllmrun-*.so", entry->d_name, 0) == 0;
}

/* Appends what a folder holds. False in *there when it is no folder that can be read. */
static int append_folder(struct plugin_paths *paths, const char *folder, bool *there, struct error *error)
{
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, is_candidate, alphasort);
    int result = STATUS_OK;
    char path[4096];

    *there = count >= 0;
    for (int i = 0; i < count; i++) {
        if (result == STATUS_OK && file_join(path, sizeof path, folder, entries[i]->d_name))
            result = append_file(paths, path, 0, error);
        free(entries[i]);
    }
    free(entries);
    return result;
}

static int append_list(struct plugin_paths *paths, const char *list, struct error *error)
{
    int result = STATUS_OK;

    while (result == STATUS_OK) {
        size_t length = strcspn(list, ":");
        struct stat status;
        char part[4096];
        bool there;

        if (length > 0 && length < sizeof part) {
            memcpy(part, list, length);
            part[length] = '\0';
            if (stat(part, &status) == 0 && S_ISDIR(status.st_mode)) {
                result = append_folder(paths, part, &there, error);
                if (result == STATUS_OK && !there)
                    result = append(paths, strdup(part), 0, EACCES, error);
            } else {
                result = append_file(paths, part, 0, error);
            }
        }
        if (list[length] == '\0')
            break;
        list += length + 1;
    }
    return result;
}

int plugin_search_run(const struct plugin_search *search, struct plugin_paths *paths, struct error *error)
{
    int result = STATUS_OK;
    bool there;

    memset(paths, 0, sizeof *paths);
    for (uint32_t kind = LLMRUN_PLUGIN_BACKEND; kind <= LLMRUN_PLUGIN_COLLECTIVE && result == STATUS_OK; kind++)
        if (search->named[kind - 1].path != NULL)
            result = append_file(paths, search->named[kind - 1].path, kind, error);
    if (result == STATUS_OK && search->listed != NULL)
        result = append_list(paths, search->listed, error);
    for (int i = 0; i < SEARCH_FOLDERS && result == STATUS_OK; i++)
        if (search->folders[i][0] != '\0')
            result = append_folder(paths, search->folders[i], &there, error);
    if (result != STATUS_OK)
        plugin_paths_finish(paths);
    return result;
}

void plugin_paths_finish(struct plugin_paths *paths)
{
    for (int64_t i = 0; i < paths->count; i++)
        free(paths->items[i].path);
    free(paths->items);
    memset(paths, 0, sizeof *paths);
}
