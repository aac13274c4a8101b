/* A library to preload: KILL_AT=fsync:3 kills the process at its third call of fsync, before the call. Of a write, the
 * first half is still done: a torn file. STOP_AT=mkdir:1 stops it there until it gets SIGCONT, WAIT_AT=fsync:1 makes
 * the call a second long, FULL_AT=fsync:2 lets it fail with ENOSPC. 3+ in place of 3 is every call from the third on.
 * In a job of several ranks only that which FAULT_RANK names does so. The calls are those that change what is stored:
 * open (of a file that may be made), write, ftruncate, fsync, rename, remove and mkdir; and connect, which meets other
 * ranks, and fork. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h> /* rename, remove */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* The calls of one name that were made so far. */
struct tally {
    const char *name;
    atomic_long calls;
};

static bool names(const char *variable, const struct tally *tally, long call)
{
    const char *text = getenv(variable);
    size_t length = strlen(tally->name);

    long number;
    char *end;

    if (text == NULL || strncmp(text, tally->name, length) != 0 || text[length] != ':')
        return false;
    number = strtol(text + length + 1, &end, 10);
    return call == number || (*end == '+' && call > number);
}

static pid_t own; /* 0: a rank that is left alone */

__attribute__((constructor)) static void begin(void)
{
    const char *rank = getenv("RANK"), *only = getenv("FAULT_RANK");

    own = only == NULL || (rank != NULL && strcmp(rank, only) == 0) ? getpid() : 0;
}

enum order { NOTHING, DIE, FAIL };

/* Children, which try plugins, are left alone: they store nothing of a run. */
static enum order take_order(struct tally *tally)
{
    long call;

    if (getpid() != own)
        return NOTHING;
    call = atomic_fetch_add(&tally->calls, 1) + 1;

    if (names("STOP_AT", tally, call))
        kill(getpid(), SIGSTOP);
    if (names("WAIT_AT", tally, call))
        sleep(1);
    return names("KILL_AT", tally, call) ? DIE : names("FULL_AT", tally, call) ? FAIL : NOTHING;
}

/* The function that this library stands in front of, and the tally of its calls. */
#define BEFORE(function)                                                                                               \
    static struct tally tally = {.name = #function};                                                                   \
    static __typeof__(&(function)) next;                                                                               \
    *(void **)&next = next != NULL ? (void *)next : dlsym(RTLD_NEXT, #function)

/* Whether the call fails. */
static bool obey(struct tally *tally)
{
    const enum order order = take_order(tally);

    if (order == DIE)
        kill(getpid(), SIGKILL);
    if (order == FAIL)
        errno = ENOSPC;
    return order == FAIL;
}

EXPORT int open(const char *path, int flags, ...)
{
    BEFORE(open);
    mode_t mode = 0;

    if (flags & O_CREAT) {
        va_list arguments;

        va_start(arguments, flags);
        mode = va_arg(arguments, mode_t);
        va_end(arguments);
        if (obey(&tally))
            return -1;
    }
    return next(path, flags, mode);
}

EXPORT ssize_t write(int handle, const void *data, size_t bytes)
{
    BEFORE(write);
    const enum order order = take_order(&tally);

    if (order != NOTHING)
        next(handle, data, bytes / 2);
    if (order == DIE)
        kill(getpid(), SIGKILL);
    if (order == FAIL)
        errno = ENOSPC;
    return order == FAIL ? -1 : next(handle, data, bytes);
}

EXPORT int ftruncate(int handle, off_t bytes)
{
    BEFORE(ftruncate);
    return obey(&tally) ? -1 : next(handle, bytes);
}

EXPORT int fsync(int handle)
{
    BEFORE(fsync);
    return obey(&tally) ? -1 : next(handle);
}

EXPORT int rename(const char *from, const char *to)
{
    BEFORE(rename);
    return obey(&tally) ? -1 : next(from, to);
}

EXPORT int remove(const char *path)
{
    BEFORE(remove);
    return obey(&tally) ? -1 : next(path);
}

EXPORT int mkdir(const char *path, mode_t mode)
{
    BEFORE(mkdir);
    return obey(&tally) ? -1 : next(path, mode);
}

EXPORT int connect(int handle, const struct sockaddr *address, socklen_t length)
{
    BEFORE(connect);
    return obey(&tally) ? -1 : next(handle, address, length);
}

EXPORT pid_t fork(void)
{
    BEFORE(fork);
    return obey(&tally) ? -1 : next();
}
