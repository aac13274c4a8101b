/* Strangers at the door of the control channel, and frames that are not what their sender sent. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "dist/connection.h"
#include "dist/handshake.h"
#include "dist/secret.h"
#include "dist/sockets.h"
#include "job.h"

#define SECONDS INT64_C(1000000000)

static struct job_rank ranks[JOB_MOST];
static _Atomic int warnings;

static void count_warning(void *context, enum log_level level, const char *line)
{
    (void)context;
    (void)line;
    if (level == LOG_WARNING)
        warnings++;
}

/* A pair of connections with the keys of one handshake. */
struct pair {
    int sockets[2];
    struct connection ends[2];
};

static void open_pair(struct pair *pair)
{
    const uint8_t to[SHA256_BYTES] = {1}, from[SHA256_BYTES] = {2};

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair->sockets), 0);
    connection_init(&pair->ends[0], pair->sockets[0], to, from);
    connection_init(&pair->ends[1], pair->sockets[1], from, to);
}

static void close_pair(struct pair *pair)
{
    connection_finish(&pair->ends[0]);
    connection_finish(&pair->ends[1]);
}

static void queue(struct connection *connection, const char *text)
{
    const struct frame_part part = {text, (int64_t)strlen(text)};

    assert_int_equal(connection_queue(connection, 7, &part, 1, NULL), STATUS_OK);
}

/* The bytes of a frame as they stand in the queue, which is emptied. */
static int64_t take_bytes(struct connection *connection, uint8_t bytes[512])
{
    const int64_t length = connection->queue.length;

    assert_in_range(length, 1, 512);
    memcpy(bytes, connection->queue.data, (size_t)length);
    connection->queue.length = 0;
    return length;
}

static void frames_arrive_as_they_were_sent(void **state)
{
    struct pair pair;
    struct frame frame;

    (void)state;
    open_pair(&pair);
    queue(&pair.ends[0], "one");
    queue(&pair.ends[0], "");
    assert_true(connection_write(&pair.ends[0]));
    assert_int_equal(connection_read(&pair.ends[1], &frame), CONNECTION_FRAME);
    assert_int_equal(frame.type, 7);
    assert_int_equal(frame.bytes, 3);
    assert_memory_equal(frame.data, "one", 3);
    free(frame.data);
    assert_int_equal(connection_read(&pair.ends[1], &frame), CONNECTION_FRAME);
    assert_int_equal(frame.bytes, 0);
    assert_int_equal(connection_read(&pair.ends[1], &frame), CONNECTION_NOTHING);
    close_pair(&pair);
}

static enum connection_answer answer_to(const uint8_t *bytes, int64_t length)
{
    enum connection_answer answer;
    struct frame frame = {0};
    struct pair pair;

    open_pair(&pair);
    assert_int_equal(write(pair.sockets[0], bytes, (size_t)length), length);
    answer = connection_read(&pair.ends[1], &frame);
    free(frame.data);
    close_pair(&pair);
    return answer;
}

