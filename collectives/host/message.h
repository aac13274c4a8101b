/* Messages on links: how a send and a receive of equal tags find each other, and how the bytes go. Short messages go
 * with their announcement; for longer ones the sender makes an offer, and the receiver reads where the data lie
 * (direct.h), or accepts and is sent it in pieces. With the engine's mutex held, all of it; nothing blocks. What goes
 * wrong is noted as a failure of the communicator, or of the link. */
#ifndef LLMRUN_HOST_MESSAGE_H
#define LLMRUN_HOST_MESSAGE_H

#include "communicator.h"

/* Start a step of that kind. It has ended when step->ended; request->under_way counts it until then. */
void message_send(struct step *step, int64_t now_ns);
void message_receive(struct step *step);
/* Takes the step from wherever it is: its memory is used no more. */
void message_withdraw(struct step *step);

/* Moves what can be moved now. True when something did. */
bool message_progress(struct link *link);
/* Sends what was held back until now; the time of the next in *next_ns, which only shrinks. True when something was
 * sent. */
bool message_release(struct mesh *mesh, int64_t now_ns, int64_t *next_ns);

/* Tells the other rank: FRAME_FAIL with a code and a sentence, FRAME_BYE. Not at all where there is no memory. */
void message_tell(struct link *link, enum frame_kind kind, uint64_t context, int32_t code, const char *text);
/* Notes the failure of a communicator that another rank told of before it existed here. */
void message_recall(struct llmrun_communicator *communicator);
/* Fails the communicators that need what a link can bring no longer. */
void message_abandon(struct link *link);

#endif
