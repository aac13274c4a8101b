/* Which algorithm an operation takes. */
#ifndef LLMRUN_HOST_CHOOSE_H
#define LLMRUN_HOST_CHOOSE_H

#include "communicator.h"

/* Add the operation's steps to the request. The descriptions are whole and in order;
 * that of a barrier is not looked at. */
void choose_transfer(struct llmrun_request *request, const struct llmrun_transfer *transfer);
void choose_reduction(struct llmrun_request *request, const struct llmrun_reduction *reduction, const int64_t *bytes);

#endif
