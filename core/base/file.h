/* Files, behind a table so that a test can fail the n-th write, lose what was not synced, or fill the disk. Everything
 * the core stores (checkpoints, metrics, run folders) goes through it; reading large inputs may map files directly.
 *
 * Functions return 0 or a negative errno value; the `file_*` helpers below turn it into a sentence. Blocking; any
 * thread, one thread a handle. */
#ifndef LLMRUN_BASE_FILE_H
#define LLMRUN_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum file_mode { FILE_READ, FILE_CREATE /* truncates */, FILE_APPEND };

struct file_system {
    int (*open)(const struct file_system *fs, const char *path, enum file_mode mode); /* a handle >= 0 */
    int64_t (*read)(const struct file_system *fs, int handle, void *data, size_t bytes, int64_t offset);
    int64_t (*write)(const struct file_system *fs, int handle, const void *data, size_t bytes); /* may be short */
    int64_t (*size)(const struct file_system *fs, int handle);
    int (*truncate)(const struct file_system *fs, int handle, int64_t bytes);
    int (*sync)(const struct file_system *fs, int handle);
    int (*close)(const struct file_system *fs, int handle);
    int (*sync_folder)(const struct file_system *fs, const char *path);
    int (*make_folder)(const struct file_system *fs, const char *path); /* 0 if it is there already */
    int (*rename)(const struct file_system *fs, const char *from, const char *to);
    int (*remove)(const struct file_system *fs, const char *path);           /* a file or an empty folder */
    int64_t (*free_bytes)(const struct file_system *fs, const char *folder); /* that this user may still write there */
};

extern const struct file_system file_system_real;

/* Opens a file to read: STATUS_INPUT, naming `path`, for what is missing or no regular file (folder, pipe, device). */
int file_open_regular(const struct file_system *fs, const char *path, int *handle, int64_t *bytes, struct error *error);

/* Reads a whole regular file into memory that the caller frees; a NUL follows the last byte. Refuses files over `limit`
 * bytes. A file that is missing or cannot be read is STATUS_INPUT. */
int file_read_all(const struct file_system *fs, const char *path, int64_t limit, char **data, int64_t *bytes,
                  struct error *error);

/* Reads exactly `bytes` bytes from byte `offset` on (short reads and EINTR are carried on). STATUS_INPUT, naming
 * `path`, when the file fails or ends before. */
int file_read_range(const struct file_system *fs, int handle, const char *path, int64_t offset, void *memory,
                    int64_t bytes, struct error *error);

/* Writes until all is written (short writes and EINTR are carried on). STATUS_STORAGE on failure, naming `path`. */
int file_write_all(const struct file_system *fs, int handle, const char *path, const void *data, size_t bytes,
                   struct error *error);

/* Makes `path` and every missing folder above it. */
int file_make_folders(const struct file_system *fs, const char *path, struct error *error);

/* Joins two parts with one '/'. False when the result does not fit. */
bool file_join(char *out, size_t out_bytes, const char *folder, const char *name);

#endif
