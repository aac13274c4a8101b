/* Faults on order, in the build of this plugin that tests use (LLMRUN_HOST_FAULTS). The variable LLMRUN_HOST_FAULT says
 * KIND, or KIND:N for the N-th operation that a rank posts, counted from 0: `sum` makes the result wrong by a bit,
 * `hang` never ends, `late` fails once the data have moved, `slow` begins 200 ms late. LLMRUN_HOST_FAULT_RANK says
 * which rank; without it all ranks are at fault. */
#ifndef LLMRUN_HOST_FAULT_H
#define LLMRUN_HOST_FAULT_H

#include "communicator.h"

/* Spoils the request, where it is its turn. `result` is the first byte of what it receives, NULL for nothing. */
#ifdef LLMRUN_HOST_FAULTS
void fault_plan(struct llmrun_request *request, char *result);
#else
static inline void fault_plan(struct llmrun_request *request, char *result)
{
    (void)request;
    (void)result;
}
#endif

#endif
