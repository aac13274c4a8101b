#include "dist/sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 1024

static int look_up(const char *host, int32_t port, int flags, struct addrinfo **addresses, struct error *error)
{
    const struct addrinfo hints = {.ai_flags = flags | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    char service[16];
    int problem;

    snprintf(service, sizeof service, "%d", (int)port);
    problem = getaddrinfo(host, service, &hints, addresses);
    if (problem == 0)
        return STATUS_OK;
    return error_set(error, STATUS_PEER, "no address of %s was found: %s", host != NULL ? host : "this machine",
                     problem == EAI_SYSTEM ? strerror(errno) : gai_strerror(problem));
}

static bool is_one_interface(const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];

    return strcmp(host, "localhost") == 0 || inet_pton(AF_INET, host, address) == 1 ||
           inet_pton(AF_INET6, host, address) == 1;
}

static int listen_at(const struct addrinfo *address)
{
    const int on = 1, off = 0;
    int listener = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (listener < 0)
        return -1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address->ai_family == AF_INET6)
        setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(listener, address->ai_addr, address->ai_addrlen) == 0 && listen(listener, BACKLOG) == 0)
        return listener;
    close(listener);
    return -1;
}

int socket_own_address(int listener, char host[SOCKET_HOST_BYTES], int32_t *port, struct error *error)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    socklen_t bytes = sizeof address;
    const char *text;

    if (getsockname(listener, &address.any, &bytes) != 0)
        return error_set(error, STATUS_PEER, "the address of the listening socket is unknown: %s", strerror(errno));
    if (address.any.sa_family == AF_INET6) {
        if (IN6_IS_ADDR_UNSPECIFIED(&address.v6.sin6_addr))
            address.v6.sin6_addr = in6addr_loopback;
        text = inet_ntop(AF_INET6, &address.v6.sin6_addr, host, SOCKET_HOST_BYTES);
        *port = ntohs(address.v6.sin6_port);
    } else {
        if (address.v4.sin_addr.s_addr == htonl(INADDR_ANY))
            address.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        text = inet_ntop(AF_INET, &address.v4.sin_addr, host, SOCKET_HOST_BYTES);
        *port = ntohs(address.v4.sin_port);
    }
    return text != NULL ? STATUS_OK : error_set(error, STATUS_PEER, "the listening socket has no address");
}

int socket_listen(const char *host, int32_t *port, int *listener, struct error *error)
{
    const bool one = is_one_interface(host);
    char own[SOCKET_HOST_BYTES];
    struct addrinfo *addresses;
    int problem = 0, status = look_up(one ? host : NULL, *port, one ? 0 : AI_PASSIVE, &addresses, error);

    *listener = -1;
    if (status != STATUS_OK)
        return status;
    /* Of all interfaces the family that takes connections of both. */
    for (int pass = 0; pass < 2 && *listener < 0; pass++)
        for (const struct addrinfo *at = addresses; at != NULL && *listener < 0; at = at->ai_next)
            if (one || (at->ai_family == AF_INET6) == (pass == 0)) {
                *listener = listen_at(at);
                problem = errno;
            }
    freeaddrinfo(addresses);
    if (*listener < 0)
        return error_set(error, STATUS_PEER,
                         "rank 0 cannot listen at %s:%d: %s; give another address or port by LLMRUN_RENDEZVOUS", host,
                         (int)*port, strerror(problem));
    return socket_own_address(*listener, own, port, error);
}

int socket_inherit(int listener, struct error *error)
{
    int listens = 0;
    socklen_t bytes = sizeof listens;

    if (getsockopt(listener, SOL_SOCKET, SO_ACCEPTCONN, &listens, &bytes) != 0 || listens == 0)
        return error_set(error, STATUS_USAGE, "LLMRUN_RENDEZVOUS_FD is %d, which is no listening socket", listener);
    fcntl(listener, F_SETFD, FD_CLOEXEC);
    fcntl(listener, F_SETFL, O_NONBLOCK);
    return STATUS_OK;
}

static void set_no_delay(int socket)
{
    const int on = 1;

    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/* 0, or the errno value of the failure; a socket that has not connected by the deadline gives ETIMEDOUT. */
static int connect_at(const struct addrinfo *address, int64_t deadline_ns, const struct clock *clock, int *connected)
{
    int problem = 0;
    socklen_t bytes = sizeof problem;

    *connected = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*connected < 0)
        return errno;
    if (connect(*connected, address->ai_addr, address->ai_addrlen) != 0)
        problem = errno;
    while (problem == EINPROGRESS) {
        struct pollfd wait = {.fd = *connected, .events = POLLOUT};
        const int64_t left = deadline_ns - clock->monotonic_ns(clock);

        if (left <= 0)
            problem = ETIMEDOUT;
        else if (poll(&wait, 1, (int)(left / 1000000 < 1000 ? left / 1000000 + 1 : 1000)) > 0)
            getsockopt(*connected, SOL_SOCKET, SO_ERROR, &problem, &bytes);
    }
    if (problem == 0)
        return 0;
    close(*connected);
    *connected = -1;
    return problem;
}

int socket_connect(const char *host, int32_t port, int64_t deadline_ns, const struct clock *clock, int *connected,
                   struct error *error)
{
    struct addrinfo *addresses;
    int problem = ETIMEDOUT, status = look_up(host, port, 0, &addresses, error);

    *connected = -1;
    if (status != STATUS_OK)
        return status;
    for (const struct addrinfo *at = addresses; at != NULL && problem != 0; at = at->ai_next)
        problem = connect_at(at, deadline_ns, clock, connected);
    freeaddrinfo(addresses);
    if (problem != 0)
        return error_set(error, STATUS_PEER, "%s", strerror(problem));
    set_no_delay(*connected);
    return STATUS_OK;
}

int socket_accept(int listener)
{
    const int accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (accepted >= 0)
        set_no_delay(accepted);
    return accepted;
}
