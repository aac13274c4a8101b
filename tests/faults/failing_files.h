/* A file system that passes everything on to the real one, except the calls that it was told to fail. A handle that is
 * none of the open ones aborts the test. */
#ifndef LLMRUN_TESTS_FAILING_FILES_H
#define LLMRUN_TESTS_FAILING_FILES_H

#include <stdbool.h>

#include "base/file.h"

#define FAILING_FILES_HANDLES 1024

enum call {
    CALL_OPEN,
    CALL_READ,
    CALL_WRITE,
    CALL_SIZE,
    CALL_SYNC,
    CALL_CLOSE,
    CALL_SYNC_FOLDER,
    CALL_MAKE_FOLDER,
    CALL_RENAME,
    CALL_REMOVE,
    CALL_KINDS
};

struct failing_files {
    struct file_system fs; /* first: the table is this struct */
    enum call call;        /* the kind that fails */
    int first, last;       /* which calls of that kind, counted from 1; none with 0, 0 */
    int problem;           /* a positive errno value */
    int short_write;       /* at most that many bytes a write; 0: no limit */
    int interrupt_every;   /* each n-th open, read, write and sync gives EINTR first; 0: none */
    int calls[CALL_KINDS];
    int failed;      /* calls that were failed */
    int interrupted; /* the interrupts are counted over all kinds */
    bool is_open[FAILING_FILES_HANDLES];
    int open; /* handles */
};

void failing_files_init(struct failing_files *files);

#endif
