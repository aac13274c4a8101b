#include "plugin/probe_child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "plugin/guard.h"
#include "plugin/loader.h"

enum { PARENT = 3, FIRST_OF_OTHERS };

/* Ends the process before the exit handlers that it has from its parent: they are about the parent's files and threads.
 */
static void end_at_once(int code, void *context)
{
    (void)context;
    _exit(code);
}

/* Makes room below the limit of descriptors, however many the parent has. */
static void close_others(int one, int other)
{
    const unsigned low = (unsigned)(one < other ? one : other), high = (unsigned)(one < other ? other : one);

    if (one >= 0 && other >= 0) {
        if (low > 0)
            close_range(0, low - 1, 0);
        if (high > low + 1)
            close_range(low + 1, high - 1, 0);
        close_range(high + 1, ~0U, 0);
    }
}

/* A process of its own: silent, without the parent's files, handlers and signal mask; it leaves no core file. */
static void isolate(int parent, int silence)
{
    const struct rlimit none = {0, 0};
    sigset_t nothing;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0);
    setrlimit(RLIMIT_CORE, &none);
    on_exit(end_at_once, NULL);
    for (int i = 1; i < NSIG; i++)
        signal(i, SIG_DFL);
    sigemptyset(&nothing);
    sigprocmask(SIG_SETMASK, &nothing, NULL);
    close_others(parent, silence);
    /* Out of the way of the numbers that they get. */
    parent = fcntl(parent, F_DUPFD_CLOEXEC, FIRST_OF_OTHERS);
    silence = fcntl(silence, F_DUPFD_CLOEXEC, FIRST_OF_OTHERS);
    for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++)
        if (dup2(silence, i) < 0)
            close(i);
    dup2(parent, PARENT);
    close_range(FIRST_OF_OTHERS, ~0U, 0);
}

static void put(const struct probe_reply *reply)
{
    const char *rest = (const char *)reply;
    size_t bytes = sizeof *reply;

    while (bytes > 0) {
        ssize_t done = send(PARENT, rest, bytes, MSG_NOSIGNAL);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            _exit(0);
        rest += done;
        bytes -= (size_t)done;
    }
}

static bool is_ordered(void)
{
    char order;
    ssize_t got;

    do
        got = recv(PARENT, &order, 1, 0);
    while (got < 0 && errno == EINTR);
    return got == 1;
}

void probe_child_run(const struct candidate *candidate, int parent, int silence, char *call,
                     int (*ask)(const struct plugin *plugin, struct plugin_probe *probe, struct error *error))
{
    static struct probe_reply reply;
    struct plugin plugin;

    isolate(parent, silence);
    guard_mirror(call);
    reply.error.status = loader_load(candidate->path, &candidate->note, &plugin, &reply.error);
    if (reply.error.status == STATUS_OK) {
        reply.error.status = ask(&plugin, &reply.probe, &reply.error);
        if (reply.error.status != STATUS_OK)
            error_prefix(&reply.error, "cannot be used");
    }
    put(&reply);
    while (reply.error.status == STATUS_OK && is_ordered()) {
        memset(&reply, 0, sizeof reply);
        reply.error.status = candidate->trial(plugin.backend, &reply.error);
        put(&reply);
    }
    _exit(0);
}
