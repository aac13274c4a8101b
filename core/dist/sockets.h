/* Sockets of the control channel: non-blocking, closed by exec, without Nagle's delay. */
#ifndef LLMRUN_DIST_SOCKETS_H
#define LLMRUN_DIST_SOCKETS_H

#include <stdint.h>

#include "base/clock.h"
#include "base/status.h"

/* Listens at an address of this machine: an address in figures, or localhost, is that interface alone; a name is all
 * interfaces, for it may have others elsewhere. *port 0 takes a free one and tells it. STATUS_PEER. */
int socket_listen(const char *host, int32_t *port, int *listener, struct error *error);

#define SOCKET_HOST_BYTES 64

/* Where a process of this machine reaches a listener. */
int socket_own_address(int listener, char host[SOCKET_HOST_BYTES], int32_t *port, struct error *error);

/* Takes over a listening socket that was inherited. STATUS_USAGE where it is none. */
int socket_inherit(int listener, struct error *error);

/* Tries once to connect, until `deadline_ns` at most. STATUS_PEER says why not. */
int socket_connect(const char *host, int32_t port, int64_t deadline_ns, const struct clock *clock, int *connected,
                   struct error *error);

/* A connection that waits at the listener; -1 with errno set where none does. */
int socket_accept(int listener);

#endif
