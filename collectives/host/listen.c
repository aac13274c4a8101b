#include "connect.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <llmrun/plugin.h>

#define BACKLOG 1024

static bool same_machine(const struct hello *a, const struct hello *b)
{
    return a->machine[0] != '\0' && strcmp(a->machine, b->machine) == 0 && a->network == b->network;
}

bool connect_is_local(const struct meeting *meeting, int32_t rank)
{
    return meeting->options->transport != TRANSPORT_TCP &&
           same_machine(&meeting->hellos[meeting->desc->rank], &meeting->hellos[rank]);
}

static int32_t listen_locally(struct meeting *meeting, struct whereabouts *where, struct llmrun_error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    uint64_t name[2];
    int length, socket_fd;

    if (getrandom(name, sizeof name, 0) != (ssize_t)sizeof name)
        return llmrun_fail(error, LLMRUN_ERROR_DEVICE, "the system gives no random bytes");
    /* An abstract name: it is no file, and gone with the socket. */
    length = snprintf(where->local, sizeof where->local, "llmrun%016llx%016llx", (unsigned long long)name[0],
                      (unsigned long long)name[1]);
    memcpy(address.sun_path + 1, where->local, (size_t)length);
    socket_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    meeting->listeners[0] = socket_fd;
    if (socket_fd < 0 ||
        bind(socket_fd, (const struct sockaddr *)&address,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length)) != 0 ||
        listen(socket_fd, BACKLOG) != 0)
        return llmrun_fail(error, LLMRUN_ERROR_DEVICE, "a Unix socket cannot be opened: %s", strerror(errno));
    return LLMRUN_OK;
}

/* All addresses of interfaces that are up and not of this machine only. */
static void list_interfaces(struct whereabouts *where)
{
    struct ifaddrs *all = NULL;
    int count = 0;

    if (getifaddrs(&all) != 0)
        return;
    for (const struct ifaddrs *one = all; one != NULL && count < ADDRESSES_MOST; one = one->ifa_next) {
        const int family = one->ifa_addr != NULL ? one->ifa_addr->sa_family : AF_UNSPEC;

        if ((family != AF_INET && family != AF_INET6) || (one->ifa_flags & IFF_UP) == 0 ||
            (one->ifa_flags & IFF_LOOPBACK) != 0)
            continue;
        if (getnameinfo(one->ifa_addr, family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6),
                        where->addresses[count], ADDRESS_BYTES, NULL, 0, NI_NUMERICHOST) == 0)
            count++;
    }
    freeifaddrs(all);
}

/* Fills the address to listen at, and where->addresses. */
static int32_t choose_address(const struct meeting *meeting, struct whereabouts *where,
                              struct sockaddr_storage *address, socklen_t *length, struct llmrun_error *error)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
    const char *given = meeting->options->address;
    struct addrinfo *found = NULL;
    bool alone = true;

    for (int32_t i = 0; i < meeting->desc->ranks; i++)
        alone &= same_machine(&meeting->hellos[i], &meeting->hellos[meeting->desc->rank]);
    if (given[0] == '\0' && alone)
        given = "127.0.0.1";
    memset(address, 0, sizeof *address);
    if (given[0] == '\0') {
        list_interfaces(where);
        address->ss_family = AF_INET6;
        *length = sizeof(struct sockaddr_in6); /* any address of both families */
        return LLMRUN_OK;
    }
    if (getaddrinfo(given, NULL, &hints, &found) != 0)
        return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "address is '%s'; expected a numeric address", given);
    memcpy(address, found->ai_addr, found->ai_addrlen);
    *length = found->ai_addrlen;
    freeaddrinfo(found);
    snprintf(where->addresses[0], ADDRESS_BYTES, "%s", given);
    return LLMRUN_OK;
}

static int32_t listen_tcp(struct meeting *meeting, struct whereabouts *where, struct llmrun_error *error)
{
    struct sockaddr_storage address;
    socklen_t length;
    const int off = 0;
    int socket_fd;
    int32_t code = choose_address(meeting, where, &address, &length, error);

    if (code != LLMRUN_OK)
        return code;
    socket_fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (socket_fd < 0 && address.ss_family == AF_INET6) { /* a system without IPv6 */
        memset(&address, 0, sizeof address);
        address.ss_family = AF_INET;
        length = sizeof(struct sockaddr_in);
        socket_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    }
    meeting->listeners[1] = socket_fd;
    if (address.ss_family == AF_INET6 && socket_fd >= 0)
        setsockopt(socket_fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (socket_fd < 0 || bind(socket_fd, (const struct sockaddr *)&address, length) != 0 ||
        listen(socket_fd, BACKLOG) != 0 || getsockname(socket_fd, (struct sockaddr *)&address, &length) != 0)
        return llmrun_fail(error, LLMRUN_ERROR_DEVICE, "a TCP port cannot be opened: %s", strerror(errno));
    where->port = ntohs(address.ss_family == AF_INET ? ((const struct sockaddr_in *)&address)->sin_port
                                                     : ((const struct sockaddr_in6 *)&address)->sin6_port);
    return LLMRUN_OK;
}

int32_t connect_listen(struct meeting *meeting, struct whereabouts *where, struct llmrun_error *error)
{
    bool locally = false, remotely = false;
    int32_t code = LLMRUN_OK;

    for (int32_t i = 0; i < meeting->desc->ranks; i++) {
        locally |= i != meeting->desc->rank && connect_is_local(meeting, i);
        remotely |= i != meeting->desc->rank && !connect_is_local(meeting, i);
    }
    if (locally)
        code = listen_locally(meeting, where, error);
    if (remotely && code == LLMRUN_OK)
        code = listen_tcp(meeting, where, error);
    return code;
}

void connect_close(struct meeting *meeting)
{
    for (int i = 0; i < 2; i++)
        if (meeting->listeners[i] >= 0)
            close(meeting->listeners[i]);
    meeting->listeners[0] = meeting->listeners[1] = -1;
}
