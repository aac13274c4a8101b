/* The serving side of the control channel, on a thread of its own in the process of rank 0. Rank 0 connects to it like
 * every other rank. See dist/control.h. */
#ifndef LLMRUN_DIST_HUB_H
#define LLMRUN_DIST_HUB_H

#include <stdint.h>

#include "base/clock.h"
#include "base/sha256.h"
#include "base/status.h"

struct hub;

struct hub_options {
    int listener; /* taken over */
    int32_t world;
    uint8_t key[SHA256_BYTES];
    int64_t timeout_ns; /* for joining, and for a rank that is not heard */
    int64_t gather_ns;  /* a gather may wait so long for its last rank; 0: as long as all ranks are heard */
    const struct clock *clock;
};

int hub_start(const struct hub_options *options, struct hub **hub, struct error *error);

/* Waits until all ranks have said goodbye; after a failure until they are gone, for 3 s at most. Frees it; accepts
 * NULL. */
void hub_finish(struct hub *hub);

/* The same without waiting for others, for a rank 0 that could not begin. */
void hub_abandon(struct hub *hub);

/* Answers `llmrun status` from then on, until it is freed (dist/status_socket.h). Any thread, once. */
int hub_serve_status(struct hub *hub, const char *run_folder, struct error *error);

/* How often ranks and the hub are heard from, with a timeout. */
int64_t hub_beat_ns(int64_t timeout_ns);

#endif
