/* Waiting for the ranks that connect, among whoever else may. */
#ifndef LLMRUN_HOST_ACCEPT_H
#define LLMRUN_HOST_ACCEPT_H

#include "meeting.h"

/* Blocks until each rank behind this one has connected and shown its token; their sockets are in sockets[rank], blocked
 * reads off. Strangers cost a descriptor each, up to a fixed number of them, and no memory. */
int32_t accept_all(struct meeting *meeting, int *sockets, struct llmrun_error *error);

/* Blocks until the descriptor is ready for `events` of poll(2) or the meeting's time is up, then false. */
bool accept_wait(const struct meeting *meeting, int descriptor, short events);

#endif
