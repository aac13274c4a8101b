/* A folder of a test's own under TMPDIR or /tmp. */
#ifndef LLMRUN_TEST_SCRATCH_H
#define LLMRUN_TEST_SCRATCH_H

#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* A fresh one; its path is put into `path`. */
static inline bool scratch_make(char *path, size_t bytes)
{
    const char *parent = getenv("TMPDIR");

    snprintf(path, bytes, "%s/llmrun-test-XXXXXX", parent != NULL ? parent : "/tmp");
    return mkdtemp(path) != NULL;
}

static inline int scratch_remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(path);
}

/* With all that is in it. Returns 0, or -1 where something stays. */
static inline int scratch_remove(const char *path)
{
    return nftw(path, scratch_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
