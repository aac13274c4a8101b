#include "launch_ranks.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "dist/rank_list.h"
#include "dist/sockets.h"
#include "launch_child.h"
#include "launch_output.h"

#define DRAIN_NS INT64_C(200000000)

struct started_rank {
    pid_t process; /* -1: none */
    struct launch_output output;
    bool ended, killed; /* killed: by us */
    bool stopped;       /* by a signal, and it does not go on */
    int result;         /* of waitpid */
    int order;          /* 1 for the first that ended */
};

struct launch {
    const struct launch_options *options;
    struct started_rank *ranks; /* [options->ranks] */
    struct pollfd *waits;
    sigset_t signals;
    int signal_pipe;
    char folder[64]; /* a temporary one, "" where none was made */
    char secret[SECRET_TEXT_BYTES], host[RENDEZVOUS_HOST_BYTES];
    int32_t port;
    int listener;
    int ended, asked; /* ranks; the first signal */
    int second;       /* signal */
    int64_t failed_ns, began_ns;
};

static int64_t now(void)
{
    return clock_system.monotonic_ns(&clock_system);
}

static int32_t rank_of(const struct launch *launch, int32_t index)
{
    return launch->options->enclosing->rank * launch->options->ranks + index;
}

/* Where the ranks meet. On one machine launch itself opens the door and rank 0 inherits it: no port can be taken in
 * between, and ranks that are early wait. */
static int prepare_meeting(struct launch *launch, struct error *error)
{
    const struct rank_environment *enclosing = launch->options->enclosing;
    int status;

    if (enclosing->world > 1) {
        snprintf(launch->host, sizeof launch->host, "%s", enclosing->host);
        snprintf(launch->secret, sizeof launch->secret, "%s", launch->options->secret);
        launch->port = enclosing->port;
        return STATUS_OK;
    }
    snprintf(launch->host, sizeof launch->host, "127.0.0.1");
    status = socket_listen(launch->host, &launch->port, &launch->listener, error);
    return status == STATUS_OK ? secret_make(launch->secret, error) : status;
}

static const char *log_folder(const struct launch *launch)
{
    return launch->options->log_folder != NULL ? launch->options->log_folder : launch->folder;
}

static int prepare_logs(struct launch *launch, struct error *error)
{
    if (launch->options->log_folder != NULL)
        return file_make_folders(&file_system_real, launch->options->log_folder, error);
    if (launch->options->ranks == 1 && launch->options->enclosing->rank == 0)
        return STATUS_OK;
    snprintf(launch->folder, sizeof launch->folder, "/tmp/llmrun-launch-XXXXXX");
    if (mkdtemp(launch->folder) != NULL)
        return STATUS_OK;
    launch->folder[0] = '\0';
    return error_set(error, STATUS_STORAGE, "no temporary folder for the logs of the ranks: %s", strerror(errno));
}

