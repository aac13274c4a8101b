/* The checkpoints of a run's ckpt folder. Only rank 0 asks; it tells the others what it found. */
#ifndef LLMRUN_CHECKPOINT_FIND_H
#define LLMRUN_CHECKPOINT_FIND_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/file.h"
#include "base/status.h"

enum checkpoint_condition {
    CHECKPOINT_COMPLETE, /* the manifest is whole and every file is there with its size */
    CHECKPOINT_PARTIAL,  /* a save or a removal that did not end */
    CHECKPOINT_TORN,     /* its name says complete, but the manifest or a file is missing or damaged */
    CHECKPOINT_FOREIGN   /* not a name that llmrun gives */
};

struct checkpoint_entry {
    char *name;
    enum checkpoint_condition condition;
    bool replaced;    /* set aside by a newer one of the same step; counts only where that one is not complete */
    int64_t step;     /* from the name; -1 for a foreign one */
    int64_t bytes;    /* of its files, for a complete one */
    char reason[512]; /* a sentence, for those that are not complete */
};

/* Sorted by step, replaced before the one that replaced it; foreign ones first. */
struct checkpoint_listing {
    int64_t count, capacity;
    struct checkpoint_entry *entries;
};

/* A folder that is not there gives an empty list; one that cannot be read is STATUS_INPUT. Freed with
 * checkpoint_listing_finish. */
int checkpoint_list(const struct file_system *fs, const char *folder, struct checkpoint_listing *listing,
                    struct error *error);
void checkpoint_listing_finish(struct checkpoint_listing *listing);

/* The last complete entry, NULL when there is none. */
const struct checkpoint_entry *checkpoint_newest(const struct checkpoint_listing *listing);

/* The path of the newest complete checkpoint in `folder`; *found is false when there is none. Each one that is ignored
 * (partial or torn) is a line of the log, as a warning. */
int checkpoint_find_newest(const struct file_system *fs, const char *folder, char path[PATH_MAX], bool *found,
                           struct error *error);

/* What a user may name: a checkpoint folder, a run folder or its ckpt folder (their newest complete checkpoint).
 * STATUS_INPUT when there is none. */
int checkpoint_resolve(const struct file_system *fs, const char *given, char path[PATH_MAX], struct error *error);

#endif
