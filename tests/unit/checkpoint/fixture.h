/* A temporary folder for each test, and small checkpoints in it. */
#ifndef LLMRUN_TESTS_CHECKPOINT_FIXTURE_H
#define LLMRUN_TESTS_CHECKPOINT_FIXTURE_H

#include <limits.h>
#include <stdint.h>

#include "base/file.h"
#include "checkpoint/save.h"

/* The path of a new folder under the system's folder for temporary files; removed by fixture_finish with all in it. */
struct fixture {
    char folder[PATH_MAX];
    char ckpt[PATH_MAX]; /* folder/ckpt, not made */
};

/* cmocka's setup and teardown: *state is a struct fixture. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* A folder with all in it. */
void fixture_remove(const char *folder);

/* folder/name, in memory that lives until the next call. */
const char *fixture_path(const char *folder, const char *name);

/* Writes a file of the real file system; asserts that it works. */
void fixture_write(const char *path, const void *data, size_t bytes);
char *fixture_read(const char *path, int64_t *bytes);

/* The tensors of the small checkpoint: names, dtypes and shapes, and data that depend on the step. */
#define FIXTURE_TENSORS 5
extern const struct safetensors_form fixture_forms[FIXTURE_TENSORS];

/* Fills a snapshot of `step` over static memory: two shards and the file vocab.json. */
void fixture_snapshot(const struct file_system *fs, const char *ckpt, int64_t step,
                      struct checkpoint_snapshot *snapshot);

/* Saves it with the real file system, but without waiting for the disk; asserts success. */
void fixture_save(const char *ckpt, int64_t step);

/* True when the folder is the whole checkpoint of `step`, every byte of it. */
bool fixture_is_step(const char *folder, int64_t step);

#endif
