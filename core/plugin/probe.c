#include "plugin/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "plugin/facts.h"
#include "plugin/guard.h"
#include "plugin/probe_child.h"

#define SLICE_MS 50 /* between looks at whether the child still lives */

static int ask(const struct plugin *plugin, struct plugin_probe *probe, struct error *error)
{
    const struct backend *backend = plugin->backend;
    int result;

    memset(probe, 0, sizeof *probe);
    if (backend == NULL) {
        probe->mode = plugin->collective->mode;
        probe->domain_count = plugin->collective->domain_count;
        memcpy(probe->domains, plugin->collective->domains, sizeof probe->domains);
        return STATUS_OK;
    }
    memcpy(probe->vendor, backend->vendor, sizeof probe->vendor);
    probe->priority = backend->priority;
    probe->has_kernel = backend->has_kernel;
    probe->has_program = backend->has_program;
    probe->has_capture = backend->has_capture;
    result = facts_count(backend, &probe->device_count, error);
    for (int32_t i = 0; result == STATUS_OK && i < probe->device_count && i < PROBE_DEVICES; i++) {
        result = facts_describe(backend, i, &probe->infos[i], error);
        probe->info_count += result == STATUS_OK;
    }
    return result;
}

static int64_t now_ns(void)
{
    return clock_system.monotonic_ns(&clock_system);
}

static bool is_limited(struct rlimit *limit)
{
    return getrlimit(RLIMIT_AS, limit) == 0 && limit->rlim_cur != RLIM_INFINITY;
}

