/* The checkpoints of a run's ckpt folder. Only rank 0 asks; it tells the others what it found. */
#ifndef LLMRUN_CHECKPOINT_FIND_H
#define LLMRUN_CHECKPOINT_FIND_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/file.h"
#include "base/status.h"
#include "checkpoint/checkpoint.h"

enum checkpoint_condition {
    CHECKPOINT_COMPLETE,  /* the manifest is whole and every file is there with its size */
    CHECKPOINT_PARTIAL,   /* a save or a removal that did not end */
    CHECKPOINT_TORN,      /* its name says complete, but the manifest or a file is missing or damaged */
    CHECKPOINT_FOREIGN,   /* not a name that llmrun gives */
    CHECKPOINT_UNREADABLE /* the storage failed: nothing is known of it */
};

struct checkpoint_entry {
    char *name;
    enum checkpoint_condition condition;
    bool replaced;     /* set aside by a newer one of the same step; counts only where that one is not complete */
    int64_t step;      /* from the name; -1 for a foreign one */
    int64_t branch;    /* of a complete one (manifest_branch), else 0 */
    uint64_t checksum; /* of its manifest, for a complete one */
    int64_t bytes;     /* of its files, for a complete one */
    char reason[512];  /* a sentence, for those that are not complete */
};

/* Sorted by branch, then by step, replaced before the one that replaced it; foreign ones first. So the last complete
 * one is the one that was saved last. */
struct checkpoint_listing {
    int64_t count;
    bool moved; /* one was removed while it was looked at */
    struct checkpoint_entry *entries;
};

/* A folder that is not there gives an empty list; one that cannot be read is STATUS_STORAGE. A checkpoint that is
 * removed meanwhile is left out. Freed with checkpoint_listing_finish. */
int checkpoint_list(const struct file_system *fs, const char *folder, struct checkpoint_listing *listing,
                    struct error *error);
void checkpoint_listing_finish(struct checkpoint_listing *listing);

/* The last complete entry, NULL when there is none. */
const struct checkpoint_entry *checkpoint_newest(const struct checkpoint_listing *listing);

/* The path of the newest complete checkpoint in `folder`; *found is false when there is none. Each one that is passed
 * over (partial, or proven to be damaged) is a line of the log, as a warning. STATUS_STORAGE where one cannot be read:
 * it may be the newest. */
int checkpoint_find_newest(const struct file_system *fs, const char *folder, char path[PATH_MAX], bool *found,
                           struct error *error);

/* What a user may name: a checkpoint folder, a run folder or its ckpt folder (their newest complete checkpoint).
 * STATUS_INPUT when there is none. A run that is training may have removed it by the time it is read: then, in a run
 * folder, checkpoint_moved_on is true and the next one can be resolved. */
int checkpoint_resolve(const struct file_system *fs, const char *given, char path[PATH_MAX], struct error *error);
bool checkpoint_moved_on(const struct file_system *fs, const char *given, const char *path);

/* Resolves and opens, as often as a run moves on meanwhile. */
int checkpoint_open_given(const struct file_system *fs, const char *given, struct checkpoint *checkpoint,
                          struct error *error);

#endif
