/* A connection whose frames are authenticated. A frame is
 *
 *     type u32, length u32, number u64 (from 0 on, in each direction), HMAC-SHA256 of these 16 bytes,
 *     and where length > 0: `length` bytes, HMAC-SHA256 of the 16 bytes and them,
 *
 * little-endian, under a key of its direction that both sides drew for this connection (dist/handshake.h). So a length
 * is authentic before memory is taken for it, and a frame that was recorded, dropped, repeated or brought from another
 * connection ends the connection. Contents are not hidden.
 *
 * Not thread-safe: the owner serializes. Nothing here blocks: the socket is non-blocking. */
#ifndef LLMRUN_DIST_CONNECTION_H
#define LLMRUN_DIST_CONNECTION_H

#include "base/sha256.h"
#include "base/status.h"
#include "dist/wire.h"

#define FRAME_HEADER_BYTES 16
#define FRAME_BYTES_MOST   (INT64_C(1) << 28)

struct frame {
    uint32_t type;
    int64_t bytes;
    uint8_t *data; /* the receiver frees it; NULL for 0 bytes */
};

struct connection {
    int socket;                  /* -1: none */
    struct hmac sends, receives; /* keyed */
    uint64_t sent, received;     /* frames */
    uint8_t head[FRAME_HEADER_BYTES + SHA256_BYTES];
    int64_t filled; /* of head, then of the frame's data and their tag */
    bool in_data;
    struct frame frame;  /* that comes in */
    struct wire queue;   /* what is to be sent, */
    int64_t queue_first; /* from here on */
};

/* What every connection begins with: a socket that it owns from then on, and a key for each direction. */
void connection_init(struct connection *connection, int socket, const uint8_t send_key[SHA256_BYTES],
                     const uint8_t receive_key[SHA256_BYTES]);
void connection_finish(struct connection *connection); /* closes it; accepts one that is closed */

struct frame_part {
    const void *data;
    int64_t bytes;
};

/* Puts a frame, whose data are those parts one after the other, into the queue. STATUS_MEMORY. */
int connection_queue(struct connection *connection, uint32_t type, const struct frame_part *parts, int count,
                     struct error *error);
bool connection_has_queue(const struct connection *connection);

/* Sends of the queue what the socket takes now. False where the connection is broken. */
bool connection_write(struct connection *connection);

enum connection_answer {
    CONNECTION_FRAME,   /* *frame is set */
    CONNECTION_NOTHING, /* no whole frame is there yet */
    CONNECTION_CLOSED,  /* the other side closed it, or it broke */
    CONNECTION_DAMAGED, /* a frame is not authentic or too long: nothing more can be believed */
    CONNECTION_NO_MEMORY
};

/* Reads until a frame is whole or nothing more is there. */
enum connection_answer connection_read(struct connection *connection, struct frame *frame);

#endif
