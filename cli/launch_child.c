#include "launch_child.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "dist/variables.h"

#define OWN_VARIABLES  8
#define VARIABLE_BYTES 400

/* The environment of a child: that of this process, but for what it is told itself. */
struct child_variables {
    char **all;
    char own[OWN_VARIABLES][VARIABLE_BYTES];
    int own_count;
};

static const char *const told[] = {
    "RANK=",         "WORLD_SIZE=", "LOCAL_RANK=", "LOCAL_WORLD_SIZE=", "LLMRUN_RENDEZVOUS=", "LLMRUN_RENDEZVOUS_FD=",
    "LLMRUN_SECRET="};

static bool is_told(const char *variable)
{
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++)
        if (strncmp(variable, told[i], strlen(told[i])) == 0)
            return true;
    return false;
}

int32_t launch_child_rank(const struct launch_child *child)
{
    return child->options->enclosing->rank * child->options->ranks + child->index;
}

/* Of the processors of this machine, each rank's share: all ranks with all threads would be in each other's way. */
static int threads_each(int32_t local_world)
{
    cpu_set_t mask;
    const int processors =
        sched_getaffinity(0, sizeof mask, &mask) == 0 ? CPU_COUNT(&mask) : (int)sysconf(_SC_NPROCESSORS_ONLN);

    return processors / local_world > 1 ? processors / local_world : 1;
}

static void add_number(struct child_variables *variables, const char *name, int64_t value)
{
    snprintf(variables->own[variables->own_count++], VARIABLE_BYTES, "%s=%lld", name, (long long)value);
}

static void add_text(struct child_variables *variables, const char *name, const char *value)
{
    snprintf(variables->own[variables->own_count++], VARIABLE_BYTES, "%s=%s", name, value);
}

static int make_variables(const struct launch_child *child, struct child_variables *variables, struct error *error)
{
    const struct rank_environment *enclosing = child->options->enclosing;
    const int32_t ranks = child->options->ranks;
    const int32_t beside = enclosing->local_world > 0 ? enclosing->local_world : 1;
    const int32_t place = enclosing->local_rank > 0 ? enclosing->local_rank : 0;
    char rendezvous[RENDEZVOUS_HOST_BYTES + 16];
    int64_t count = 0, used = 0;

    while (child->options->variables[count] != NULL)
        count++;
    variables->all = calloc((size_t)count + OWN_VARIABLES + 1, sizeof *variables->all);
    if (variables->all == NULL)
        return error_set(error, STATUS_MEMORY, "no memory to start a rank");
    snprintf(rendezvous, sizeof rendezvous, strchr(child->host, ':') != NULL ? "[%s]:%d" : "%s:%d", child->host,
             (int)child->port);
    add_number(variables, "RANK", launch_child_rank(child));
    add_number(variables, "WORLD_SIZE", (int64_t)enclosing->world * ranks);
    add_number(variables, "LOCAL_RANK", (int64_t)place * ranks + child->index);
    add_number(variables, "LOCAL_WORLD_SIZE", (int64_t)beside * ranks);
    add_text(variables, "LLMRUN_RENDEZVOUS", rendezvous);
    add_text(variables, "LLMRUN_SECRET", child->secret);
    if (child->listener >= 0)
        add_number(variables, "LLMRUN_RENDEZVOUS_FD", child->listener);
    if (variable_find(child->options->variables, "OMP_NUM_THREADS") == NULL)
        add_number(variables, "OMP_NUM_THREADS", threads_each(beside * ranks));
    for (int64_t i = 0; i < count; i++)
        if (!is_told(child->options->variables[i]))
            variables->all[used++] = child->options->variables[i];
    for (int i = 0; i < variables->own_count; i++)
        variables->all[used++] = variables->own[i];
    return STATUS_OK;
}

/* In the child. What fails is told through `failures` as an errno value. */
static _Noreturn void become(const struct launch_child *child, char *const *variables, pid_t parent, int failures)
{
    const int input = open("/dev/null", O_RDONLY);
    int problem;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1); /* it ended before it could be bound to it */
    setpgid(0, 0);
    if (input >= 0)
        dup2(input, STDIN_FILENO);
    if (child->output >= 0) {
        dup2(child->output, STDOUT_FILENO);
        dup2(child->output, STDERR_FILENO);
    }
    if (child->listener >= 0)
        fcntl(child->listener, F_SETFD, 0);
    sigprocmask(SIG_UNBLOCK, child->signals, NULL);
    execve(child->options->program, child->options->arguments, variables);
    problem = errno;
    if (write(failures, &problem, sizeof problem) < 0)
        _exit(126);
    _exit(127);
}

int launch_child_start(const struct launch_child *child, pid_t *process, struct error *error)
{
    struct child_variables variables = {0};
    const pid_t parent = getpid();
    int ends[2], problem = 0, status = make_variables(child, &variables, error);

    *process = -1;
    if (status == STATUS_OK && pipe2(ends, O_CLOEXEC) != 0)
        status = error_set(error, STATUS_BUG, "no pipe to start a rank: %s", strerror(errno));
    if (status == STATUS_OK) {
        *process = fork();
        if (*process == 0)
            become(child, variables.all, parent, ends[1]);
        if (*process < 0)
            problem = errno;
        close(ends[1]);
        /* Nothing comes, and the pipe is closed, once the program runs. */
        if (problem == 0 && read(ends[0], &problem, sizeof problem) != sizeof problem)
            problem = 0;
        close(ends[0]);
        if (problem != 0)
            status = error_set(error, STATUS_USAGE, "rank %d: %s could not be started: %s",
                               (int)launch_child_rank(child), child->options->program, strerror(problem));
    }
    free(variables.all);
    return status;
}
