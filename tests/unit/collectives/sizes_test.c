/* Every operation of the plugin host at many sizes and forms, among 1 to 8 processes. What a byte is depends on who
 * sends it and on its place; sums are of small whole numbers, which every type has exactly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "every.h"
#include "processes.h"

#define TABLE(rank) (rank)->table

/* Around the limits of messages that go whole (16384) and of pieces and slices (65536, 524288). */
static const int64_t sizes[] = {0, 1, 3, 64, 4097, 16384, 16385, 65537, 600001};
#define SIZES ((int)(sizeof sizes / sizeof sizes[0]))

static uint8_t byte_of(int32_t from, int32_t to, int64_t place)
{
    return (uint8_t)((uint64_t)(place + 1) * 2654435761U >> 13 ^ (uint64_t)from * 37 ^ (uint64_t)to * 101);
}

static struct llmrun_blocks side(const void *address, int64_t blocks, int64_t bytes, int64_t pitch)
{
    return (struct llmrun_blocks){(uint64_t)(uintptr_t)address, blocks, bytes, pitch};
}

typedef int32_t operation(struct llmrun_communicator *communicator, const struct llmrun_transfer *transfer,
                          struct llmrun_request **request, struct llmrun_error *error);

static int32_t transfer(struct rank *rank, operation *post, struct llmrun_transfer what)
{
    struct llmrun_request *request = NULL;
    int32_t code;

    what.size = sizeof what;
    code = post(rank->communicator, &what, &request, &rank->error);
    return code == LLMRUN_OK ? TABLE(rank)->wait(request, -1, &rank->error) : code;
}

/* Bytes of a part: different for each rank where `unequal`, some of none. */
static int64_t part_bytes(int32_t rank, int64_t bytes, bool unequal)
{
    return unequal ? bytes * (rank % 3) : bytes;
}

/* `blocks` blocks of all parts, a gap of 5 bytes between them. */
struct parts {
    int64_t blocks, pitch;
    int64_t bytes[RANKS_MOST], before[RANKS_MOST];
    uint8_t *memory;
};

#define GAP 5

static void make_parts(struct parts *parts, int32_t ranks, int64_t bytes, bool unequal, int64_t blocks)
{
    int64_t all = 0;

    parts->blocks = blocks;
    for (int32_t i = 0; i < ranks; i++) {
        parts->bytes[i] = part_bytes(i, bytes, unequal);
        parts->before[i] = all;
        all += parts->bytes[i];
    }
    parts->pitch = all + GAP;
    parts->memory = malloc((size_t)(blocks * parts->pitch));
    memset(parts->memory, 0xee, (size_t)(blocks * parts->pitch));
}

static bool gaps_are_whole(const struct parts *parts)
{
    for (int64_t block = 0; block < parts->blocks; block++)
        for (int i = 1; i <= GAP; i++)
            if (parts->memory[(block + 1) * parts->pitch - i] != 0xee)
                return false;
    return true;
}

/* Does part `owner` have what `from` sends `to`? */
static bool part_is(const struct parts *parts, int32_t owner, int32_t from, int32_t to)
{
    for (int64_t block = 0; block < parts->blocks; block++)
        for (int64_t i = 0; i < parts->bytes[owner]; i++)
            if (parts->memory[block * parts->pitch + parts->before[owner] + i] !=
                byte_of(from, to, block * parts->bytes[owner] + i))
                return false;
    return true;
}

static void fill_string(uint8_t *to, int64_t bytes, int32_t from, int32_t receiver)
{
    for (int64_t i = 0; i < bytes; i++)
        to[i] = byte_of(from, receiver, i);
}

/* What is sent as one string is received in blocks. */
static void gather(struct rank *rank, int64_t bytes, bool unequal, int64_t blocks)
{
    struct parts parts;
    int64_t own;
    uint8_t *from;

    make_parts(&parts, rank->ranks, bytes, unequal, blocks);
    own = blocks * parts.bytes[rank->rank];
    from = malloc((size_t)own + 1);
    fill_string(from, own, rank->rank, 9);
    CHECK(rank, transfer(rank, TABLE(rank)->all_gather,
                         (struct llmrun_transfer){.peer = -1,
                                                  .send = side(from, 1, own, 0),
                                                  .receive = side(parts.memory, blocks, bytes, parts.pitch),
                                                  .receive_bytes = unequal ? parts.bytes : NULL}) == LLMRUN_OK);
    for (int32_t i = 0; i < rank->ranks; i++)
        CHECK(rank, part_is(&parts, i, i, 9));
    CHECK(rank, gaps_are_whole(&parts));
    free(from);
    free(parts.memory);
}

