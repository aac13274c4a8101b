/* The way from this rank to one other: a wire that carries frames, and the messages that are under way on it.
 * Everything here belongs to the engine's mutex (engine.h). */
#ifndef LLMRUN_HOST_LINK_H
#define LLMRUN_HOST_LINK_H

#include <sys/types.h>

#include "ring.h"
#include "span.h"

struct mesh;
struct step;

/* ---- frames ---- */

enum frame_kind {
    FRAME_EAGER = 1, /* a message, whole */
    FRAME_OFFER,     /* a message is there to be fetched; carries struct llmrun_blocks and the first byte */
    FRAME_ACCEPT,    /* send it */
    FRAME_DATA,      /* a piece of it */
    FRAME_DONE,      /* it was read where it lay */
    FRAME_FAIL,      /* the communicator failed; carries a sentence, `tag` is the code */
    FRAME_BYE        /* nothing comes after this */
};

/* In the byte order of both ends, which are alike (connect.c). A message has the tag that both ends derive from their
 * calls. */
struct frame {
    uint16_t kind;
    uint16_t operation; /* enum operation of a message, OPERATION_SEND on both sides */
    uint32_t bytes;     /* that follow */
    uint64_t context;
    uint64_t tag;
    int64_t total;  /* bytes of the message */
    int64_t offset; /* in the message, of DATA */
};

/* A frame, or several of one message, that wait for room on the wire. */
struct outgoing {
    struct outgoing *next;
    struct step *step; /* whose message it carries or answers; NULL: it was allocated, and is freed once sent */
    struct frame frame;
    struct span payload;
    int64_t sent; /* of the payload */
};

/* A frame that came before its receive was posted. */
struct arrival {
    struct arrival *next;
    struct frame frame;
    bool whole; /* its payload is there */
    _Alignas(8) char payload[];
};

/* What FRAME_OFFER carries. */
struct offer {
    struct llmrun_blocks side;
    int64_t first;
};

/* ---- wires ---- */

struct link;

/* Each returns less than 0 where the wire is broken; link->broken then says how. Nothing blocks. */
struct wire {
    int64_t eager_bytes;    /* messages up to this go in one frame */
    int64_t fragment_bytes; /* most payload of a frame */
    /* The next frame that came in: 1, or 0 where there is none. */
    int (*next)(struct link *link, struct frame *frame);
    /* Some of the `left` bytes of payload that are missing, in place: how many, 0 where none is there. Fewer than
     * `left` are a multiple of 4. */
    int64_t (*read)(struct link *link, int64_t left, const char **data);
    /* The same to a place of the caller's, any number; NULL where a wire cannot save a copy by it. */
    int64_t (*read_into)(struct link *link, char *to, int64_t left);
    /* The frame's payload has been read. */
    void (*end)(struct link *link);
    /* 1: sent. 0: call it again, with the same frame, when there is room. */
    int (*push)(struct link *link, const struct frame *frame, const struct span *payload);
    /* The frame that push was last called with is given up. */
    void (*drop)(struct link *link);
};

extern const struct wire wire_shared; /* wire_shared.c */
extern const struct wire wire_tcp;    /* wire_tcp.c */

/* What the two ends tell each other in shared memory. */
struct side {
    _Alignas(64) _Atomic uint32_t sleeping; /* ring its bell */
    _Atomic uint32_t blocked;               /* it waits for room in its ring */
    uint64_t probe_address;                 /* where its process has `probe`, to try direct reads with */
    uint8_t probe[32];
};

struct segment {
    struct side sides[2]; /* of the lower rank, of the higher */
    struct ring rings[2]; /* which they write */
};

/* Most payload of a frame other than FRAME_DATA. */
#define FRAME_KEPT_BYTES 65536

struct shared {
    struct segment *segment;
    int64_t bytes; /* of the mapping */
    struct side *mine, *theirs;
    struct ring_end in, out;
    int bell;    /* eventfd of the other process */
    bool same;   /* the other rank is in this process */
    bool direct; /* its memory can be read */
    const char *payload;
    int64_t payload_bytes;
};

#define STREAM_BYTES 65536

struct stream {
    char *input; /* STREAM_BYTES */
    int64_t begin, end;
    struct frame frame; /* being sent */
    int64_t sent;       /* of it, with its head; 0: none */
    int64_t filler;     /* zeros to send for the rest of a frame that was given up */
    bool readable;      /* there may be something to read */
    bool watched;       /* for room, too */
};

/* ---- links ---- */

struct link {
    struct mesh *mesh;
    int32_t peer; /* rank in the mesh */
    pid_t pid;    /* as seen from here; 0 for another machine */
    char host[64];
    const struct wire *wire;
    int socket; /* tells of the other's death; carries frames over TCP */
    struct shared shared;
    struct stream stream;

    struct outgoing *first, *last;
    struct step *posted;   /* receives whose message has not come */
    struct step *accepted; /* receives whose message comes in pieces */
    struct step *reading;  /* receives whose message is read where it lies */
    struct step *offered;  /* sends that the other has not fetched */
    struct arrival *arrivals;

    struct frame frame;   /* coming in; kind 0: none */
    int64_t taken;        /* of its payload */
    struct step *to;      /* where the payload goes: a receive, */
    struct arrival *kept; /* a message that came early; neither: nowhere */

    bool closed;      /* its end of the socket is; frames that came before may still lie in shared memory */
    bool left;        /* the other destroyed its communicators */
    bool gone;        /* `left` or `broken` was acted upon */
    char broken[160]; /* why nothing works any more; "": it works */
    int64_t free_ns;  /* when what was sent so far has passed, over a throttled link */
};

/* The first reason is kept. Returns -1. */
int link_break(struct link *link, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Unmaps, closes and frees; what was allocated for it in link->arrivals and the queue too. Accepts NULL. */
void link_destroy(struct link *link);

#endif
