/* Errors as values. Every function of the core that can fail returns an `enum status` as int and fills a caller-owned
 * `struct error`. The number of a status is also the exit code of the command (docs/architecture.md, "Exit codes"). */
#ifndef LLMRUN_BASE_STATUS_H
#define LLMRUN_BASE_STATUS_H

#include <stdarg.h>

enum status {
    STATUS_OK = 0,
    STATUS_BUG = 1,        /* our own mistake */
    STATUS_USAGE = 2,      /* wrong flag, key or value */
    STATUS_INPUT = 3,      /* an input file is missing, unreadable or malformed */
    STATUS_BACKEND = 4,    /* a backend or plugin failed or does not fit */
    STATUS_PEER = 5,       /* another rank or the communication failed */
    STATUS_NONFINITE = 6,  /* a loss, gradient or weight is not a finite number */
    STATUS_DIVERGED = 6,   /* ranks have other bits where they must have the same: the numbers are wrong, too */
    STATUS_STORAGE = 7,    /* output could not be stored, or what is stored could not be read (file_problem_status) */
    STATUS_MEMORY = 8,     /* out of memory, host or device */
    STATUS_VALIDATION = 9, /* a conformance case failed */
    STATUS_STOPPED = 75    /* stopped on request, with a checkpoint saved */
};

/* One failure: the first detector fills it, callers pass it on or put context before it. */
struct error {
    int status; /* enum status */
    char message[1024];
};

/* Fills *error and returns `status`, so that a failing function can end with `return error_set(...)`. The message is
 * one sentence: the thing, the value found, the value wanted, the mend. `error` may be NULL. A longer text is cut, and
 * control characters become '?'. */
int error_set(struct error *error, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts "context: " before the message that is there. Returns error->status; STATUS_BUG for NULL, where nobody kept the
 * status. */
int error_prefix(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
