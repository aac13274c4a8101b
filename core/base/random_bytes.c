#include "base/random_bytes.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

int random_bytes(void *data, size_t bytes, struct error *error)
{
    char *at = data;

    while (bytes > 0) {
        const ssize_t got = getrandom(at, bytes, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return error_set(error, STATUS_STORAGE, "the system gives no random bytes: %s", strerror(errno));
        at += got;
        bytes -= (size_t)got;
    }
    return STATUS_OK;
}
