/* Connections between ranks that know where each other are (meeting.h). A rank connects to those before it and is
 * connected to by those behind it; both show the token that the other made for them, before anything else is read. */
#ifndef LLMRUN_HOST_CONNECT_H
#define LLMRUN_HOST_CONNECT_H

#include "meeting.h"

/* Opens the listeners that are needed, and fills `where`. */
int32_t connect_listen(struct meeting *meeting, struct whereabouts *where, struct llmrun_error *error);
/* Connects with all ranks and makes mesh->links. */
int32_t connect_all(struct meeting *meeting, struct llmrun_error *error);
void connect_close(struct meeting *meeting); /* the listeners */

/* Do this rank and that share a machine, and are they to use it? */
bool connect_is_local(const struct meeting *meeting, int32_t rank);

#endif
