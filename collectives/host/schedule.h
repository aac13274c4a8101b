/* An operation as a list of steps in rounds: what algorithms (algorithms/) write and the engine carries out. */
#ifndef LLMRUN_HOST_SCHEDULE_H
#define LLMRUN_HOST_SCHEDULE_H

#include "communicator.h"

/* Adding steps, in ascending rounds, before the request is started. A message of no bytes is left out, except in a
 * barrier and between two ranks. Want of memory is told by schedule_is_whole. */
void schedule_send(struct llmrun_request *request, int32_t round, int32_t peer, struct span from);
void schedule_receive(struct llmrun_request *request, int32_t round, int32_t peer, struct span to);
/* `to`, contiguous, becomes `base` op what is received; `to` may be `base`. */
void schedule_receive_join(struct llmrun_request *request, int32_t round, int32_t peer, struct span to,
                           const char *base, const struct llmrun_reduction *form);
/* Nothing where both are the same memory. */
void schedule_copy(struct llmrun_request *request, int32_t round, struct span to, struct span from);
/* `to` becomes `base` op `from`; all contiguous. */
void schedule_join(struct llmrun_request *request, int32_t round, struct span to, const char *base, struct span from,
                   const struct llmrun_reduction *form);
/* Memory for the steps, as long as the request. Once a request. */
char *schedule_memory(struct llmrun_request *request, int64_t bytes);
bool schedule_is_whole(const struct llmrun_request *request);

/* Starts the rounds that can be. True when something was started or the request has ended. With the engine's mutex. */
bool schedule_advance(struct llmrun_request *request, int64_t now_ns);
/* Ends it with `code` before its time; its memory is used no more. With the engine's mutex. */
void schedule_withdraw(struct llmrun_request *request, int32_t code);
/* The rank that the request waits for; -1: none. */
int32_t schedule_awaited(const struct llmrun_request *request);

#endif
