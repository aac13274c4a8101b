#include "accept.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <llmrun/plugin.h>

#include "engine.h"
#include "greeting.h"

#define STRANGERS 64
#define SLICE_NS  INT64_C(1000000000)

struct stranger {
    int socket; /* -1: a free place */
    int64_t bytes;
    int64_t number; /* in order of coming */
    struct greeting greeting;
};

struct door {
    struct meeting *meeting;
    int *sockets; /* by rank */
    int32_t missing;
    int64_t comers;
    struct stranger strangers[STRANGERS];
};

static int64_t left_ns(const struct meeting *meeting)
{
    const int64_t left = meeting->until_ns - engine_now_ns();

    return left > 0 ? left : 0;
}

bool accept_wait(const struct meeting *meeting, int descriptor, short events)
{
    for (;;) {
        const int64_t left = left_ns(meeting), slice = left < SLICE_NS ? left : SLICE_NS;
        const struct timespec time = {slice / 1000000000, slice % 1000000000};
        struct pollfd one = {descriptor, events, 0};

        if (ppoll(&one, 1, &time, NULL) > 0)
            return true;
        if (left == 0)
            return false;
    }
}

static void dismiss(struct stranger *stranger)
{
    if (stranger->socket >= 0)
        close(stranger->socket);
    stranger->socket = -1;
}

/* Reads what a stranger has to show so far, no more than a greeting. */
static void listen_to(struct door *door, struct stranger *stranger)
{
    char *greeting = (char *)&stranger->greeting;
    const ssize_t got = recv(stranger->socket, greeting + stranger->bytes,
                             sizeof stranger->greeting - (size_t)stranger->bytes, MSG_DONTWAIT);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        dismiss(stranger);
        return;
    }
    stranger->bytes += got;
    if (stranger->bytes < (int64_t)sizeof stranger->greeting)
        return;
    /* Each rank is let in once: what somebody overheard and says again opens nothing. */
    if (!greeting_holds(door->meeting, &stranger->greeting) || stranger->greeting.from <= door->meeting->desc->rank ||
        door->sockets[stranger->greeting.from] >= 0) {
        dismiss(stranger);
        return;
    }
    door->sockets[stranger->greeting.from] = stranger->socket;
    door->missing--;
    stranger->socket = -1;
}

/* A free place, or that of who has been silent longest. */
static struct stranger *place_for(struct door *door)
{
    struct stranger *best = &door->strangers[0];

    for (int i = 0; i < STRANGERS; i++) {
        if (door->strangers[i].socket < 0)
            return &door->strangers[i];
        if (door->strangers[i].number < best->number)
            best = &door->strangers[i];
    }
    dismiss(best);
    return best;
}

static void let_in(struct door *door, int listener)
{
    const int come = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct stranger *stranger;

    if (come < 0)
        return;
    stranger = place_for(door);
    *stranger = (struct stranger){.socket = come, .number = door->comers++};
    listen_to(door, stranger); /* who belongs here has spoken already */
}

/* Waits for somebody to come or to speak. */
static void attend(struct door *door)
{
    struct pollfd polls[2 + STRANGERS];
    const int64_t left = left_ns(door->meeting), slice = left < SLICE_NS ? left : SLICE_NS;
    const struct timespec time = {slice / 1000000000, slice % 1000000000};

    for (int i = 0; i < 2; i++)
        polls[i] = (struct pollfd){door->meeting->listeners[i], POLLIN, 0};
    for (int i = 0; i < STRANGERS; i++)
        polls[2 + i] = (struct pollfd){door->strangers[i].socket, POLLIN, 0};
    if (ppoll(polls, 2 + STRANGERS, &time, NULL) <= 0)
        return;
    for (int i = 0; i < STRANGERS; i++)
        if (polls[2 + i].revents != 0 && door->strangers[i].socket >= 0)
            listen_to(door, &door->strangers[i]);
    for (int i = 0; i < 2; i++)
        if (polls[i].revents != 0)
            let_in(door, door->meeting->listeners[i]);
}

int32_t accept_all(struct meeting *meeting, int *sockets, struct llmrun_error *error)
{
    struct door door = {
        .meeting = meeting, .sockets = sockets, .missing = meeting->desc->ranks - 1 - meeting->desc->rank};
    int32_t code = LLMRUN_OK;

    for (int i = 0; i < STRANGERS; i++)
        door.strangers[i].socket = -1;
    while (door.missing > 0 && code == LLMRUN_OK) {
        attend(&door);
        if (door.missing == 0 || left_ns(meeting) > 0)
            continue;
        for (int32_t i = meeting->desc->rank + 1; i < meeting->desc->ranks && code == LLMRUN_OK; i++)
            if (sockets[i] < 0)
                code =
                    llmrun_fail(error, LLMRUN_ERROR_TIMEOUT, "rank %d on %s did not connect in time (%d are missing)",
                                i, meeting->hellos[i].host, door.missing);
    }
    for (int i = 0; i < STRANGERS; i++)
        dismiss(&door.strangers[i]);
    return code;
}
