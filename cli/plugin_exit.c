/* `_exit` as plugins find it: the linker takes that of the program for the libraries that it loads. A plugin that ends
 * the process would give a run that was not finished the exit code of one that was. Everybody else's call is the C
 * library's. */
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "plugin/guard.h"

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* these have an `_exit` of their own */

static _Noreturn void end(int code, const void *caller)
{
    guard_ended(code, (uintptr_t)caller);
    for (;;)
        syscall(SYS_exit_group, code);
}

__attribute__((visibility("default"))) void _exit(int code)
{
    end(code, __builtin_return_address(0));
}

__attribute__((visibility("default"))) void _Exit(int code)
{
    end(code, __builtin_return_address(0));
}

#endif
