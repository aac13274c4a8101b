/* Functions of the C library as plugins find them: the linker takes those of the program for the libraries that it
 * loads.
 *
 * `_exit`: a plugin that ends the process would give a run that was not finished the exit code of one that was.
 * Everybody else's call is the C library's.
 *
 * `pthread_create`: each thread gets a stack for the handler of crashes, which has none where the thread's own is full.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "plugin/guard.h"

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* these have their own */

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

/* On the creator's stack until the thread has taken it: memory of the heap would be one more arena in each thread. */
struct beginning {
    void *(*run)(void *);
    void *argument;
    sem_t taken;
};

static void *begin(void *memory)
{
    struct beginning *given = memory;
    void *(*const run)(void *) = given->run;
    void *const argument = given->argument;
    void *result;

    sem_post(&given->taken);
    pthread_cleanup_push(guard_thread_end, guard_thread_begin());
    result = run(argument);
    pthread_cleanup_pop(1);
    return result;
}

__attribute__((visibility("default"))) int pthread_create(pthread_t *restrict thread,
                                                          const pthread_attr_t *restrict attributes,
                                                          void *(*run)(void *), void *restrict argument)
{
    int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    void *const found = dlsym(RTLD_NEXT, "pthread_create");
    struct beginning given = {.run = run, .argument = argument};
    int problem;

    if (found == NULL || sem_init(&given.taken, 0, 0) != 0)
        return EAGAIN;
    memcpy(&create, &found, sizeof create);
    problem = create(thread, attributes, begin, &given);
    while (problem == 0 && sem_wait(&given.taken) != 0)
        ;
    sem_destroy(&given.taken);
    return problem;
}

#endif
