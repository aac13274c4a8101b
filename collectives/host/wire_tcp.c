/* Frames between machines, as one stream of bytes over TCP. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "link.h"

#define EAGER_BYTES    16384
#define FRAGMENT_BYTES (INT64_C(1) << 30)
#define PIECES         64

/* Reads into the input buffer behind what is there. Returns how many bytes, 0 where none has come. */
static int64_t fill(struct link *link)
{
    struct stream *stream = &link->stream;
    ssize_t bytes;

    if (!stream->readable)
        return 0;
    memmove(stream->input, stream->input + stream->begin, (size_t)(stream->end - stream->begin));
    stream->end -= stream->begin;
    stream->begin = 0;
    bytes = recv(link->socket, stream->input + stream->end, (size_t)(STREAM_BYTES - stream->end), MSG_DONTWAIT);
    if (bytes > 0) {
        stream->end += bytes;
        return bytes;
    }
    if (bytes == 0)
        return link_break(link, "its connection was closed");
    if (errno != EAGAIN && errno != EINTR)
        return link_break(link, "reading from its connection failed: %s", strerror(errno));
    stream->readable = errno == EINTR;
    return 0;
}

static int tcp_next(struct link *link, struct frame *frame)
{
    struct stream *stream = &link->stream;

    while (stream->end - stream->begin < (int64_t)sizeof *frame) {
        const int64_t got = fill(link);

        if (got <= 0)
            return (int)got;
    }
    memcpy(frame, stream->input + stream->begin, sizeof *frame);
    stream->begin += (int64_t)sizeof *frame;
    if (frame->bytes > FRAGMENT_BYTES)
        return link_break(link, "it sent a frame of %u bytes", frame->bytes);
    return 1;
}

static int64_t tcp_read(struct link *link, int64_t left, const char **data)
{
    struct stream *stream = &link->stream;
    int64_t bytes = stream->end - stream->begin;

    if (bytes < left && bytes < STREAM_BYTES / 2) {
        if (fill(link) < 0)
            return -1;
        bytes = stream->end - stream->begin;
    }
    bytes = bytes >= left ? left : bytes & ~INT64_C(3);
    *data = stream->input + stream->begin;
    stream->begin += bytes;
    return bytes;
}

static int64_t tcp_read_into(struct link *link, char *to, int64_t left)
{
    struct stream *stream = &link->stream;
    int64_t bytes = stream->end - stream->begin;
    ssize_t got;

    if (bytes > 0) {
        bytes = bytes < left ? bytes : left;
        memcpy(to, stream->input + stream->begin, (size_t)bytes);
        stream->begin += bytes;
        return bytes;
    }
    if (!stream->readable)
        return 0;
    got = recv(link->socket, to, (size_t)left, MSG_DONTWAIT);
    if (got > 0)
        return got;
    if (got == 0)
        return link_break(link, "its connection was closed");
    if (errno != EAGAIN && errno != EINTR)
        return link_break(link, "reading from its connection failed: %s", strerror(errno));
    stream->readable = errno == EINTR;
    return 0;
}

static void tcp_end(struct link *link)
{
    (void)link;
}

/* Sends pieces. Returns the bytes that went, 0 where there is no room. */
static int64_t send_pieces(struct link *link, struct iovec *pieces, int count)
{
    const struct msghdr message = {.msg_iov = pieces, .msg_iovlen = (size_t)count};
    const ssize_t bytes = sendmsg(link->socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (bytes >= 0)
        return bytes;
    if (errno != EAGAIN && errno != EINTR)
        return link_break(link, "writing to its connection failed: %s", strerror(errno));
    return 0;
}

/* The rest of a frame that was given up: of its head, then zeros. */
static int send_filler(struct link *link)
{
    static const char zeros[4096];
    struct stream *stream = &link->stream;

    while (stream->filler > 0) {
        const int64_t head = stream->filler - stream->frame.bytes;
        const int64_t most = head > 0 ? head : (int64_t)sizeof zeros;
        const char *from = head > 0 ? (const char *)(&stream->frame + 1) - head : zeros;
        struct iovec piece = {(void *)(uintptr_t)from, (size_t)(stream->filler < most ? stream->filler : most)};
        const int64_t sent = send_pieces(link, &piece, 1);

        if (sent <= 0)
            return (int)sent;
        stream->filler -= sent;
    }
    return 1;
}

static int tcp_push(struct link *link, const struct frame *frame, const struct span *payload)
{
    struct stream *stream = &link->stream;
    const int64_t head = (int64_t)sizeof *frame, all = head + frame->bytes;
    int filled = send_filler(link);

    if (filled <= 0)
        return filled;
    stream->frame = *frame;
    while (stream->sent < all) {
        struct iovec pieces[PIECES];
        int count = 0;
        int64_t bytes;

        if (stream->sent < head)
            pieces[count++] = (struct iovec){(char *)&stream->frame + stream->sent, (size_t)(head - stream->sent)};
        count += span_pieces(payload, stream->sent < head ? 0 : stream->sent - head, INT64_MAX, pieces + count,
                             PIECES - count, &bytes);
        bytes = send_pieces(link, pieces, count);
        if (bytes <= 0)
            return (int)bytes;
        stream->sent += bytes;
    }
    stream->sent = 0;
    return 1;
}

static void tcp_drop(struct link *link)
{
    struct stream *stream = &link->stream;

    if (stream->sent > 0)
        stream->filler = (int64_t)sizeof stream->frame + stream->frame.bytes - stream->sent;
    stream->sent = 0;
}

const struct wire wire_tcp = {
    .eager_bytes = EAGER_BYTES,
    .fragment_bytes = FRAGMENT_BYTES,
    .next = tcp_next,
    .read = tcp_read,
    .read_into = tcp_read_into,
    .end = tcp_end,
    .push = tcp_push,
    .drop = tcp_drop,
};
