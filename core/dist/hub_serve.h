/* What rank 0 does with connections and frames that come in. Of the hub's thread alone. */
#ifndef LLMRUN_DIST_HUB_SERVE_H
#define LLMRUN_DIST_HUB_SERVE_H

#include "dist/hub_members.h"

/* A connection that knows the secret and says that it is `rank` of `world`: it gets its place, or is refused with a
 * sentence. Takes the connection. */
void hub_admit(struct hub *hub, struct connection *connection, int32_t rank, int32_t world, int64_t now_ns);

/* Reads what a member has sent. */
void hub_serve(struct hub *hub, int32_t rank, int64_t now_ns);

#endif
