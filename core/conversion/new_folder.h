/* A folder that appears whole or not at all: written beside its place under another name, then renamed. */
#ifndef LLMRUN_CONVERSION_NEW_FOLDER_H
#define LLMRUN_CONVERSION_NEW_FOLDER_H

#include <limits.h>

#include "base/file.h"
#include "base/status.h"

struct new_folder {
    const struct file_system *fs;
    char final[PATH_MAX];
    char partial[PATH_MAX]; /* where to write until it is committed; "" when there is nothing to abandon */
};

/* STATUS_USAGE when `path` is there already and is no empty folder; STATUS_STORAGE when the folder cannot be made. */
int new_folder_begin(struct new_folder *folder, const struct file_system *fs, const char *path, struct error *error);

/* Syncs and renames; with `inner` the folder of that name in it becomes the new one. */
int new_folder_commit(struct new_folder *folder, const char *inner, struct error *error);

/* Removes what was written and not committed; `inner` may be NULL. */
void new_folder_abandon(struct new_folder *folder, const char *inner);

#endif