static void exchange(struct rank *rank, int64_t bytes, bool unequal, int64_t blocks)
{
    struct parts to;
    int64_t send_bytes[RANKS_MOST], before = 0;
    uint8_t *from;

    /* Rank a sends to b as many bytes as b's row says of a. */
    make_parts(&to, rank->ranks, bytes, unequal, blocks);
    from = malloc((size_t)(rank->ranks * blocks * part_bytes(rank->rank, bytes, unequal)) + 1);
    for (int32_t i = 0; i < rank->ranks; i++) {
        send_bytes[i] = blocks * part_bytes(rank->rank, bytes, unequal);
        fill_string(from + before, send_bytes[i], rank->rank, i);
        before += send_bytes[i];
    }
    CHECK(rank, transfer(rank, TABLE(rank)->all_to_all,
                         (struct llmrun_transfer){.peer = -1,
                                                  .send = side(from, 1, blocks * bytes, 0),
                                                  .send_bytes = unequal ? send_bytes : NULL,
                                                  .receive = side(to.memory, blocks, bytes, to.pitch),
                                                  .receive_bytes = unequal ? to.bytes : NULL}) == LLMRUN_OK);
    for (int32_t i = 0; i < rank->ranks; i++)
        CHECK(rank, part_is(&to, i, i, rank->rank));
    CHECK(rank, gaps_are_whole(&to));
    free(from);
    free(to.memory);
}

static void spread(struct rank *rank, int64_t bytes, int32_t root)
{
    uint8_t *memory = calloc(1, (size_t)bytes + 1);
    const bool own = rank->rank == root;

    if (own)
        fill_string(memory, bytes, root, 9);
    CHECK(rank,
          transfer(rank, TABLE(rank)->broadcast,
                   (struct llmrun_transfer){.peer = root,
                                            .send = side(own ? memory : NULL, 1, own ? bytes : 0, 0),
                                            .receive = side(own ? NULL : memory, 1, own ? 0 : bytes, 0)}) == LLMRUN_OK);
    for (int64_t i = 0; i < bytes; i++)
        CHECK(rank, memory[i] == byte_of(root, 9, i));
    CHECK(rank, memory[bytes] == 0);
    free(memory);
}

/* All send to all and receive from all, several messages each, posted as one group. */
static void cross(struct rank *rank, int64_t bytes)
{
    enum { MESSAGES = 3 };
    struct llmrun_request *requests[2 * MESSAGES * RANKS_MOST];
    uint8_t *from = malloc((size_t)bytes + 1), *to = calloc((size_t)(MESSAGES * rank->ranks), (size_t)bytes + 1);
    struct llmrun_transfer what = {.size = sizeof what};
    int count = 0;

    fill_string(from, bytes, rank->rank, 9);
    CHECK(rank, TABLE(rank)->group_begin(rank->communicator, &rank->error) == LLMRUN_OK);
    for (what.peer = 0; what.peer < rank->ranks; what.peer++)
        for (int i = 0; i < MESSAGES && what.peer != rank->rank; i++) {
            what.send = side(from, 1, bytes - bytes / (i + 2), 0);
            CHECK(rank, TABLE(rank)->send(rank->communicator, &what, &requests[count++], &rank->error) == LLMRUN_OK);
            what.receive = side(to + (what.peer * MESSAGES + i) * (bytes + 1), 1, bytes - bytes / (i + 2), 0);
            CHECK(rank, TABLE(rank)->receive(rank->communicator, &what, &requests[count++], &rank->error) == LLMRUN_OK);
        }
    CHECK(rank, TABLE(rank)->group_end(rank->communicator, &rank->error) == LLMRUN_OK);
    while (count > 0)
        CHECK(rank, TABLE(rank)->wait(requests[--count], -1, &rank->error) == LLMRUN_OK);
    for (int32_t peer = 0; peer < rank->ranks; peer++)
        for (int i = 0; i < MESSAGES && peer != rank->rank; i++)
            for (int64_t k = 0; k < bytes - bytes / (i + 2); k++)
                CHECK(rank, to[(peer * MESSAGES + i) * (bytes + 1) + k] == byte_of(peer, 9, k));
    free(from);
    free(to);
}

static void move_bytes(struct rank *rank)
{
    for (int s = 0; s < SIZES && rank->failed_line == 0; s++) {
        for (int form = 0; form < 4 && rank->failed_line == 0; form++) {
            gather(rank, sizes[s], form % 2 == 1, form < 2 ? 1 : 3);
            if (rank->failed_line == 0)
                exchange(rank, sizes[s], form % 2 == 1, form < 2 ? 1 : 3);
        }
        for (int32_t root = 0; root < rank->ranks && rank->failed_line == 0; root++)
            spread(rank, sizes[s], root);
        if (rank->failed_line == 0)
            cross(rank, sizes[s]);
    }
}

/* ---- reductions ---- */

static const uint32_t dtypes[] = {LLMRUN_F32, LLMRUN_BF16, LLMRUN_F16, LLMRUN_U32};