static int prepare_signals(struct launch *launch, struct error *error)
{
    static const int passed[] = {SIGCHLD, SIGINT, SIGTERM, SIGUSR1, SIGHUP};
    struct sigaction action;

    sigemptyset(&launch->signals);
    for (size_t i = 0; i < sizeof passed / sizeof passed[0]; i++)
        /* A SIGHUP that is ignored, as nohup has it, stays ignored. */
        if (passed[i] != SIGHUP || (sigaction(SIGHUP, NULL, &action) == 0 && action.sa_handler != SIG_IGN))
            sigaddset(&launch->signals, passed[i]);
    sigprocmask(SIG_BLOCK, &launch->signals, NULL);
    /* Of signals that are ignored, as a shell has SIGINT for what runs in the background, none would be told. */
    signal(SIGINT, SIG_DFL);
    signal(SIGCHLD, SIG_DFL);
    launch->signal_pipe = signalfd(-1, &launch->signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (launch->signal_pipe < 0)
        return error_set(error, STATUS_BUG, "no descriptor for signals: %s", strerror(errno));
    return STATUS_OK;
}

static int start_rank(struct launch *launch, int32_t index, struct error *error)
{
    struct started_rank *rank = &launch->ranks[index];
    const bool is_root = rank_of(launch, index) == 0;
    struct launch_child child = {.options = launch->options,
                                 .index = index,
                                 .host = launch->host,
                                 .port = launch->port,
                                 .secret = launch->secret,
                                 .listener = is_root ? launch->listener : -1,
                                 .output = -1,
                                 .signals = &launch->signals};
    int status = STATUS_OK;

    if (!is_root)
        status =
            launch_output_open(&rank->output, log_folder(launch), (int)rank_of(launch, index), &child.output, error);
    if (status == STATUS_OK)
        status = launch_child_start(&child, &rank->process, error);
    if (child.output >= 0)
        close(child.output);
    return status;
}

/* With its children, which are in its group. */
static void kill_all(struct launch *launch)
{
    for (int32_t i = 0; i < launch->options->ranks; i++) {
        struct started_rank *rank = &launch->ranks[i];

        if (rank->process <= 0 || rank->ended)
            continue;
        rank->killed = true;
        kill(-rank->process, SIGKILL);
        kill(rank->process, SIGKILL);
    }
}

static void take_signal(struct launch *launch, int number)
{
    if (launch->asked != 0) {
        launch->second = number;
        kill_all(launch);
        return;
    }
    launch->asked = number;
    for (int32_t i = 0; i < launch->options->ranks; i++)
        if (!launch->ranks[i].ended)
            kill(launch->ranks[i].process, number);
}

static bool is_good(int result)
{
    return WIFEXITED(result) && (WEXITSTATUS(result) == 0 || WEXITSTATUS(result) == STATUS_STOPPED);
}

static void reap(struct launch *launch)
{
    for (int32_t i = 0; i < launch->options->ranks; i++) {
        struct started_rank *rank = &launch->ranks[i];
        int result;

        if (rank->ended || rank->process <= 0 ||
            waitpid(rank->process, &result, WNOHANG | WUNTRACED | WCONTINUED) != rank->process)
            continue;
        rank->stopped = WIFSTOPPED(result);
        if (!WIFEXITED(result) && !WIFSIGNALED(result))
            continue;
        rank->result = result;
        rank->ended = true;
        rank->order = ++launch->ended;
        if (!is_good(rank->result) && launch->failed_ns == 0)
            launch->failed_ns = now();
    }
}

static void read_signals(struct launch *launch)
{
    struct signalfd_siginfo info;

    while (read(launch->signal_pipe, &info, sizeof info) == (ssize_t)sizeof info)
        if (info.ssi_signo != SIGCHLD)
            take_signal(launch, (int)info.ssi_signo);
    reap(launch);
}

static void wait_a_while(struct launch *launch, int timeout_ms)
{
    const int32_t ranks = launch->options->ranks;

    launch->waits[0] = (struct pollfd){.fd = launch->signal_pipe, .events = POLLIN};
    for (int32_t i = 0; i < ranks; i++)
        launch->waits[i + 1] = (struct pollfd){.fd = launch->ranks[i].output.pipe, .events = POLLIN};
    poll(launch->waits, (nfds_t)ranks + 1, timeout_ms);
    for (int32_t i = 0; i < ranks; i++)
        launch_output_take(&launch->ranks[i].output);
    read_signals(launch);
}

static bool has_output(const struct launch *launch)
{
    for (int32_t i = 0; i < launch->options->ranks; i++)
        if (launch->ranks[i].output.pipe >= 0)
            return true;
    return false;
}

/* Those that are stopped end by themselves at no time. */
static bool only_stopped_are_left(const struct launch *launch)
{
    for (int32_t i = 0; i < launch->options->ranks; i++)
        if (!launch->ranks[i].ended && (!launch->ranks[i].stopped || launch->ranks[i].killed))
            return false;
    return true;
}

static void wait_for_all(struct launch *launch)
{
    int64_t drained_ns;

    while (launch->ended < launch->options->ranks) {
        const int64_t left_ns =
            launch->failed_ns == 0 ? INT64_MAX : launch->failed_ns + launch->options->grace_ns - now();

        if (launch->failed_ns != 0 && only_stopped_are_left(launch)) {
            log_line(LOG_WARNING, "launch: others have failed; ranks that are stopped are killed");
            kill_all(launch);
        } else if (left_ns <= 0) {
            log_line(LOG_WARNING, "launch: ranks that did not end within %.6g s of the first failure are killed",
                     1e-9 * (double)launch->options->grace_ns);
            kill_all(launch);
            launch->failed_ns = now(); /* in a grace time from now they are killed again */
        }
        wait_a_while(launch, left_ns > 1000000000 || left_ns <= 0 ? 1000 : (int)(left_ns / 1000000) + 1);
    }
    /* A child of a rank may still hold a pipe. */
    for (drained_ns = now() + DRAIN_NS; has_output(launch) && now() < drained_ns;)
        wait_a_while(launch, 20);
}

/* The rank with the earliest end among those for which `counts` holds; -1: none. */
static int32_t first_ended(const struct launch *launch, bool (*counts)(const struct started_rank *rank))
{
    int32_t first = -1;

    for (int32_t i = 0; i < launch->options->ranks; i++)
        if (counts(&launch->ranks[i]) && (first < 0 || launch->ranks[i].order < launch->ranks[first].order))
            first = i;
    return first;
}

static bool failed_by_itself(const struct started_rank *rank)
{
    return !rank->killed && !is_good(rank->result) &&
           !(WIFEXITED(rank->result) && WEXITSTATUS(rank->result) == STATUS_PEER);
}

static bool failed_at_all(const struct started_rank *rank)
{
    return !rank->killed && !is_good(rank->result);
}

static bool was_stopped(const struct started_rank *rank)
{
    return WIFEXITED(rank->result) && WEXITSTATUS(rank->result) == STATUS_STOPPED;
}

static bool was_killed(const struct started_rank *rank)
{
    return rank->killed;
}

static void tell_root(const struct launch *launch, int32_t index, int *code, char summary[LAUNCH_SUMMARY])
{
    const struct started_rank *rank = &launch->ranks[index];
    const int number = (int)rank_of(launch, index);
    char log[PATH_MAX + 8] = "";

    if (rank->output.log >= 0) {
        launch_output_print(&rank->output, number);
        snprintf(log, sizeof log, "; its log is %.4000s", rank->output.path);
    }
    if (WIFSIGNALED(rank->result)) {
        *code = STATUS_PEER;
        snprintf(summary, LAUNCH_SUMMARY, "rank %d was killed by signal %d (%s)%.600s", number, WTERMSIG(rank->result),
                 strsignal(WTERMSIG(rank->result)), log);
    } else {
        *code = WEXITSTATUS(rank->result);
        snprintf(summary, LAUNCH_SUMMARY, "rank %d failed with exit code %d%.600s", number, *code, log);
    }
}

static void conclude(const struct launch *launch, int *code, char summary[LAUNCH_SUMMARY])
{
    const double seconds = 1e-9 * (double)(now() - launch->began_ns);
    const int ranks = (int)launch->options->ranks;
    int32_t root = first_ended(launch, failed_by_itself);

    if (root < 0)
        root = first_ended(launch, failed_at_all);
    if (launch->second != 0) {
        *code = 128 + launch->second;
        snprintf(summary, LAUNCH_SUMMARY, "a second signal (%s) ended all ranks at once", strsignal(launch->second));
    } else if (root >= 0) {
        tell_root(launch, root, code, summary);
    } else if (first_ended(launch, was_killed) >= 0) {
        *code = STATUS_PEER;
        snprintf(summary, LAUNCH_SUMMARY, "ranks had to be killed");
    } else if (first_ended(launch, was_stopped) >= 0) {
        *code = STATUS_STOPPED;
        snprintf(summary, LAUNCH_SUMMARY, "%d rank%s stopped on request after %.1f s", ranks, ranks == 1 ? "" : "s",
                 seconds);
    } else {
        *code = STATUS_OK;
        snprintf(summary, LAUNCH_SUMMARY, "%d rank%s ended well after %.1f s", ranks, ranks == 1 ? "" : "s", seconds);
    }
}

static void finish(struct launch *launch, bool keep_logs)
{
    for (int32_t i = 0; i < launch->options->ranks && launch->ranks != NULL; i++) {
        launch_output_close(&launch->ranks[i].output);
        if (!keep_logs && launch->folder[0] != '\0' && launch->ranks[i].output.path[0] != '\0')
            unlink(launch->ranks[i].output.path);
    }
    if (!keep_logs && launch->folder[0] != '\0')
        rmdir(launch->folder);
    if (launch->signal_pipe >= 0)
        close(launch->signal_pipe);
    if (launch->listener >= 0)
        close(launch->listener);
    free(launch->ranks);
    free(launch->waits);
}

static int prepare(struct launch *launch, struct error *error)
{
    const int32_t ranks = launch->options->ranks;
    int status;

    launch->ranks = calloc((size_t)ranks, sizeof *launch->ranks);
    launch->waits = calloc((size_t)ranks + 1, sizeof *launch->waits);
    if (launch->ranks == NULL || launch->waits == NULL)
        return error_set(error, STATUS_MEMORY, "no memory to start %d ranks", (int)ranks);
    for (int32_t i = 0; i < ranks; i++) {
        launch->ranks[i].process = -1;
        launch->ranks[i].output.pipe = launch->ranks[i].output.log = -1;
    }
    status = prepare_meeting(launch, error);
    if (status == STATUS_OK)
        status = prepare_logs(launch, error);
    return status == STATUS_OK ? prepare_signals(launch, error) : status;
}

int launch_ranks(const struct launch_options *options, int *code, char summary[LAUNCH_SUMMARY], struct error *error)
{
    struct launch launch = {.options = options, .signal_pipe = -1, .listener = -1, .began_ns = now()};
    int status = prepare(&launch, error);

    for (int32_t i = 0; i < options->ranks && status == STATUS_OK; i++)
        status = start_rank(&launch, i, error);
    if (status != STATUS_OK) {
        if (launch.ranks != NULL) {
            kill_all(&launch);
            for (int32_t i = 0; i < options->ranks; i++)
                if (launch.ranks[i].process > 0)
                    waitpid(launch.ranks[i].process, NULL, 0);
        }
        finish(&launch, false);
        return status;
    }
    /* The door is rank 0's from here on: nobody waits at it when that ends. */
    if (launch.listener >= 0)
        close(launch.listener);
    launch.listener = -1;
    wait_for_all(&launch);
    conclude(&launch, code, summary);
    finish(&launch, *code != STATUS_OK && *code != STATUS_STOPPED);
    return STATUS_OK;
}
