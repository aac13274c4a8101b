#include "dist/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void connection_init(struct connection *connection, int socket, const uint8_t send_key[SHA256_BYTES],
                     const uint8_t receive_key[SHA256_BYTES])
{
    memset(connection, 0, sizeof *connection);
    connection->socket = socket;
    hmac_init(&connection->sends, send_key, SHA256_BYTES);
    hmac_init(&connection->receives, receive_key, SHA256_BYTES);
}

void connection_finish(struct connection *connection)
{
    if (connection->socket >= 0)
        close(connection->socket);
    connection->socket = -1;
    free(connection->frame.data);
    free(connection->queue.data);
    connection->frame = (struct frame){0};
    connection->queue = (struct wire){0};
    connection->queue_first = 0;
}

int connection_queue(struct connection *connection, uint32_t type, const struct frame_part *parts, int count,
                     struct error *error)
{
    uint8_t header[FRAME_HEADER_BYTES], tag[SHA256_BYTES];
    struct hmac head = connection->sends, whole = connection->sends;
    struct wire *queue = &connection->queue;
    const int64_t before = queue->length;
    int64_t bytes = 0;

    for (int i = 0; i < count; i++)
        bytes += parts[i].bytes;
    wire_store_u32(header, type);
    wire_store_u32(header + 4, (uint32_t)bytes);
    wire_store_u64(header + 8, connection->sent);
    hmac_add(&head, header, sizeof header);
    hmac_add(&whole, header, sizeof header);
    hmac_finish(&head, tag);
    wire_put(queue, header, sizeof header);
    wire_put(queue, tag, sizeof tag);
    for (int i = 0; i < count; i++) {
        hmac_add(&whole, parts[i].data, (size_t)parts[i].bytes);
        wire_put(queue, parts[i].data, parts[i].bytes);
    }
    if (bytes > 0) {
        hmac_finish(&whole, tag);
        wire_put(queue, tag, sizeof tag);
    }
    if (queue->failed) {
        queue->failed = false;
        queue->length = before;
        return error_set(error, STATUS_MEMORY, "no memory for a message of %lld bytes to another rank",
                         (long long)bytes);
    }
    connection->sent++;
    return STATUS_OK;
}

bool connection_has_queue(const struct connection *connection)
{
    return connection->queue_first < connection->queue.length;
}

bool connection_write(struct connection *connection)
{
    struct wire *queue = &connection->queue;

    while (connection_has_queue(connection)) {
        const ssize_t put = send(connection->socket, queue->data + connection->queue_first,
                                 (size_t)(queue->length - connection->queue_first), MSG_NOSIGNAL | MSG_DONTWAIT);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK;
        connection->queue_first += put;
    }
    queue->length = connection->queue_first = 0;
    return true;
}

/* Fills `data` up to `bytes`. CONNECTION_FRAME: it is full. */
static enum connection_answer fill(struct connection *connection, uint8_t *data, int64_t bytes)
{
    while (connection->filled < bytes) {
        const ssize_t got =
            recv(connection->socket, data + connection->filled, (size_t)(bytes - connection->filled), MSG_DONTWAIT);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return CONNECTION_NOTHING;
        if (got <= 0)
            return CONNECTION_CLOSED;
        connection->filled += got;
    }
    connection->filled = 0;
    return CONNECTION_FRAME;
}

static bool is_authentic(const struct connection *connection, const uint8_t *data, int64_t bytes, const uint8_t *tag)
{
    struct hmac hmac = connection->receives;
    uint8_t wanted[SHA256_BYTES];

    hmac_add(&hmac, connection->head, FRAME_HEADER_BYTES);
    hmac_add(&hmac, data, (size_t)bytes);
    hmac_finish(&hmac, wanted);
    return sha256_equal(wanted, tag);
}

/* Checks the header that has come and takes memory for what follows. */
static enum connection_answer open_frame(struct connection *connection)
{
    struct frame *frame = &connection->frame;

    if (!is_authentic(connection, NULL, 0, connection->head + FRAME_HEADER_BYTES) ||
        wire_load_u64(connection->head + 8) != connection->received)
        return CONNECTION_DAMAGED;
    frame->type = wire_load_u32(connection->head);
    frame->bytes = wire_load_u32(connection->head + 4);
    frame->data = NULL;
    if (frame->bytes > FRAME_BYTES_MOST)
        return CONNECTION_DAMAGED;
    if (frame->bytes > 0 && (frame->data = malloc((size_t)frame->bytes + SHA256_BYTES)) == NULL)
        return CONNECTION_NO_MEMORY;
    connection->in_data = frame->bytes > 0;
    return CONNECTION_FRAME;
}

enum connection_answer connection_read(struct connection *connection, struct frame *frame)
{
    enum connection_answer answer;

    if (!connection->in_data) {
        answer = fill(connection, connection->head, sizeof connection->head);
        if (answer == CONNECTION_FRAME)
            answer = open_frame(connection);
        if (answer != CONNECTION_FRAME)
            return answer;
    }
    if (connection->in_data) {
        const struct frame *in = &connection->frame;

        answer = fill(connection, in->data, in->bytes + SHA256_BYTES);
        if (answer != CONNECTION_FRAME)
            return answer;
        if (!is_authentic(connection, in->data, in->bytes, in->data + in->bytes))
            return CONNECTION_DAMAGED;
    }
    connection->in_data = false;
    connection->received++;
    *frame = connection->frame;
    connection->frame = (struct frame){0};
    return CONNECTION_FRAME;
}
