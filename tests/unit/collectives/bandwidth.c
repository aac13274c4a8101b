/* `host_bandwidth RANKS [LEAST MOST]`: the time of an operation and its bandwidth by size, over the plugin host with
 * options from the environment (docs/collectives.md). The time is the median of samples; the bandwidth is of bytes that
 * a rank must send, so that operations can be compared with each other and with memory: 2 (n - 1) / n of the size for
 * all_reduce, (n - 1) / n for reduce_scatter, all_gather and all_to_all, whose sizes are those of all parts, and the
 * size for broadcast and for a send and its answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "processes.h"

#define SAMPLES 15

static int64_t least = 4096, most = 64 << 20;

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

struct buffers {
    char *from, *to;
};

enum measured { ALL_REDUCE, REDUCE_SCATTER, ALL_GATHER, ALL_TO_ALL, BROADCAST, PING_PONG, MEASURED };

static const char *const names[] = {"all_reduce", "reduce_scatter", "all_gather",
                                    "all_to_all", "broadcast",      "ping_pong"};

static struct llmrun_blocks side(const void *address, int64_t bytes)
{
    return (struct llmrun_blocks){(uint64_t)(uintptr_t)address, 1, bytes, bytes};
}

static int32_t ping_pong(struct rank *rank, const struct buffers *buffers, int64_t bytes)
{
    struct llmrun_transfer what = {.size = sizeof what,
                                   .peer = 1 - rank->rank,
                                   .send = side(buffers->from, bytes),
                                   .receive = side(buffers->to, bytes)};
    struct llmrun_request *request;
    int32_t code = LLMRUN_OK;

    for (int i = 0; i < 2 && code == LLMRUN_OK && rank->rank < 2; i++) {
        code = (i == rank->rank ? rank->table->send : rank->table->receive)(rank->communicator, &what, &request,
                                                                            &rank->error);
        if (code == LLMRUN_OK)
            code = rank->table->wait(request, -1, &rank->error);
    }
    return code;
}

static int32_t once(struct rank *rank, enum measured what, const struct buffers *buffers, int64_t bytes)
{
    const struct llmrun_collective_table *table = rank->table;
    const bool root = what == BROADCAST && rank->rank == 0;
    const int64_t part = bytes / rank->ranks;
    const struct llmrun_transfer transfer = {
        .size = sizeof transfer,
        .peer = what == BROADCAST ? 0 : -1,
        .send = side(buffers->from, what == BROADCAST ? bytes : part),
        .receive = side(root ? NULL : buffers->to, what == BROADCAST ? root ? 0 : bytes : part)};
    const struct llmrun_reduction reduction = {.size = sizeof reduction,
                                               .dtype = LLMRUN_F32,
                                               .operation = LLMRUN_REDUCE_SUM,
                                               .send = (uint64_t)(uintptr_t)buffers->from,
                                               .receive = (uint64_t)(uintptr_t)buffers->to,
                                               .count = (what == REDUCE_SCATTER ? part : bytes) / 4};
    struct llmrun_request *request;
    int32_t code;

    if (what == PING_PONG)
        return ping_pong(rank, buffers, bytes);
    if (what == ALL_REDUCE || what == REDUCE_SCATTER)
        code = (what == ALL_REDUCE ? table->all_reduce : table->reduce_scatter)(rank->communicator, &reduction,
                                                                                &request, &rank->error);
    else
        code = (what == ALL_GATHER   ? table->all_gather
                : what == ALL_TO_ALL ? table->all_to_all
                                     : table->broadcast)(rank->communicator, &transfer, &request, &rank->error);
    return code == LLMRUN_OK ? table->wait(request, -1, &rank->error) : code;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double bytes_sent(enum measured what, int32_t ranks, int64_t bytes)
{
    const double share = (double)bytes * (ranks - 1) / ranks;

    return what == ALL_REDUCE ? 2 * share : what == BROADCAST || what == PING_PONG ? (double)bytes : share;
}

static void measure(struct rank *rank, enum measured what, const struct buffers *buffers, int64_t bytes)
{
    const int64_t repeats = bytes < 65536 ? 200 : bytes < 1 << 20 ? 50 : 4;
    double times[SAMPLES];

    for (int i = -1; i < SAMPLES; i++) { /* the first is not counted */
        double start;

        CHECK(rank, rank->table->barrier(rank->communicator, -1, &rank->error) == LLMRUN_OK);
        start = now_s();
        for (int64_t k = 0; k < repeats; k++)
            CHECK(rank, once(rank, what, buffers, bytes) == LLMRUN_OK);
        if (i >= 0)
            times[i] = (now_s() - start) / (double)repeats;
    }
    qsort(times, SAMPLES, sizeof times[0], compare);
    if (rank->rank == 0)
        printf("%-14s %2d ranks %9lld bytes %10.1f us %8.3f GB/s\n", names[what], rank->ranks, (long long)bytes,
               times[SAMPLES / 2] * 1e6, bytes_sent(what, rank->ranks, bytes) / times[SAMPLES / 2] * 1e-9);
    fflush(stdout);
}

static void measure_all(struct rank *rank)
{
    struct buffers buffers = {aligned_alloc(4096, (size_t)most), aligned_alloc(4096, (size_t)most)};

    CHECK(rank, buffers.from != NULL && buffers.to != NULL);
    memset(buffers.from, 0, (size_t)most);
    memset(buffers.to, 0, (size_t)most);
    for (enum measured what = 0; what < MEASURED; what++)
        for (int64_t bytes = least; bytes <= most && rank->failed_line == 0; bytes *= 4)
            measure(rank, what, &buffers, bytes);
    free(buffers.from);
    free(buffers.to);
}

static int32_t ranks = 2;

static void bandwidth(void **state)
{
    (void)state;
    processes_run(&(struct run){.ranks = ranks, .body = measure_all, .victim = -1});
}

int main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bandwidth)};

    if (count > 1)
        ranks = atoi(arguments[1]);
    if (count > 3) {
        least = atoll(arguments[2]);
        most = atoll(arguments[3]);
    }
    if (ranks < 2 || ranks > RANKS_MOST || least < 64 || most < least) {
        fprintf(stderr, "usage: %s RANKS [LEAST MOST]: 2 to %d ranks, 64 or more bytes\n", arguments[0], RANKS_MOST);
        return 2;
    }
    return cmocka_run_group_tests_name("host bandwidth", tests, ranks_open, NULL);
}