/* A whole number from 0 to 15 as an element: by the definition of each format, not by its encoder. */
static void put(uint32_t dtype, uint8_t *to, int64_t index, int number)
{
    static const uint16_t halves[] = {0x0000, 0x3c00, 0x4000, 0x4200, 0x4400, 0x4500, 0x4600, 0x4700,
                                      0x4800, 0x4880, 0x4900, 0x4980, 0x4a00, 0x4a80, 0x4b00, 0x4b80};
    const float value = (float)number;
    uint32_t word = (uint32_t)number;
    uint16_t half = halves[number];

    if (dtype != LLMRUN_U32)
        memcpy(&word, &value, sizeof word);
    if (dtype == LLMRUN_BF16)
        half = (uint16_t)(word >> 16); /* the other bits are zero */
    if (dtype == LLMRUN_F32 || dtype == LLMRUN_U32)
        memcpy(to + 4 * index, &word, sizeof word);
    else
        memcpy(to + 2 * index, &half, sizeof half);
}

static int term(int32_t rank, int64_t index)
{
    return (int)((index + rank) % 2); /* eight of them are at most 8 */
}

static int result(int32_t ranks, int64_t index, uint32_t reduction)
{
    int sum = 0, most = 0;

    for (int32_t i = 0; i < ranks; i++) {
        sum += term(i, index);
        most = term(i, index) > most ? term(i, index) : most;
    }
    return reduction == LLMRUN_REDUCE_SUM ? sum : most;
}

static int32_t reduce(struct rank *rank, struct llmrun_reduction what, bool scatter)
{
    struct llmrun_request *request = NULL;
    int32_t code;

    what.size = sizeof what;
    code = (scatter ? TABLE(rank)->reduce_scatter : TABLE(rank)->all_reduce)(rank->communicator, &what, &request,
                                                                             &rank->error);
    return code == LLMRUN_OK ? TABLE(rank)->wait(request, -1, &rank->error) : code;
}

/* Reduces `count` elements, in place or not, whole or scattered in unequal parts. */
static void reduce_one(struct rank *rank, uint32_t dtype, uint32_t reduction, int64_t count, bool scatter,
                       bool in_place)
{
    const int64_t width = dtype == LLMRUN_F32 || dtype == LLMRUN_U32 ? 4 : 2;
    int64_t counts[RANKS_MOST], first = 0, got = count, all = 0;
    uint8_t *from, *to, expected[4];

    for (int32_t i = 0; i < rank->ranks; i++) {
        counts[i] = part_bytes(i, count, true);
        first += i < rank->rank ? counts[i] : 0;
        all += counts[i];
    }
    all = scatter ? all : count;
    got = scatter ? counts[rank->rank] : count;
    first = scatter ? first : 0;
    from = malloc((size_t)(width * all) + 1);
    for (int64_t i = 0; i < all; i++)
        put(dtype, from, i, term(rank->rank, i));
    to = in_place ? from + width * first : malloc((size_t)(width * got) + 1);
    CHECK(rank, reduce(rank,
                       (struct llmrun_reduction){.dtype = dtype,
                                                 .operation = reduction,
                                                 .send = (uint64_t)(uintptr_t)from,
                                                 .receive = (uint64_t)(uintptr_t)to,
                                                 .count = count,
                                                 .counts = scatter ? counts : NULL},
                       scatter) == LLMRUN_OK);
    for (int64_t i = 0; i < got; i++) {
        put(dtype, expected, 0, result(rank->ranks, first + i, reduction));
        CHECK(rank, memcmp(to + width * i, expected, (size_t)width) == 0);
    }
    if (!in_place) { /* what was sent is as it was */
        for (int64_t i = 0; i < all; i++) {
            put(dtype, expected, 0, term(rank->rank, i));
            CHECK(rank, memcmp(from + width * i, expected, (size_t)width) == 0);
        }
        free(to);
    }
    free(from);
}

static void reduce_all(struct rank *rank)
{
    for (int s = 0; s < SIZES; s++)
        for (int form = 0; form < 32 && rank->failed_line == 0; form += sizes[s] < 20000 ? 1 : 5)
            reduce_one(rank, dtypes[form % 4], form % 8 < 4 ? LLMRUN_REDUCE_SUM : LLMRUN_REDUCE_MAX, sizes[s],
                       form % 16 < 8, form < 16);
}

static void run(int32_t ranks, void (*body)(struct rank *rank))
{
    processes_run(&(struct run){.ranks = ranks, .body = body, .victim = -1});
}

static const int32_t rank_counts[] = {1, 2, 3, 5, 8};

static void bytes_arrive_whatever_their_number_and_form(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rank_counts / sizeof rank_counts[0]; i += EVERY(2))
        run(rank_counts[i], move_bytes);
}

static void sums_are_right_whatever_their_number_and_form(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rank_counts / sizeof rank_counts[0]; i += EVERY(2))
        run(rank_counts[i], reduce_all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_arrive_whatever_their_number_and_form),
        cmocka_unit_test(sums_are_right_whatever_their_number_and_form),
    };

    return cmocka_run_group_tests_name("host sizes", tests, ranks_open, NULL);
}
