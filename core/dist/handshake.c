#include "dist/handshake.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/random_bytes.h"

#define MAGIC_BYTES 16

static const uint8_t magic[MAGIC_BYTES] = {'l', 'l', 'm', 'r', 'u', 'n', ' ', 'c',
                                           'o', 'n', 't', 'r', 'o', 'l', ' ', 1};

static void derive(const uint8_t key[SHA256_BYTES], const char *purpose, const uint8_t *transcript,
                   uint8_t derived[SHA256_BYTES])
{
    struct hmac hmac;

    hmac_init(&hmac, key, SHA256_BYTES);
    hmac_add(&hmac, purpose, strlen(purpose) + 1);
    hmac_add(&hmac, transcript, HELLO_BYTES + NONCE_BYTES);
    hmac_finish(&hmac, derived);
}

static void open_connection(struct connection *connection, int socket, const uint8_t key[SHA256_BYTES],
                            const uint8_t *transcript, bool is_server)
{
    uint8_t to_server[SHA256_BYTES], to_client[SHA256_BYTES];

    derive(key, "to server", transcript, to_server);
    derive(key, "to client", transcript, to_client);
    connection_init(connection, socket, is_server ? to_client : to_server, is_server ? to_server : to_client);
}

/* A few bytes fit into the buffer of a new socket: a partner for whom they do not is none. */
static bool send_whole(int socket, const void *data, size_t bytes)
{
    ssize_t put;

    do
        put = send(socket, data, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (put < 0 && errno == EINTR);
    return put == (ssize_t)bytes;
}

/* HANDSHAKE_GOOD: `bytes` bytes are there. */
static enum handshake_answer receive(int socket, uint8_t *data, int bytes, int *filled)
{
    while (*filled < bytes) {
        const ssize_t got = recv(socket, data + *filled, (size_t)(bytes - *filled), MSG_DONTWAIT);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return HANDSHAKE_WAITS;
        if (got <= 0)
            return HANDSHAKE_CLOSED;
        *filled += (int)got;
    }
    *filled = 0;
    return HANDSHAKE_GOOD;
}

enum handshake_answer handshake_step(struct handshake *handshake, const uint8_t key[SHA256_BYTES],
                                     struct connection *connection, int32_t *rank, int32_t *world)
{
    uint8_t *transcript = handshake->transcript, wanted[SHA256_BYTES];
    enum handshake_answer answer;

    if (!handshake->proving) {
        answer = receive(handshake->socket, transcript, HELLO_BYTES, &handshake->filled);
        if (handshake->filled >= MAGIC_BYTES && memcmp(transcript, magic, MAGIC_BYTES) != 0)
            return HANDSHAKE_FOREIGN;
        if (answer != HANDSHAKE_GOOD)
            return answer;
        if (memcmp(transcript, magic, MAGIC_BYTES) != 0)
            return HANDSHAKE_FOREIGN;
        if (random_bytes(transcript + HELLO_BYTES, NONCE_BYTES, NULL) != STATUS_OK ||
            !send_whole(handshake->socket, transcript + HELLO_BYTES, NONCE_BYTES))
            return HANDSHAKE_CLOSED;
        handshake->proving = true;
    }
    answer = receive(handshake->socket, handshake->proof, SHA256_BYTES, &handshake->filled);
    if (answer != HANDSHAKE_GOOD)
        return answer;
    derive(key, "client", transcript, wanted);
    if (!sha256_equal(wanted, handshake->proof))
        return HANDSHAKE_UNPROVED;
    derive(key, "server", transcript, wanted);
    if (!send_whole(handshake->socket, wanted, sizeof wanted))
        return HANDSHAKE_CLOSED;
    *rank = (int32_t)wire_load_u32(transcript + MAGIC_BYTES);
    *world = (int32_t)wire_load_u32(transcript + MAGIC_BYTES + 4);
    open_connection(connection, handshake->socket, key, transcript, true);
    return HANDSHAKE_GOOD;
}

/* Blocks until all of `bytes` is there, or the deadline passes. */
static enum handshake_answer await(int socket, uint8_t *data, int bytes, int64_t deadline_ns, const struct clock *clock)
{
    enum handshake_answer answer;
    int filled = 0;

    while ((answer = receive(socket, data, bytes, &filled)) == HANDSHAKE_WAITS) {
        struct pollfd wait = {.fd = socket, .events = POLLIN};
        const int64_t left = deadline_ns - clock->monotonic_ns(clock);

        if (left <= 0)
            break;
        poll(&wait, 1, (int)(left / 1000000 < 1000 ? left / 1000000 + 1 : 1000));
    }
    return answer;
}

enum handshake_answer handshake_offer(int socket, const uint8_t key[SHA256_BYTES], int32_t rank, int32_t world,
                                      int64_t deadline_ns, const struct clock *clock, struct connection *connection,
                                      bool *proved)
{
    uint8_t transcript[HELLO_BYTES + NONCE_BYTES], mine[SHA256_BYTES], theirs[SHA256_BYTES];
    enum handshake_answer answer;

    *proved = false;
    memcpy(transcript, magic, MAGIC_BYTES);
    wire_store_u32(transcript + MAGIC_BYTES, (uint32_t)rank);
    wire_store_u32(transcript + MAGIC_BYTES + 4, (uint32_t)world);
    if (random_bytes(transcript + MAGIC_BYTES + 8, NONCE_BYTES, NULL) != STATUS_OK ||
        !send_whole(socket, transcript, HELLO_BYTES))
        return HANDSHAKE_CLOSED;
    answer = await(socket, transcript + HELLO_BYTES, NONCE_BYTES, deadline_ns, clock);
    if (answer != HANDSHAKE_GOOD)
        return answer;
    derive(key, "client", transcript, mine);
    if (!send_whole(socket, mine, sizeof mine))
        return HANDSHAKE_CLOSED;
    *proved = true;
    answer = await(socket, theirs, sizeof theirs, deadline_ns, clock);
    if (answer != HANDSHAKE_GOOD)
        return answer;
    derive(key, "server", transcript, mine);
    if (!sha256_equal(mine, theirs))
        return HANDSHAKE_UNPROVED;
    open_connection(connection, socket, key, transcript, false);
    return HANDSHAKE_GOOD;
}
