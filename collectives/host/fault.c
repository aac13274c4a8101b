#include "fault.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_kind(const char *fault, const char *kind)
{
    const size_t length = strlen(kind);

    return strncmp(fault, kind, length) == 0 && (fault[length] == '\0' || fault[length] == ':');
}

/* Operations that the rank has posted before, whatever they are. */
static int64_t posted_before(const struct llmrun_communicator *communicator)
{
    int64_t calls = -1;

    for (int i = 0; i < OPERATIONS; i++)
        calls += communicator->calls[i];
    return calls;
}

void fault_plan(struct llmrun_request *request, char *result)
{
    const char *fault = getenv("LLMRUN_HOST_FAULT"), *rank = getenv("LLMRUN_HOST_FAULT_RANK");
    const char *colon = fault != NULL ? strchr(fault, ':') : NULL;

    if (fault == NULL || (rank != NULL && atoi(rank) != request->communicator->rank) ||
        (colon != NULL && atoll(colon + 1) != posted_before(request->communicator)))
        return;
    if (is_kind(fault, "sum"))
        request->spoilt = result;
    request->stuck = is_kind(fault, "hang");
    request->late = is_kind(fault, "late");
    if (is_kind(fault, "slow"))
        usleep(200000);
}
