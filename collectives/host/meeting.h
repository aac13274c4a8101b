/* How the ranks of a communicator find each other: what they tell each other over the host's own channel, and the
 * connections that they make then. Blocks; needs no mutex. */
#ifndef LLMRUN_HOST_MEETING_H
#define LLMRUN_HOST_MEETING_H

#include "communicator.h"

#define RANKS_MOST  1024
#define TOKEN_BYTES 32

/* What each rank tells first. */
struct hello {
    uint32_t order; /* ORDER_MARK: the byte order is ours */
    uint32_t version;
    int32_t transport;
    int32_t pid;
    uint64_t network; /* namespace of the network */
    char machine[40]; /* id of this boot of the machine */
    char host[64];
};

#define ADDRESSES_MOST 6
#define ADDRESS_BYTES  64

/* What each rank tells next, and behind it a token for each rank: who connects to it, or is connected to by it, shows
 * it. */
struct whereabouts {
    int32_t code; /* LLMRUN_OK, or it gives up */
    int32_t port; /* of TCP; 0: none */
    char message[256];
    char local[40]; /* abstract name of a Unix socket; "": none */
    char addresses[ADDRESSES_MOST][ADDRESS_BYTES];
};

struct meeting {
    const struct llmrun_communicator_desc *desc;
    const struct options *options;
    struct mesh *mesh;
    int bell;             /* of this process */
    int64_t until_ns;     /* by CLOCK_MONOTONIC */
    struct hello *hellos; /* by rank */
    char *told;           /* by rank, `told_bytes` apart: struct whereabouts and tokens */
    int64_t told_bytes;
    int listeners[2];           /* Unix, TCP; -1: none */
    uint8_t probe[TOKEN_BYTES]; /* others try to read it */
};

/* Makes the links of `mesh`. All ranks come back with a failure where one does. */
int32_t meeting_hold(const struct llmrun_communicator_desc *desc, const struct options *options, int bell,
                     struct mesh *mesh, struct llmrun_error *error);

#endif
