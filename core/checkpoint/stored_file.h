/* A new file on its way to stable storage: written in pieces, hashed on the way, synced before it is closed. */
#ifndef LLMRUN_CHECKPOINT_STORED_FILE_H
#define LLMRUN_CHECKPOINT_STORED_FILE_H

#include <limits.h>

#include "base/file.h"
#include "base/status.h"
#include "checkpoint/checksum.h"

struct stored_file {
    const struct file_system *fs;
    int handle; /* -1 when no file is open */
    int64_t bytes;
    struct checksum *checksum;
    char path[PATH_MAX];
};

/* All are STATUS_STORAGE, naming the path, when the file system fails; EINTR and short writes are carried on. */
int stored_file_create(struct stored_file *file, const struct file_system *fs, const char *folder, const char *name,
                       struct error *error);
int stored_file_write(struct stored_file *file, const void *data, int64_t bytes, struct error *error);

/* Syncs and closes; *checksum is that of the whole file. */
int stored_file_finish(struct stored_file *file, uint64_t *checksum, struct error *error);

/* Closes a file that is open after a failure, else does nothing. */
void stored_file_abandon(struct stored_file *file);

/* Makes the names in a folder durable. */
int stored_folder_sync(const struct file_system *fs, const char *path, struct error *error);

#endif