int probe_start(const struct candidate *candidate, int64_t timeout_ns, struct probe_child *child, struct error *error)
{
    int ends[2] = {-1, -1}, silence = open("/dev/null", O_RDWR | O_CLOEXEC);
    struct rlimit limit;

    memset(child, 0, sizeof *child);
    child->timeout_ns =
        is_limited(&limit) && timeout_ns > PROBE_TIMEOUT_LIMITED_NS ? PROBE_TIMEOUT_LIMITED_NS : timeout_ns;
    child->deadline_ns = now_ns() + child->timeout_ns;
    child->call = mmap(NULL, GUARD_CALL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    child->process = -1;
    if (child->call != MAP_FAILED && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0)
        child->process = fork();
    if (child->process == 0)
        probe_child_run(candidate, ends[1], silence, child->call, ask);
    if (child->process < 0)
        error_set(error, errno == ENOMEM ? STATUS_MEMORY : STATUS_BACKEND, "could not be probed: %s", strerror(errno));
    child->end = ends[0];
    if (silence >= 0)
        close(silence);
    if (ends[1] >= 0)
        close(ends[1]);
    if (child->process > 0)
        return STATUS_OK;
    probe_end(child);
    return error->status;
}

static bool has_ended(const struct probe_child *child)
{
    siginfo_t state = {.si_pid = 0};

    return waitid(P_PID, (id_t)child->process, &state, WEXITED | WNOHANG | WNOWAIT) == 0 && state.si_pid != 0;
}

/* Reads the reply. Returns 1 when it is complete, 0 when the child ended before, -1 at the deadline. */
static int receive(const struct probe_child *child, struct probe_reply *reply)
{
    char *to = (char *)reply;
    size_t bytes = sizeof *reply;
    bool ended = false;

    while (bytes > 0) {
        struct pollfd wait = {.fd = child->end, .events = POLLIN};
        ssize_t got;

        if (poll(&wait, 1, ended ? 0 : SLICE_MS) <= 0) {
            if (ended)
                return 0; /* whoever else holds the other end */
            ended = has_ended(child);
            if (!ended && now_ns() >= child->deadline_ns)
                return -1;
            continue;
        }
        got = recv(child->end, to, bytes, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return 0;
        to += got;
        bytes -= (size_t)got;
    }
    return 1;
}

static pid_t reap(struct probe_child *child, int *status)
{
    pid_t process = child->process;

    *status = 0;
    if (process <= 0)
        return process;
    kill(-process, SIGKILL); /* and whatever it started */
    kill(process, SIGKILL);
    while (waitpid(process, status, 0) < 0 && errno == EINTR)
        ;
    child->process = 0;
    return process;
}

/* Puts the limit of the address space behind the sentence: it is the likely cause, and the status says so. */
static int failed(struct error *error)
{
    struct error before = *error;
    struct rlimit limit;

    if (!is_limited(&limit))
        return error->status;
    return error_set(error, STATUS_MEMORY,
                     "%.800s; the address space is limited to %llu MB, which may be too little (ulimit -v)",
                     before.message, (unsigned long long)limit.rlim_cur / 1000000);
}

/* Why there is no reply. */
static int explain(struct probe_child *child, int got, struct error *error)
{
    char call[GUARD_CALL_BYTES];
    int status;

    /* A child that closed its end may be about to end by itself, with a status that tells why. */
    for (int i = 0; got == 0 && !has_ended(child) && i < 20; i++)
        poll(NULL, 0, SLICE_MS / 10);
    reap(child, &status);
    memcpy(call, child->call, sizeof call);
    call[sizeof call - 1] = '\0';
    if (call[0] == '\0')
        snprintf(call, sizeof call, "in a thread of its own");
    if (got < 0)
        error_set(error, STATUS_BACKEND, "did not answer within %.1f s: it hung %s", (double)child->timeout_ns * 1e-9,
                  call);
    else if (WIFSIGNALED(status))
        error_set(error, STATUS_BACKEND, "crashed %s (signal %d, %s)", call, WTERMSIG(status),
                  strsignal(WTERMSIG(status)));
    else
        error_set(error, STATUS_BACKEND, "ended its process with code %d %s", WEXITSTATUS(status), call);
    return failed(error);
}

/* The other process ran foreign code: nothing in its reply is certain. */
static bool is_sound(const struct probe_reply *reply)
{
    const struct plugin_probe *probe = &reply->probe;

    for (int i = 0; i < LLMRUN_COLLECTIVE_DOMAINS; i++)
        if (memchr(probe->domains[i], '\0', COLLECTIVE_DOMAIN_BYTES) == NULL)
            return false;
    return reply->error.status >= 0 && reply->error.status < 128 &&
           (reply->error.status == STATUS_OK || reply->error.message[0] != '\0') &&
           memchr(reply->error.message, '\0', sizeof reply->error.message) != NULL &&
           memchr(probe->vendor, '\0', sizeof probe->vendor) != NULL && probe->device_count >= 0 &&
           probe->info_count >= 0 && probe->info_count <= PROBE_DEVICES && probe->domain_count >= 0 &&
           (probe->mode == 0 || collective_mode_name(probe->mode) != NULL) &&
           probe->domain_count <= LLMRUN_COLLECTIVE_DOMAINS;
}

static int await(struct probe_child *child, struct probe_reply *reply, bool *fatal, struct error *error)
{
    int got = receive(child, reply);

    *fatal = got <= 0;
    if (got <= 0)
        return explain(child, got, error);
    if (!is_sound(reply)) {
        *fatal = true;
        return error_set(error, STATUS_BACKEND, "left memory behind that makes no sense");
    }
    if (reply->error.status == STATUS_OK)
        return STATUS_OK;
    error_set(error, reply->error.status, "%s", reply->error.message);
    return error->status == STATUS_MEMORY ? failed(error) : error->status;
}

int probe_devices(struct probe_child *child, struct plugin_probe *probe, bool *fatal, struct error *error)
{
    static struct probe_reply reply;
    int result = await(child, &reply, fatal, error);

    if (result == STATUS_OK)
        *probe = reply.probe;
    return result;
}

int probe_trial(struct probe_child *child, bool *fatal, struct error *error)
{
    static struct probe_reply reply;

    child->deadline_ns = now_ns() + child->timeout_ns;
    if (send(child->end, "t", 1, MSG_NOSIGNAL) != 1 && errno != EPIPE && errno != ECONNRESET)
        return error_set(error, STATUS_BACKEND, "could not be tried: %s", strerror(errno));
    return await(child, &reply, fatal, error);
}

void probe_end(struct probe_child *child)
{
    int status;

    reap(child, &status);
    if (child->call == NULL)
        return;
    if (child->end >= 0)
        close(child->end);
    if (child->call != MAP_FAILED)
        munmap(child->call, GUARD_CALL_BYTES);
    memset(child, 0, sizeof *child);
}

int plugin_probe(struct candidate *candidate, int64_t timeout_ns, struct plugin_probe *probe, struct error *error)
{
    struct probe_child child;
    struct error failure;
    bool fatal;
    int result;

    if (candidate->state == CANDIDATE_LOADED)
        return ask(&candidate->plugin, probe, error);
    if (candidate->state != CANDIDATE_USABLE)
        return error_set(error, STATUS_BACKEND, "%s", candidate->reason);
    result = probe_start(candidate, timeout_ns, &child, &failure);
    if (result == STATUS_OK)
        result = probe_devices(&child, probe, &fatal, &failure);
    probe_end(&child);
    if (result != STATUS_OK) {
        candidate_refuse(candidate, &failure);
        return error_set(error, result, "%s", failure.message);
    }
    return STATUS_OK;
}
