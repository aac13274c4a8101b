/* What rank 0 knows of each rank that is connected to it, and sending to them. Of the hub's thread alone. */
#ifndef LLMRUN_DIST_HUB_MEMBERS_H
#define LLMRUN_DIST_HUB_MEMBERS_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include "dist/admission.h"
#include "dist/gathering.h"
#include "dist/hub.h"
#include "dist/protocol.h"
#include "dist/records.h"

enum member_state {
    MEMBER_ABSENT,
    MEMBER_CONNECTED, /* it has its place and has not said its host */
    MEMBER_JOINED,
    MEMBER_LEFT, /* it said goodbye */
    MEMBER_LOST
};

struct member {
    struct connection connection;
    enum member_state state;
    char host[PROTOCOL_HOST_BYTES];
    uint32_t process;
    int64_t heard_ns;
    int64_t step; /* its last note, */
    char what[PROTOCOL_WHAT_BYTES];
    int64_t noted_ns; /* and since when it is that one */
    bool reported;
    struct frame report;
};

enum hub_phase {
    HUB_JOINING,
    HUB_RUNNING,
    HUB_COLLECTING, /* a rank is lost, or failed because of another: reports are awaited */
    HUB_FAILED      /* the verdict is out */
};

struct hub {
    struct hub_options options;
    pthread_t thread;
    int wake; /* eventfd */
    atomic_bool stopping;
    atomic_int status_listener; /* -1: none */
    char status_folder[PATH_MAX];
    int32_t world;
    enum hub_phase phase;
    int64_t began_ns, beat_ns, phase_ns; /* phase_ns: when COLLECTING or FAILED began */
    int64_t seen_ns;                     /* when the loop last ran */
    struct admission admission;
    struct gathering gathering;
    struct member *members; /* [world] */
    struct pollfd *waits;
    struct record_bytes *records; /* [world] */
    /* The failure that began the collection, of a rank that says so or between ranks (-1). */
    int32_t suspect;
    struct error suspicion;
    int32_t lost; /* the first rank that is gone or silent, -1: none; it is the root cause */
    char how[128];
};

/* Queues a frame; a rank for which there is no memory is cut off. */
void hub_send(struct hub *hub, struct member *member, uint32_t type, const struct wire *wire);
/* To all that have joined. */
void hub_send_all(struct hub *hub, uint32_t type, const struct wire *wire);

bool member_is_here(const struct member *member); /* connected or joined */

/* "rank 2 on host a (process 17)" and "; it was at step 5 in forward", "" where it noted nothing. */
#define MEMBER_TEXT_BYTES 256
void member_describe(const struct hub *hub, int32_t rank, char text[MEMBER_TEXT_BYTES]);
void member_describe_note(const struct member *member, char text[MEMBER_TEXT_BYTES]);

#endif
