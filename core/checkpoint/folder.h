/* Flat folders: their entries by name, and their removal. */
#ifndef LLMRUN_CHECKPOINT_FOLDER_H
#define LLMRUN_CHECKPOINT_FOLDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/file.h"
#include "base/status.h"

/* Sorted; freed with folder_names_finish. */
struct folder_names {
    int64_t count, capacity;
    char **names;
};

/* Without "." and "..". STATUS_INPUT where there is no folder of that path, STATUS_STORAGE where it cannot be read.
 * Reads the real folder. */
int folder_names(const char *path, struct folder_names *names, struct error *error);
void folder_names_finish(struct folder_names *names);

/* True for a folder that is there (or a link to one); false too where that cannot be told. */
bool folder_exists(const char *path);

/* Tells the two apart: STATUS_STORAGE where it cannot be told, STATUS_INPUT where something else has that name. */
int folder_find(const char *path, bool *found, struct error *error);

/* Removes a folder and the files in it, `first` (may be NULL) before the others. Folders within are not entered: they
 * make it fail. STATUS_STORAGE, naming what could not be removed; what is gone stays gone. */
int folder_remove(const struct file_system *fs, const char *path, const char *first, struct error *error);

#endif
