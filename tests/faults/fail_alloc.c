/* A library to preload: FAIL_ALLOC=1000 makes the 1,000th allocation of the process fail, and that one alone;
 * FAIL_ALLOC=1000+ all from that one on. COUNT_ALLOC=FILE writes at the end how many there were. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
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

__attribute__((constructor)) static void begin(void)
{
    const char *text = getenv("FAIL_ALLOC");

    if (text == NULL)
        return;
    further = text[strlen(text) - 1] == '+';
    first = strtol(text, NULL, 10);
}

/* The last thing that a process does; a child that tries a plugin ends before its parent. */
EXPORT void _exit(int code)
{
    const char *path = getenv("COUNT_ALLOC");
    char line[32];
    int file, length = snprintf(line, sizeof line, "%ld\n", atomic_load(&calls));

    if (path != NULL) {
        file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
        if (write(file, line, (size_t)length) != length)
            code = 125;
    }
    for (;;)
        syscall(SYS_exit_group, code);
}

static bool fails(void)
{
    const long call = atomic_fetch_add(&calls, 1) + 1;

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
