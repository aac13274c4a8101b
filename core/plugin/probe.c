#include "plugin/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "plugin/loader.h"

/* What the child writes: the same program reads it, so its form is free. */
struct probe_reply {
    struct error error; /* status STATUS_OK: `probe` is filled */
    struct plugin_probe probe;
};

static int ask(const struct backend *backend, struct plugin_probe *probe, struct error *error)
{
    struct llmrun_error reason = {0};
    int32_t count = 0;
    int32_t code = backend->device.count(&count, &reason);

    memset(probe, 0, sizeof *probe);
    if (code != LLMRUN_OK)
        return backend_error(backend, code, &reason, error);
    memcpy(probe->vendor, backend->vendor, sizeof probe->vendor);
    probe->rank = backend->rank;
    probe->has_kernel = backend->has_kernel;
    probe->has_program = backend->has_program;
    probe->has_capture = backend->has_capture;
    probe->device_count = count > 0 ? count : 0;
    for (int32_t i = 0; i < probe->device_count && i < PROBE_DEVICES; i++) {
        struct llmrun_device_info *info = &probe->infos[i];

        info->size = sizeof *info;
        code = backend->device.info(i, info, &reason);
        if (code != LLMRUN_OK)
            return backend_error(backend, code, &reason, error);
        info->name[sizeof info->name - 1] = '\0';
        info->architecture[sizeof info->architecture - 1] = '\0';
        info->domain[sizeof info->domain - 1] = '\0';
        probe->info_count++;
    }
    return STATUS_OK;
}

/* The child: never returns, runs no exit handlers, leaves no core file. */
static void answer(const struct candidate *candidate, int to)
{
    static struct probe_reply reply;
    const struct backend *backend;
    const struct rlimit none = {0, 0};
    const char *rest = (const char *)&reply;
    size_t bytes = sizeof reply;
    int silence = open("/dev/null", O_RDWR | O_CLOEXEC);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setrlimit(RLIMIT_CORE, &none);
    if (silence >= 0)
        for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++)
            dup2(silence, i);
    for (int i = 1; i < NSIG; i++)
        signal(i, SIG_DFL);
    reply.error.status = loader_load(candidate->path, &candidate->note, &backend, &reply.error);
    if (reply.error.status == STATUS_OK)
        reply.error.status = ask(backend, &reply.probe, &reply.error);
    while (bytes > 0) {
        ssize_t put = write(to, rest, bytes);

        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            break;
        rest += put;
        bytes -= (size_t)put;
    }
    _exit(0);
}

/* Reads the reply. Returns 1 when it is complete, 0 when the child closed the pipe before, -1 at the deadline. */
static int receive(int from, int64_t timeout_ns, struct probe_reply *reply)
{
    const int64_t deadline = clock_system.monotonic_ns(&clock_system) + timeout_ns;
    char *to = (char *)reply;
    size_t bytes = sizeof *reply;

    while (bytes > 0) {
        struct pollfd wait = {.fd = from, .events = POLLIN};
        int64_t left = deadline - clock_system.monotonic_ns(&clock_system);
        ssize_t got;

        if (left <= 0)
            return -1;
        if (poll(&wait, 1, (int)(left / 1000000) + 1) <= 0)
            continue;
        got = read(from, to, bytes);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return 0;
        to += got;
        bytes -= (size_t)got;
    }
    return 1;
}

static int probe_in_child(const struct candidate *candidate, int64_t timeout_ns, struct plugin_probe *probe,
                          struct error *error)
{
    struct probe_reply reply;
    int ends[2], got, status = 0;
    pid_t child;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return error_set(error, STATUS_BACKEND, "could not be probed: %s", strerror(errno));
    child = fork();
    if (child < 0) {
        int result = error_set(error, STATUS_BACKEND, "could not be probed: %s", strerror(errno));

        close(ends[0]);
        close(ends[1]);
        return result;
    }
    if (child == 0)
        answer(candidate, ends[1]);
    close(ends[1]);
    got = receive(ends[0], timeout_ns, &reply);
    close(ends[0]);
    if (got != 0)
        kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (got < 0)
        return error_set(error, STATUS_BACKEND, "did not answer within %.1f s when it was asked for its devices",
                         (double)timeout_ns * 1e-9);
    if (got == 0 && WIFSIGNALED(status))
        return error_set(error, STATUS_BACKEND, "crashed when it was asked for its devices (signal %d, %s)",
                         WTERMSIG(status), strsignal(WTERMSIG(status)));
    if (got == 0)
        return error_set(error, STATUS_BACKEND, "ended its process with code %d when it was asked for its devices",
                         WEXITSTATUS(status));
    if (reply.error.status != STATUS_OK)
        return error_set(error, reply.error.status, "%s", reply.error.message);
    *probe = reply.probe;
    return STATUS_OK;
}

int plugin_probe(struct candidate *candidate, int64_t timeout_ns, struct plugin_probe *probe, struct error *error)
{
    struct error failure;
    int result;

    if (candidate->state == CANDIDATE_LOADED)
        return ask(candidate->backend, probe, error);
    if (candidate->state != CANDIDATE_USABLE)
        return error_set(error, STATUS_BACKEND, "%s", candidate->reason);
    result = probe_in_child(candidate, timeout_ns, probe, &failure);
    if (result != STATUS_OK) {
        candidate->state = CANDIDATE_REFUSED;
        snprintf(candidate->reason, sizeof candidate->reason, "%s", failure.message);
        return error_set(error, STATUS_BACKEND, "%s", failure.message);
    }
    return STATUS_OK;
}
