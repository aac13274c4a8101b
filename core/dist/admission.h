/* The door of the control channel: connections come to a listening socket, and those go in whose other end knows the
 * job's secret. Strangers cost a slot of fixed size each, of which there is a fixed number; when all are taken the
 * oldest gives way, and a rank that loses its place comes again. What was refused is logged now and then.
 *
 * One thread. Nothing blocks. */
#ifndef LLMRUN_DIST_ADMISSION_H
#define LLMRUN_DIST_ADMISSION_H

#include <poll.h>

#include "dist/handshake.h"

#define ADMISSION_SLOTS 64

struct admission {
    int listener; /* -1: closed */
    uint8_t key[SHA256_BYTES];
    struct handshake slots[ADMISSION_SLOTS];
    int64_t rest_until_ns; /* no file descriptors are left: nothing is accepted until then */
    int64_t refused;       /* since the last line of the log */
    int64_t logged_ns;     /* 0: never */
};

/* Takes over the listener. */
void admission_init(struct admission *admission, int listener, const uint8_t key[SHA256_BYTES]);
/* Closes the listener and all that has not gone in; accepts a zeroed struct only after init. */
void admission_finish(struct admission *admission);

/* What to wait for, at most ADMISSION_SLOTS + 1 entries. */
int admission_waits(const struct admission *admission, int64_t now_ns, struct pollfd *waits);

/* Serves what has come. True where a connection went in: call again until it is false. */
bool admission_step(struct admission *admission, int64_t now_ns, struct connection *connection, int32_t *rank,
                    int32_t *world);

#endif