static void any_bit_that_differs_is_noticed(void **state)
{
    uint8_t bytes[512];
    struct pair pair;
    int64_t length;

    (void)state;
    open_pair(&pair);
    queue(&pair.ends[0], "some words");
    length = take_bytes(&pair.ends[0], bytes);
    close_pair(&pair);
    assert_int_equal(length, 16 + 32 + 10 + 32);
    assert_int_equal(answer_to(bytes, length), CONNECTION_FRAME);
    for (int64_t bit = 0; bit < 8 * length; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(answer_to(bytes, length), CONNECTION_DAMAGED);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (int64_t cut = 0; cut < length; cut++)
        assert_int_equal(answer_to(bytes, cut), CONNECTION_NOTHING);
}

/* Both ends of one connection: a repeated frame, one that was left out, one that is sent back. */
static void a_frame_counts_once_in_its_place_and_direction(void **state)
{
    uint8_t first[512], second[512];
    int64_t first_bytes, second_bytes;
    struct frame frame;
    struct pair pair;

    (void)state;
    for (int trick = 0; trick < 3; trick++) {
        open_pair(&pair);
        queue(&pair.ends[0], "one");
        first_bytes = take_bytes(&pair.ends[0], first);
        queue(&pair.ends[0], "two");
        second_bytes = take_bytes(&pair.ends[0], second);
        if (trick == 0) {
            assert_int_equal(write(pair.sockets[0], first, (size_t)first_bytes), first_bytes);
            assert_int_equal(connection_read(&pair.ends[1], &frame), CONNECTION_FRAME);
            free(frame.data);
            assert_int_equal(write(pair.sockets[0], first, (size_t)first_bytes), first_bytes);
        } else if (trick == 1) {
            assert_int_equal(write(pair.sockets[0], second, (size_t)second_bytes), second_bytes);
        }
        if (trick < 2) {
            assert_int_equal(connection_read(&pair.ends[1], &frame), CONNECTION_DAMAGED);
        } else {
            assert_int_equal(write(pair.sockets[1], first, (size_t)first_bytes), first_bytes);
            assert_int_equal(connection_read(&pair.ends[0], &frame), CONNECTION_DAMAGED);
        }
        close_pair(&pair);
    }
}

/* What strangers do while ranks join. Each gets a connection of its own. */
static int32_t port;
static uint8_t recorded[HELLO_BYTES + SHA256_BYTES];

static int knock(void)
{
    struct error error;
    int socket;

    if (socket_connect("127.0.0.1", port, job_now() + SECONDS, &clock_system, &socket, &error) != STATUS_OK)
        return -1;
    return socket;
}

/* Sends what it can; whether the other side sent as much as `most` bytes at the end. */
static bool gets_answer(int socket, const void *bytes, size_t length, ssize_t most)
{
    char answer[512];
    ssize_t got, total = 0;

    if (send(socket, bytes, length, MSG_NOSIGNAL) < 0)
        return false;
    for (int wait = 0; wait < 50; wait++) {
        got = recv(socket, answer, sizeof answer, MSG_DONTWAIT);
        if (got == 0)
            break;
        total += got > 0 ? got : 0;
        usleep(2000);
    }
    return total > most;
}

static void *disturb(void *context)
{
    unsigned seed = 17;
    uint8_t random[4096], other_key[SHA256_BYTES] = {9};
    bool proved, answered = false;
    struct connection connection;

    (void)context;
    for (int round = 0; round < 20; round++) {
        int socket = knock();

        if (socket < 0)
            break; /* all ranks have come: the door is closed */
        for (size_t i = 0; i < sizeof random; i++)
            random[i] = (uint8_t)rand_r(&seed);
        answered |= gets_answer(socket, random, sizeof random, 0);
        close(socket);
        if ((socket = knock()) < 0)
            break;
        /* A hello and a proof of another connection: it gets a new nonce, to which that proof does not fit. */
        answered |= gets_answer(socket, recorded, sizeof recorded, NONCE_BYTES);
        close(socket);
        if ((socket = knock()) < 0)
            break;
        answered |= handshake_offer(socket, other_key, 1, 2, job_now() + SECONDS, &clock_system, &connection,
                                    &proved) == HANDSHAKE_GOOD;
        close(socket);
    }
    return answered ? "answered" : NULL;
}

/* Many that come and say nothing. */
static void *flood(void *context)
{
    int sockets[300];
    int count = 0;

    (void)context;
    while (count < 300 && (sockets[count] = knock()) >= 0)
        count++;
    usleep(300000);
    while (count > 0)
        close(sockets[--count]);
    return NULL;
}

static void join_late(struct job_rank *rank)
{
    char all[2];

    usleep(rank->environment.rank == 1 ? 600000 : 0);
    CHECK(rank, control_open(&rank->options, &rank->control, &rank->error) == STATUS_OK);
    CHECK(rank, control_exchange(rank->control, NULL, rank->environment.rank == 0 ? "a" : "b", all, 1, &rank->error) ==
                    STATUS_OK);
    CHECK(rank, all[0] == 'a' && all[1] == 'b');
    control_close(rank->control);
}

/* The hello and the proof of a rank that has joined another job with the same secret. */
static void record_handshake(void)
{
    uint8_t key[SHA256_BYTES];
    struct handshake server = {0};
    struct connection connection;
    int32_t rank, world;
    int ends[2];

    secret_key(JOB_SECRET, key);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    server.socket = ends[0];
    if (fork() == 0) {
        bool proved;

        handshake_offer(ends[1], key, 1, 2, job_now() + SECONDS, &clock_system, &connection, &proved);
        _exit(0);
    }
    while (handshake_step(&server, key, &connection, &rank, &world) == HANDSHAKE_WAITS)
        usleep(100);
    assert_int_equal(rank, 1);
    assert_int_equal(world, 2);
    memcpy(recorded, server.transcript, HELLO_BYTES);
    memcpy(recorded + HELLO_BYTES, server.proof, SHA256_BYTES);
    connection_finish(&connection);
    close(ends[1]);
}

static void check_strangers(void *(*stranger)(void *), int64_t most_warnings)
{
    pthread_t thread;
    void *answered;

    warnings = 0;
    log_set_sink(count_warning, NULL);
    job_prepare(ranks, 2, 10 * SECONDS);
    port = ranks[0].environment.port;
    assert_int_equal(pthread_create(&thread, NULL, stranger, NULL), 0);
    job_run(ranks, 2, false, join_late);
    pthread_join(thread, &answered);
    log_set_sink(NULL, NULL);
    assert_null(answered);
    assert_in_range(warnings, 1, most_warnings);
}

static void strangers_get_no_answer_and_change_nothing(void **state)
{
    (void)state;
    record_handshake();
    check_strangers(disturb, 1);
}

static void a_flood_of_connections_keeps_no_rank_out(void **state)
{
    (void)state;
    check_strangers(flood, 1);
}

static void knock_in_vain(struct job_rank *rank)
{
    CHECK(rank, knock() < 0);
    CHECK(rank, control_barrier(rank->control, NULL, &rank->error) == STATUS_OK);
}

static void nobody_can_connect_once_all_ranks_are_there(void **state)
{
    (void)state;
    job_prepare(ranks, 2, 10 * SECONDS);
    port = ranks[0].environment.port;
    job_run(ranks, 2, true, knock_in_vain);
}

/* A rank that knows the secret and sends nonsense in good frames ends the job with a sentence, nothing more. */
static void send_nonsense(struct job_rank *rank)
{
    uint8_t key[SHA256_BYTES], random[300];
    struct connection connection;
    struct frame frame;
    unsigned seed = 1;
    bool proved;
    int socket;

    if (rank->environment.rank == 0) {
        const int status = control_open(&rank->options, &rank->control, &rank->error);

        CHECK(rank, status == STATUS_PEER || control_barrier(rank->control, NULL, &rank->error) == STATUS_PEER);
        control_close(rank->control);
        return;
    }
    secret_key(JOB_SECRET, key);
    CHECK(rank, (socket = knock()) >= 0);
    CHECK(rank, handshake_offer(socket, key, 1, 2, job_now() + SECONDS, &clock_system, &connection, &proved) ==
                    HANDSHAKE_GOOD);
    for (uint32_t type = 0; type < 200; type++) {
        const struct frame_part part = {random, (int64_t)type + 1};

        for (size_t i = 0; i < sizeof random; i++)
            random[i] = (uint8_t)(rand_r(&seed) % (type % 3 == 0 ? 3 : 256));
        connection_queue(&connection, type % 13, &part, 1, NULL);
    }
    connection_write(&connection);
    usleep(200000);
    while (connection_read(&connection, &frame) == CONNECTION_FRAME)
        free(frame.data);
    connection_finish(&connection);
}

static void nonsense_of_a_rank_fails_the_job_alone(void **state)
{
    (void)state;
    job_prepare(ranks, 2, 10 * SECONDS);
    port = ranks[0].environment.port;
    job_run(ranks, 2, false, send_nonsense);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_arrive_as_they_were_sent),
        cmocka_unit_test(any_bit_that_differs_is_noticed),
        cmocka_unit_test(a_frame_counts_once_in_its_place_and_direction),
        cmocka_unit_test(strangers_get_no_answer_and_change_nothing),
        cmocka_unit_test(a_flood_of_connections_keeps_no_rank_out),
        cmocka_unit_test(nobody_can_connect_once_all_ranks_are_there),
        cmocka_unit_test(nonsense_of_a_rank_fails_the_job_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
