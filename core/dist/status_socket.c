#include "dist/status_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "dist/wire.h"

#define NAME      ".control"
#define ANSWER_MS 5000
#define TEXT_MOST (INT64_C(16) << 20)

/* The path of a socket has at most 107 bytes: a longer one goes through the open folder. */
static int make_address(const char *run_folder, struct sockaddr_un *address, int *folder)
{
    *folder = open(run_folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/" NAME, *folder);
    return *folder >= 0 ? 0 : errno;
}

int status_socket_listen(const char *run_folder, int *listener, struct error *error)
{
    struct sockaddr_un address;
    mode_t mask;
    int folder, problem = make_address(run_folder, &address, &folder);

    *listener = -1;
    if (problem == 0) {
        unlinkat(folder, NAME, 0);
        *listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        mask = umask(0177);
        if (*listener < 0 || bind(*listener, (struct sockaddr *)&address, sizeof address) != 0 ||
            listen(*listener, 8) != 0)
            problem = errno;
        umask(mask);
    }
    if (folder >= 0)
        close(folder);
    if (problem == 0)
        return STATUS_OK;
    if (*listener >= 0)
        close(*listener);
    *listener = -1;
    return error_set(error, STATUS_STORAGE, "%s/" NAME ": no socket for llmrun status: %s", run_folder,
                     strerror(problem));
}

void status_socket_answer(int listener, const char *text, int64_t bytes)
{
    int reader;

    while ((reader = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        struct ucred who = {.uid = (uid_t)-1};
        socklen_t size = sizeof who;

        if (getsockopt(reader, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 && (who.uid == geteuid() || who.uid == 0) &&
            send(reader, text, (size_t)bytes, MSG_NOSIGNAL) < 0)
            errno = 0; /* its loss */
        close(reader);
    }
}

void status_socket_remove(const char *run_folder)
{
    char path[PATH_MAX];

    if (file_join(path, sizeof path, run_folder, NAME))
        unlink(path);
}

static int read_answer(int job, struct wire *answer)
{
    struct pollfd wait = {.fd = job, .events = POLLIN};
    uint8_t data[4096];
    ssize_t got;

    do {
        if (poll(&wait, 1, ANSWER_MS) == 0)
            return ETIMEDOUT;
        got = recv(job, data, sizeof data, 0);
        if (got < 0 && errno != EINTR)
            return errno;
        if (got > 0)
            wire_put(answer, data, got);
    } while (got != 0 && answer->length < TEXT_MOST);
    wire_put(answer, "", 1);
    return answer->failed ? ENOMEM : 0;
}

int status_socket_ask(const char *run_folder, char **text, struct error *error)
{
    struct sockaddr_un address;
    struct wire answer = {0};
    int folder, job = -1, problem = make_address(run_folder, &address, &folder);

    *text = NULL;
    if (problem != 0)
        return error_set(error, STATUS_INPUT, "%s: %s", run_folder, file_problem_text(problem));
    job = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (job < 0 || connect(job, (struct sockaddr *)&address, sizeof address) != 0)
        problem = errno;
    close(folder);
    if (problem == 0)
        problem = read_answer(job, &answer);
    if (job >= 0)
        close(job);
    if (problem == 0) {
        *text = (char *)answer.data;
        return STATUS_OK;
    }
    free(answer.data);
    if (problem == ENOENT || problem == ECONNREFUSED)
        return error_set(
            error, STATUS_INPUT,
            "%s: no job of several ranks runs there on this machine (%s/.lock names the machine of rank 0)", run_folder,
            run_folder);
    return error_set(error, STATUS_INPUT, "%s: the job does not answer: %s", run_folder, strerror(problem));
}
