/* A library to preload: of the calls of one name for paths that hold FAIL_PATH, the FAIL_AT-th fails, and with
 * FAIL_ON=1 all that follow too, with the errno value FAIL_WITH. FAIL_CALL is open, read, stat or list (of a folder).
 * Each call that was failed adds a byte to the file FAIL_LOG. */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT  __attribute__((visibility("default")))
#define HANDLES 4096

static atomic_bool watched[HANDLES]; /* handles whose path holds FAIL_PATH */
static atomic_long calls;
static pid_t own;

__attribute__((constructor)) static void begin(void)
{
    own = getpid();
}

static bool is_watched(int handle)
{
    return handle >= 0 && handle < HANDLES && watched[handle];
}

static bool holds_part(const char *path)
{
    const char *part = getenv("FAIL_PATH");

    return part != NULL && strstr(path, part) != NULL;
}

static long number(const char *name)
{
    const char *text = getenv(name);

    return text != NULL ? strtol(text, NULL, 10) : 0;
}

/* Whether this call of that name, for a path that counts, is to fail; errno is set then. */
static bool fails(const char *name)
{
    const char *wanted = getenv("FAIL_CALL"), *log = getenv("FAIL_LOG");
    long call;
    int handle;

    if (getpid() != own || wanted == NULL || strcmp(wanted, name) != 0)
        return false;
    call = atomic_fetch_add(&calls, 1) + 1;
    if (call < number("FAIL_AT") || (call > number("FAIL_AT") && number("FAIL_ON") == 0))
        return false;
    handle = log != NULL ? (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND, 0666) : -1;
    if (handle >= 0) {
        (void)!syscall(SYS_write, handle, "x", 1);
        syscall(SYS_close, handle);
    }
    errno = (int)number("FAIL_WITH");
    return true;
}

/* The function that this library stands in front of. */
#define BEFORE(function)                                                                                               \
    static __typeof__(&(function)) next;                                                                               \
    *(void **)&next = next != NULL ? (void *)next : dlsym(RTLD_NEXT, #function)

EXPORT int open(const char *path, int flags, ...)
{
    BEFORE(open);
    const bool counts = holds_part(path);
    mode_t mode = 0;
    int handle;

    if (flags & O_CREAT) {
        va_list arguments;

        va_start(arguments, flags);
        mode = va_arg(arguments, mode_t);
        va_end(arguments);
    } else if (counts && (flags & O_DIRECTORY) == 0 && fails("open")) {
        return -1;
    }
    handle = next(path, flags, mode);
    if (handle >= 0 && handle < HANDLES)
        watched[handle] = counts;
    return handle;
}

EXPORT ssize_t pread(int handle, void *data, size_t bytes, off_t offset)
{
    BEFORE(pread);
    return is_watched(handle) && fails("read") ? -1 : next(handle, data, bytes, offset);
}

EXPORT ssize_t read(int handle, void *data, size_t bytes)
{
    BEFORE(read);
    return is_watched(handle) && fails("read") ? -1 : next(handle, data, bytes);
}

EXPORT int fstat(int handle, struct stat *status)
{
    BEFORE(fstat);
    return is_watched(handle) && fails("stat") ? -1 : next(handle, status);
}

EXPORT int stat(const char *path, struct stat *status)
{
    BEFORE(stat);
    return holds_part(path) && fails("stat") ? -1 : next(path, status);
}

EXPORT int access(const char *path, int mode)
{
    BEFORE(access);
    return holds_part(path) && fails("stat") ? -1 : next(path, mode);
}

EXPORT DIR *opendir(const char *path)
{
    BEFORE(opendir);
    return holds_part(path) && fails("list") ? NULL : next(path);
}
