/* A library to preload: FAIL_ALLOC=1000 makes the 1,000th allocation of the process fail, and that one alone;
 * FAIL_ALLOC=1000+ all from that one on. COUNT_ALLOC=FILE writes how many there were. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* glibc's own, which need no search: dlsym allocates. */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

static atomic_long calls;
static long first;
static bool further;
static int count_file;
static pid_t counted; /* the process whose allocations are written down; 0: none */

__attribute__((constructor)) static void begin(void)
{
    const char *text = getenv("FAIL_ALLOC"), *path = getenv("COUNT_ALLOC");

    if (path != NULL) {
        int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

        count_file = fcntl(file, F_DUPFD_CLOEXEC, 200); /* out of the way of the numbers that the program gets */
        close(file);
        counted = getpid();
    }
    if (text == NULL)
        return;
    further = text[strlen(text) - 1] == '+';
    first = strtol(text, NULL, 10);
}

/* After each allocation: the program ends by a call of its own, and no handler would be called. A child that tries a
 * plugin does not count. */
static void write_count(long call)
{
    char line[32];
    int length = snprintf(line, sizeof line, "%ld\n", call);

    if (getpid() == counted && pwrite(count_file, line, (size_t)length, 0) != length)
        abort();
}

static bool fails(void)
{
    const long call = atomic_fetch_add(&calls, 1) + 1;

    if (counted != 0)
        write_count(call);
    if (first == 0 || call < first || (call > first && !further))
        return false;
    errno = ENOMEM;
    return true;
}

EXPORT void *malloc(size_t bytes)
{
    return fails() ? NULL : __libc_malloc(bytes);
}

EXPORT void *calloc(size_t count, size_t bytes)
{
    return fails() ? NULL : __libc_calloc(count, bytes);
}

EXPORT void *realloc(void *memory, size_t bytes)
{
    return fails() ? NULL : __libc_realloc(memory, bytes);
}

EXPORT void *memalign(size_t alignment, size_t bytes)
{
    return fails() ? NULL : __libc_memalign(alignment, bytes);
}

EXPORT void *aligned_alloc(size_t alignment, size_t bytes)
{
    return fails() ? NULL : __libc_memalign(alignment, bytes);
}

EXPORT int posix_memalign(void **memory, size_t alignment, size_t bytes)
{
    void *made = fails() ? NULL : __libc_memalign(alignment, bytes);

    if (made == NULL)
        return ENOMEM;
    *memory = made;
    return 0;
}
