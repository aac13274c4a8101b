#include "fault.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_kind(const char *fault, const char *kind)
{
    const size_t length = strlen(kind);

    return strncmp(fault, kind, length) == 0 && (fault[length] == '\0' || fault[length] == ':');
}

/* Without a rank, all; without a number, every operation, with N+ every one from there; without a name, whatever it is.
 */
static bool is_meant(const struct llmrun_request *request, const char *fault)
{
    const char *rank = getenv("RANK"), *only = getenv("FAULT_RANK"), *number = strchr(fault, ':');
    const char *name = number != NULL ? strchr(number + 1, ':') : NULL;
    const int64_t *calls = request->communicator->calls;
    int64_t before = calls[request->operation] - 1, first;
    char *end;

    if (only != NULL && (rank == NULL || atoi(only) != atoi(rank)))
        return false;
    if (name != NULL && strcmp(name + 1, operation_name(request->operation)) != 0)
        return false;
    for (int i = 0; i < OPERATIONS && name == NULL; i++)
        before += i != (int)request->operation ? calls[i] : 0;
    if (number == NULL)
        return true;
    first = strtoll(number + 1, &end, 10);
    return before == first || (*end == '+' && before > first);
}

void fault_plan(struct llmrun_request *request, char *result)
{
    const char *fault = getenv("HOST_FAULT");

    if (fault == NULL || !is_meant(request, fault))
        return;
    if (is_kind(fault, "sum"))
        request->spoilt = result;
    request->stuck = is_kind(fault, "hang");
    request->late = is_kind(fault, "late");
    if (is_kind(fault, "slow"))
        usleep(200000);
    if (is_kind(fault, "skip")) {
        request->ended = true;
        request->communicator->posted--; /* as if it had not been called */
    }
    if (is_kind(fault, "kill"))
        kill(getpid(), SIGKILL);
    if (is_kind(fault, "stop"))
        kill(getpid(), SIGSTOP);
}
