/* How both ends of a new connection show that they know the job's secret, without saying it, and draw keys:
 *
 *     client: magic (16 bytes), rank u32, world u32, its nonce (32)     server: its nonce (32)
 *     client: HMAC(key, "client" and all of the above)                 server: HMAC(key, "server" and the same)
 *
 * The keys of both directions are HMACs of the same bytes. All messages have a fixed size, so nothing is allocated for
 * who has not proved anything, and the client proves first, so a stranger gets no answer to guess a secret from. */
#ifndef LLMRUN_DIST_HANDSHAKE_H
#define LLMRUN_DIST_HANDSHAKE_H

#include <stdbool.h>

#include "base/clock.h"
#include "dist/connection.h"

#define HELLO_BYTES 56
#define NONCE_BYTES 32

/* The server's side of one. Zero-initialize but for the socket, which is non-blocking. */
struct handshake {
    int socket;   /* -1: none */
    bool proving; /* the nonce is sent */
    int filled;
    int64_t began_ns;
    uint8_t transcript[HELLO_BYTES + NONCE_BYTES];
    uint8_t proof[SHA256_BYTES];
};

enum handshake_answer {
    HANDSHAKE_GOOD,     /* *connection has the socket, the rest is set */
    HANDSHAKE_WAITS,    /* more bytes are to come */
    HANDSHAKE_FOREIGN,  /* what came is no hello of ours */
    HANDSHAKE_UNPROVED, /* the proof is wrong */
    HANDSHAKE_CLOSED
};

/* Takes what has come. Does not block. After GOOD the socket belongs to *connection; after another answer than WAITS
 * the caller closes it. */
enum handshake_answer handshake_step(struct handshake *handshake, const uint8_t key[SHA256_BYTES],
                                     struct connection *connection, int32_t *rank, int32_t *world);

/* The client's side, over a connected non-blocking socket; blocks until `deadline_ns` at most. Only HANDSHAKE_GOOD
 * takes the socket. HANDSHAKE_CLOSED: the server did not like us, or went away; `proved` says whether that was after
 * our proof. HANDSHAKE_UNPROVED: the server does not know the secret. HANDSHAKE_WAITS: the deadline passed. */
enum handshake_answer handshake_offer(int socket, const uint8_t key[SHA256_BYTES], int32_t rank, int32_t world,
                                      int64_t deadline_ns, const struct clock *clock, struct connection *connection,
                                      bool *proved);

#endif
