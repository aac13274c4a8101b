/* What comes over the control channel: a handshake of a stranger, requests for gathers and records of collectives of
 * ranks that know the secret, and addresses and node lists from the environment.
 *
 * Input: a byte for which of these, then the bytes. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dist/gathering.h"
#include "dist/handshake.h"
#include "dist/records.h"
#include "dist/rendezvous.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WORLD 3

/* Nobody proves a secret by chance. */
static void shake_hands(const uint8_t *data, size_t size)
{
    const uint8_t key[SHA256_BYTES] = {1};
    struct connection connection;
    struct handshake handshake = {0};
    enum handshake_answer answer;
    int32_t rank, world;
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) != 0)
        return;
    handshake.socket = ends[0];
    if (send(ends[1], data, size < 4096 ? size : 4096, MSG_NOSIGNAL) >= 0) {
        answer = handshake_step(&handshake, key, &connection, &rank, &world);
        if (answer == HANDSHAKE_GOOD)
            abort();
    }
    close(ends[0]);
    close(ends[1]);
}

/* Frames of ranks in turn, each with its length in a byte before it. */
static void gather(const uint8_t *data, size_t size)
{
    struct gathering gathering;
    struct gather *complete;

    if (gathering_init(&gathering, WORLD, NULL) != STATUS_OK)
        return;
    for (int32_t turn = 0; size > 0; turn++) {
        const size_t bytes = data[0] < size - 1 ? data[0] : size - 1;
        struct frame frame = {.bytes = (int64_t)bytes, .data = bytes > 0 ? malloc(bytes) : NULL};

        if (frame.data != NULL)
            memcpy(frame.data, data + 1, bytes);
        if (gathering_take(&gathering, turn % WORLD, &frame, turn, &complete, NULL) == STATUS_OK && complete != NULL)
            gathering_drop(&gathering, complete);
        data += bytes + 1;
        size -= bytes + 1;
    }
    gathering_leave(&gathering, 0, NULL);
    gathering_check_time(&gathering, 1000, 1, NULL);
    gathering_finish(&gathering);
}

static void compare(const uint8_t *data, size_t size)
{
    const struct record_bytes records[WORLD] = {
        {data, (int64_t)(size / 2)}, {data + size / 2, (int64_t)(size - size / 2)}, {data, (int64_t)size}};
    char sentence[RECORDS_SENTENCE];
    int32_t culprit;

    records_compare(records, WORLD, sentence, &culprit);
}

static void parse(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), host[RENDEZVOUS_HOST_BYTES];
    int32_t port;

    if (text == NULL)
        return;
    memcpy(text, data, size);
    text[size] = '\0';
    if (rendezvous_parse(text, "LLMRUN_RENDEZVOUS", host, &port, NULL) == STATUS_OK &&
        (port < 1 || port > 65535 || host[0] == '\0'))
        abort();
    if (node_list_first(text, host, NULL) == STATUS_OK && host[0] == '\0')
        abort();
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(const uint8_t *data, size_t size) = {shake_hands, gather, compare, parse};

    if (size > 0)
        readers[data[0] % 4](data + 1, size - 1);
    return 0;
}
