#include "checkpoint/run_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"

/* Returns STATUS_USAGE with what the holder wrote: one line, "host HOST, process PID". */
static int in_use(int handle, const char *run_folder, struct error *error)
{
    char holder[256] = "";
    ssize_t bytes = pread(handle, holder, sizeof holder - 1, 0);

    holder[bytes > 0 ? bytes : 0] = '\0';
    holder[strcspn(holder, "\n")] = '\0';
    return error_set(error, STATUS_USAGE,
                     "the run folder %s is in use by another run (%s); wait for it or give another run.dir", run_folder,
                     holder[0] != '\0' ? holder : "unknown");
}

/* Only for people: losing it does no harm. */
static void write_holder(int handle)
{
    char host[HOST_NAME_MAX + 1] = "", text[HOST_NAME_MAX + 64];
    int bytes;

    gethostname(host, sizeof host - 1);
    bytes = snprintf(text, sizeof text, "host %s, process %ld\n", host, (long)getpid());
    if (ftruncate(handle, 0) != 0 || pwrite(handle, text, (size_t)bytes, 0) != bytes)
        log_line(LOG_DEBUG, "the lock file could not be filled: %s", strerror(errno));
}

int run_lock_acquire(const char *run_folder, struct run_lock *lock, struct error *error)
{
    char path[PATH_MAX];
    struct stat status;
    int problem;

    lock->handle = -1;
    if (!file_join(path, sizeof path, run_folder, ".lock"))
        return error_set(error, STATUS_USAGE, "the path of the run folder %.200s... is too long", run_folder);
    lock->handle = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
    if (lock->handle < 0)
        return error_set(error, STATUS_STORAGE, "%s: could not create: %s", path, file_problem_text(errno));
    /* What was written into a pipe or a device would go to somebody else. */
    if (fstat(lock->handle, &status) != 0 || !S_ISREG(status.st_mode)) {
        run_lock_release(lock);
        return error_set(error, STATUS_STORAGE, "%s: could not create: %s", path, file_problem_text(ESPIPE));
    }
    do
        problem = flock(lock->handle, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
    while (problem == EINTR);
    if (problem == EWOULDBLOCK) {
        int result = in_use(lock->handle, run_folder, error);

        run_lock_release(lock);
        return result;
    }
    if (problem != 0)
        log_line(LOG_WARNING, "%s: the file system has no locks (%s); make sure that no other run uses this folder",
                 path, strerror(problem));
    write_holder(lock->handle);
    return STATUS_OK;
}

void run_lock_release(struct run_lock *lock)
{
    if (lock->handle >= 0)
        close(lock->handle);
    lock->handle = -1;
}
