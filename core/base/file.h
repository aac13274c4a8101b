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

/* What is no regular file is never opened: a folder gives -EISDIR, a pipe, socket or device -ESPIPE. To be written, a
 * file must not be reached through a link in its last part (-ELOOP): what the link names is not ours to change. */
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

/* No errno value: a file was read to be compared, and its bytes are not those that were written. */
#define FILE_DAMAGED 5000

/* What a negative errno value of the table, given as a positive one, says of a file that was to be read: STATUS_INPUT
 * where the file is missing, damaged, of another kind or may not be read, STATUS_STORAGE where the storage or the
 * system failed (EIO, ESTALE, EMFILE ...), which says nothing about the file. */
int file_problem_status(int problem);
const char *file_problem_text(int problem); /* for a sentence */

/* True where `path` is there, or where that cannot be told: then reading it says why. Takes a file of any kind. */
bool file_is_there(const struct file_system *fs, const char *path);

/* Opens a file to read and gives its size. Failures, naming `path`, as file_problem_status says. */
int file_open_regular(const struct file_system *fs, const char *path, int *handle, int64_t *bytes, struct error *error);

/* Reads a whole regular file into memory that the caller frees; a NUL follows the last byte. Refuses files over `limit`
 * bytes (STATUS_INPUT). Other failures as file_problem_status says. */
int file_read_all(const struct file_system *fs, const char *path, int64_t limit, char **data, int64_t *bytes,
                  struct error *error);

/* The same of an open file, which stays open. */
int file_read_handle(const struct file_system *fs, int handle, const char *path, int64_t limit, char **data,
                     int64_t *bytes, struct error *error);

/* Reads exactly `bytes` bytes from byte `offset` on (short reads and EINTR are carried on). Naming `path`, STATUS_INPUT
 * when the file ends before, STATUS_STORAGE when it cannot be read. */
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
