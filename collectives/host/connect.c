#include "connect.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <llmrun/plugin.h>

#include "accept.h"
#include "engine.h"
#include "greeting.h"
#include "segment.h"

#define RETRY_US     20000
#define SILENCE_MS   60000 /* after which the kernel gives a machine up that does not answer */
#define KEEP_ALIVE_S 10

static const struct whereabouts *where_is(const struct meeting *meeting, int32_t rank)
{
    return (const void *)(meeting->told + rank * meeting->told_bytes);
}

/* ---- calling ---- */

/* A socket that is connected, or -1 with errno. */
static int call_one(const struct meeting *meeting, const struct sockaddr *address, socklen_t length)
{
    const int caller = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t bytes = sizeof(int);
    int code = 0;

    if (caller < 0)
        return -1;
    if (connect(caller, address, length) == 0)
        return caller;
    code = errno;
    if (code == EINPROGRESS) {
        code = ETIMEDOUT;
        if (accept_wait(meeting, caller, POLLOUT))
            getsockopt(caller, SOL_SOCKET, SO_ERROR, &code, &bytes);
        if (code == 0)
            return caller;
    }
    close(caller);
    errno = code;
    return -1;
}

static int call_locally(const struct meeting *meeting, int32_t rank)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *name = where_is(meeting, rank)->local;
    const size_t length = strnlen(name, sizeof where_is(meeting, rank)->local);

    memcpy(address.sun_path + 1, name, length);
    return call_one(meeting, (const struct sockaddr *)&address,
                    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length));
}

static int call_tcp(const struct meeting *meeting, int32_t rank)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    const struct whereabouts *where = where_is(meeting, rank);
    int caller = -1, code = EADDRNOTAVAIL;
    char port[16];

    snprintf(port, sizeof port, "%d", where->port);
    for (int i = 0; i < ADDRESSES_MOST && caller < 0; i++) {
        struct addrinfo *found = NULL;
        char address[ADDRESS_BYTES];

        snprintf(address, sizeof address, "%.*s", ADDRESS_BYTES - 1, where->addresses[i]);
        if (address[0] == '\0' || getaddrinfo(address, port, &hints, &found) != 0)
            continue;
        caller = call_one(meeting, found->ai_addr, found->ai_addrlen);
        code = errno;
        freeaddrinfo(found);
    }
    errno = code;
    return caller;
}

/* Connects and greets; tries again until the time is up. */
static int32_t call(const struct meeting *meeting, int32_t rank, int *caller, struct llmrun_error *error)
{
    const struct greeting greeting = greeting_to(meeting, rank);

    do {
        *caller = connect_is_local(meeting, rank) ? call_locally(meeting, rank) : call_tcp(meeting, rank);
        if (*caller >= 0 && send(*caller, &greeting, sizeof greeting, MSG_NOSIGNAL) == (ssize_t)sizeof greeting)
            return LLMRUN_OK;
        if (*caller >= 0)
            close(*caller);
        *caller = -1;
        usleep(RETRY_US);
    } while (engine_now_ns() < meeting->until_ns);
    return llmrun_fail(error, LLMRUN_ERROR_TIMEOUT, "rank %d on %s cannot be reached: %s", rank,
                       meeting->hellos[rank].host, strerror(errno));
}

/* ---- links ---- */

static struct link *create_link(const struct meeting *meeting, int32_t rank, int *connection,
                                struct llmrun_error *error)
{
    const bool local = connect_is_local(meeting, rank);
    struct link *link = calloc(1, sizeof *link);

    if (link == NULL || (!local && (link->stream.input = malloc(STREAM_BYTES)) == NULL)) {
        free(link);
        llmrun_fail(error, LLMRUN_ERROR_MEMORY, "there is no memory for a connection");
        return NULL;
    }
    link->mesh = meeting->mesh;
    link->peer = rank;
    link->pid = meeting->hellos[rank].pid;
    snprintf(link->host, sizeof link->host, "%.63s", meeting->hellos[rank].host);
    link->wire = local ? &wire_shared : &wire_tcp;
    link->shared.bell = -1;
    link->stream.readable = true;
    link->socket = *connection;
    *connection = -1;
    meeting->mesh->links[rank] = link;
    return link;
}

