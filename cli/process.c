#include "process.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "plugin/guard.h"

void process_start(void)
{
    for (int descriptor = 0; descriptor <= 2; descriptor++) {
        if (fcntl(descriptor, F_GETFD) >= 0)
            continue;
        /* open takes the lowest free number, which is this one. Without /dev/null, as in a bare chroot, a folder: it
         * takes the number and refuses writes. */
        if (open("/dev/null", O_RDWR) < 0 && open("/", O_RDONLY | O_DIRECTORY) < 0)
            _exit(1);
    }
    signal(SIGXFSZ, SIG_IGN);
}

_Noreturn void process_end(int code)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    if (!guard_abandoned())
        exit(code);
#endif
    _exit(code);
}
