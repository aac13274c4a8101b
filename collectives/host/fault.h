/* Faults on order, in the build of this plugin that tests use (LLMRUN_HOST_FAULTS). The variable HOST_FAULT says KIND;
 * KIND:N is the N-th operation that a rank posts to a communicator, counted from 0, KIND:N:OPERATION the N-th of that
 * name; N+ in place of N is every one from there on. `sum` makes the result wrong by a bit, `hang` never ends, `late`
 * fails once the data have moved, `slow` begins 200 ms late, `skip` does nothing and says that it has ended, `kill`
 * ends the process there, `stop` stops it until it gets SIGCONT. FAULT_RANK says which rank of the job (the variable
 * RANK); without it all ranks are at fault. */
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
