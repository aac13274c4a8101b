#include "segment.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <llmrun/plugin.h>

#include "direct.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* Each pair has its own, so that many ranks get less. A ring holds more than one frame of the largest kind. */
static int64_t ring_bytes(int32_t ranks)
{
    return ranks <= 8 ? 262144 : ranks <= 64 ? 131072 : 65536;
}

static int64_t segment_bytes(const struct meeting *meeting)
{
    return (int64_t)sizeof(struct segment) + 2 * ring_bytes(meeting->desc->ranks);
}

static int32_t map(const struct meeting *meeting, struct link *link, int memory, int place, struct llmrun_error *error)
{
    const int64_t bytes = segment_bytes(meeting), ring = ring_bytes(meeting->desc->ranks);
    struct shared *shared = &link->shared;
    char *data = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);

    if (data == MAP_FAILED)
        return llmrun_fail(error, LLMRUN_ERROR_MEMORY, "shared memory of %lld bytes cannot be mapped: %s",
                           (long long)bytes, strerror(errno));
    shared->segment = (struct segment *)(void *)data;
    shared->bytes = bytes;
    shared->mine = &shared->segment->sides[place];
    shared->theirs = &shared->segment->sides[1 - place];
    data += sizeof(struct segment);
    ring_open(&shared->out, &shared->segment->rings[place], data + place * ring, (uint64_t)ring);
    ring_open(&shared->in, &shared->segment->rings[1 - place], data + (1 - place) * ring, (uint64_t)ring);
    shared->mine->probe_address = (uint64_t)(uintptr_t)meeting->probe;
    memcpy(shared->mine->probe, meeting->probe, sizeof meeting->probe);
    return LLMRUN_OK;
}

int32_t segment_create(const struct meeting *meeting, struct link *link, int *memory, struct llmrun_error *error)
{
    const int64_t bytes = segment_bytes(meeting);

    *memory = memfd_create("llmrun", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (*memory < 0 || ftruncate(*memory, bytes) != 0 || fallocate(*memory, 0, 0, bytes) != 0 ||
        fcntl(*memory, F_ADD_SEALS, SEALS) != 0)
        return llmrun_fail(error, LLMRUN_ERROR_MEMORY, "shared memory of %lld bytes cannot be made: %s",
                           (long long)bytes, strerror(errno));
    return map(meeting, link, *memory, 0, error);
}

int32_t segment_open(const struct meeting *meeting, struct link *link, int memory, struct llmrun_error *error)
{
    struct stat status;

    if (fstat(memory, &status) != 0 || status.st_size != segment_bytes(meeting) ||
        (fcntl(memory, F_GET_SEALS) & SEALS) != SEALS)
        return llmrun_fail(error, LLMRUN_ERROR_DEVICE, "rank %d gave memory that cannot be shared safely", link->peer);
    return map(meeting, link, memory, 1, error);
}

void segment_probe(const struct meeting *meeting, struct link *link)
{
    struct shared *shared = &link->shared;
    struct ucred other = {0};
    socklen_t bytes = sizeof other;

    if (getsockopt(link->socket, SOL_SOCKET, SO_PEERCRED, &other, &bytes) != 0 || other.pid == 0)
        return;
    link->pid = other.pid; /* as it is known here, whatever it calls itself */
    shared->same = other.pid == getpid();
    shared->direct =
        meeting->options->direct && direct_works(other.pid, shared->theirs->probe_address, shared->theirs->probe);
    shared->same &= shared->direct;
}

ssize_t segment_send(int socket, const void *data, size_t bytes, const int *descriptors, int count)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(2 * sizeof(int))];
    } control;
    struct iovec piece = {(void *)(uintptr_t)data, bytes};
    struct msghdr message = {.msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = CMSG_SPACE((size_t)count * sizeof(int))};
    struct cmsghdr *head = &control.head;

    memset(&control, 0, sizeof control);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
    memcpy(CMSG_DATA(head), descriptors, (size_t)count * sizeof(int));
    return sendmsg(socket, &message, MSG_NOSIGNAL);
}

ssize_t segment_receive(int socket, void *data, size_t bytes, int descriptors[2])
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(2 * sizeof(int))];
    } control;
    struct iovec piece = {data, bytes};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    const ssize_t got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);

    descriptors[0] = descriptors[1] = -1;
    for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); got > 0 && head != NULL; head = CMSG_NXTHDR(&message, head))
        if (head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS) {
            const size_t given = head->cmsg_len - CMSG_LEN(0);

            memcpy(descriptors, CMSG_DATA(head), given < 2 * sizeof(int) ? given : 2 * sizeof(int));
        }
    return got;
}
