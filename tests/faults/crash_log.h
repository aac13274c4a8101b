/* Records what a program does to its files, and shows what a disk may hold when the power fails in between.
 *
 * The recording file system passes every call on to the real one and logs it. crash_image builds, in a new folder, a
 * state that a disk may be in after the first `calls` logged calls: what was synced is there; of the rest, each new
 * name, removal and rename is there or not, and each file not synced has some of its bytes. */
#ifndef LLMRUN_TESTS_CRASH_LOG_H
#define LLMRUN_TESTS_CRASH_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/file.h"

enum logged {
    LOGGED_CREATE,
    LOGGED_WRITE,
    LOGGED_SYNC,
    LOGGED_SYNC_FOLDER,
    LOGGED_MAKE_FOLDER,
    LOGGED_RENAME,
    LOGGED_REMOVE
};

struct logged_call {
    enum logged kind;
    int handle;
    char *path, *to; /* below the root, without a leading '/' */
    void *data;
    int64_t bytes;
};

struct crash_log {
    struct file_system fs; /* first: the table is this struct */
    const char *root;      /* paths outside are not logged */
    int64_t count, capacity;
    struct logged_call *calls;
    bool ignore_syncs; /* for the test of the simulator: syncs are not logged */
};

void crash_log_init(struct crash_log *log, const char *root);
void crash_log_finish(struct crash_log *log);

enum crash_kind {
    CRASH_KILL,      /* the process dies, the machine lives: everything is there */
    CRASH_ONLY_SYNC, /* nothing is there that was not synced */
    CRASH_RANDOM     /* by the seed */
};

/* Makes the folder `target` and fills it. */
void crash_image(const struct crash_log *log, int64_t calls, enum crash_kind kind, uint32_t seed, const char *target);

#endif