static void tune(int connection)
{
    const int on = 1, silence = SILENCE_MS, alive = KEEP_ALIVE_S;

    setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(connection, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(connection, IPPROTO_TCP, TCP_KEEPIDLE, &alive, sizeof alive);
    setsockopt(connection, IPPROTO_TCP, TCP_KEEPINTVL, &alive, sizeof alive);
    setsockopt(connection, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence, sizeof silence);
}

/* Answers a rank that showed its token: with this rank's, and with shared memory. */
static int32_t answer(const struct meeting *meeting, struct link *link, struct llmrun_error *error)
{
    const struct greeting greeting = greeting_to(meeting, link->peer);
    int descriptors[2] = {-1, meeting->bell};
    int32_t code = LLMRUN_OK;
    ssize_t went;

    if (link->wire == &wire_tcp) {
        tune(link->socket);
        went = send(link->socket, &greeting, sizeof greeting, MSG_NOSIGNAL);
    } else {
        code = segment_create(meeting, link, &descriptors[0], error);
        went = code == LLMRUN_OK ? segment_send(link->socket, &greeting, sizeof greeting, descriptors, 2) : 0;
    }
    if (code == LLMRUN_OK && went != (ssize_t)sizeof greeting)
        code = llmrun_fail(error, LLMRUN_ERROR_DEVICE, "rank %d on %s cannot be answered: %s", link->peer, link->host,
                           went < 0 ? strerror(errno) : "the connection is full");
    if (descriptors[0] >= 0)
        close(descriptors[0]);
    return code;
}

static void close_both(const int descriptors[2])
{
    for (int i = 0; i < 2; i++)
        if (descriptors[i] >= 0)
            close(descriptors[i]);
}

/* Reads the answer of a rank that was called. False where it is none: the caller may try again. */
static bool hear(const struct meeting *meeting, int32_t rank, int connection, int descriptors[2])
{
    struct greeting greeting;
    ssize_t got;

    descriptors[0] = descriptors[1] = -1;
    if (!accept_wait(meeting, connection, POLLIN))
        return false;
    if (connect_is_local(meeting, rank))
        got = segment_receive(connection, &greeting, sizeof greeting, descriptors);
    else
        got = recv(connection, &greeting, sizeof greeting, MSG_WAITALL);
    if (got == (ssize_t)sizeof greeting && greeting.from == rank && greeting_holds(meeting, &greeting))
        return true;
    close_both(descriptors);
    return false;
}

/* Takes what a called rank answered, and hands it this rank's bell. */
static int32_t settle_called(const struct meeting *meeting, struct link *link, const int descriptors[2],
                             struct llmrun_error *error)
{
    int32_t code;

    if (link->wire == &wire_tcp) {
        tune(link->socket);
        return LLMRUN_OK;
    }
    link->shared.bell = descriptors[1];
    code = descriptors[0] < 0 || descriptors[1] < 0
               ? llmrun_fail(error, LLMRUN_ERROR_DEVICE,
                             "rank %d gave no shared memory (open descriptors may be at "
                             "their limit, ulimit -n)",
                             link->peer)
               : segment_open(meeting, link, descriptors[0], error);
    if (descriptors[0] >= 0)
        close(descriptors[0]);
    if (code != LLMRUN_OK)
        return code;
    segment_probe(meeting, link);
    if (segment_send(link->socket, "", 1, &meeting->bell, 1) != 1)
        return llmrun_fail(error, LLMRUN_ERROR_DEVICE, "rank %d cannot be answered: %s", link->peer, strerror(errno));
    return LLMRUN_OK;
}

static int32_t settle_caller(const struct meeting *meeting, struct link *link, struct llmrun_error *error)
{
    int descriptors[2] = {-1, -1};
    char byte;

    if (link->wire == &wire_tcp)
        return LLMRUN_OK;
    if (!accept_wait(meeting, link->socket, POLLIN))
        return llmrun_fail(error, LLMRUN_ERROR_TIMEOUT, "rank %d on %s did not answer in time", link->peer, link->host);
    if (segment_receive(link->socket, &byte, 1, descriptors) != 1 || descriptors[0] < 0)
        return llmrun_fail(error, LLMRUN_ERROR_DEVICE, "rank %d on %s closed its connection", link->peer, link->host);
    link->shared.bell = descriptors[0];
    if (descriptors[1] >= 0)
        close(descriptors[1]);
    segment_probe(meeting, link);
    return LLMRUN_OK;
}

/* ---- all together ---- */

/* Steps that wait for others stand in this order on all ranks, so that none waits in a circle. */
static int32_t connect_sockets(struct meeting *meeting, int *sockets, struct llmrun_error *error)
{
    const int32_t rank = meeting->desc->rank, ranks = meeting->desc->ranks;
    int32_t code = LLMRUN_OK;

    for (int32_t i = 0; i < rank && code == LLMRUN_OK; i++)
        code = call(meeting, i, &sockets[i], error);
    if (code == LLMRUN_OK)
        code = accept_all(meeting, sockets, error);
    for (int32_t i = rank + 1; i < ranks && code == LLMRUN_OK; i++) {
        struct link *link = create_link(meeting, i, &sockets[i], error);

        code = link == NULL ? LLMRUN_ERROR_MEMORY : answer(meeting, link, error);
    }
    for (int32_t i = 0; i < rank && code == LLMRUN_OK; i++) {
        struct link *link;
        int descriptors[2];

        while (code == LLMRUN_OK && !hear(meeting, i, sockets[i], descriptors)) {
            close(sockets[i]); /* it was crowded out by strangers, or answered by one */
            sockets[i] = -1;
            code = call(meeting, i, &sockets[i], error);
        }
        if (code != LLMRUN_OK)
            break;
        link = create_link(meeting, i, &sockets[i], error);
        code = link == NULL ? LLMRUN_ERROR_MEMORY : settle_called(meeting, link, descriptors, error);
    }
    for (int32_t i = rank + 1; i < ranks && code == LLMRUN_OK; i++)
        code = settle_caller(meeting, meeting->mesh->links[i], error);
    return code;
}

int32_t connect_all(struct meeting *meeting, struct llmrun_error *error)
{
    int *sockets = malloc((size_t)meeting->desc->ranks * sizeof *sockets);
    int32_t code;

    if (sockets == NULL)
        return llmrun_fail(error, LLMRUN_ERROR_MEMORY, "there is no memory for %d ranks", meeting->desc->ranks);
    for (int32_t i = 0; i < meeting->desc->ranks; i++)
        sockets[i] = -1;
    code = connect_sockets(meeting, sockets, error);
    for (int32_t i = 0; i < meeting->desc->ranks; i++)
        if (sockets[i] >= 0)
            close(sockets[i]);
    free(sockets);
    return code;
}
