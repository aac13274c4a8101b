/* What include/llmrun/collective.h says of operations, on a plugin whose ranks are threads (ranks.h). A letter is a
 * byte of an element; expected buffers are written by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "ranks.h"

#define MS INT64_C(1000000)

#define TABLE(rank) (rank)->table

static struct llmrun_blocks side(const void *address, int64_t blocks, int64_t bytes, int64_t pitch)
{
    return (struct llmrun_blocks){(uint64_t)(uintptr_t)address, blocks, bytes, pitch};
}

typedef int32_t operation(struct llmrun_communicator *communicator, const struct llmrun_transfer *transfer,
                          struct llmrun_request **request, struct llmrun_error *error);

/* Posts a transfer and waits for it. The description is gone by the time of the wait. */
static int32_t transfer(struct rank *rank, operation *post, struct llmrun_transfer what)
{
    struct llmrun_request *request = NULL;
    int32_t code;

    what.size = sizeof what;
    code = post(rank->communicator, &what, &request, &rank->error);
    memset(&what, 0xff, sizeof what);
    return code == LLMRUN_OK ? TABLE(rank)->wait(request, -1, &rank->error) : code;
}

/* A split of s in [b, s], s = 4 letters over two ranks, b = 2. */
static void gather_a_split_of_the_inner_dimension(struct rank *rank)
{
    const char *const own[] = {"abef", "cdgh"};
    char all[9] = "........";

    CHECK(rank, transfer(rank, TABLE(rank)->all_gather,
                         (struct llmrun_transfer){
                             .peer = -1, .send = side(own[rank->rank], 1, 4, 0), .receive = side(all, 2, 2, 4)}) == 0);
    CHECK(rank, strcmp(all, "abcdefgh") == 0);
}

/* In place, unequal, with a gap that stays. */
static void gather_unequal_parts_in_place(struct rank *rank)
{
    static const int64_t bytes[] = {1, 0, 3, 2}, before[] = {0, 1, 1, 4};
    const char *const start[] = {"a......A......", "..............", ".bcd....BCD...", "....ef.....EF."};
    char all[15];

    strcpy(all, start[rank->rank]);
    CHECK(rank, transfer(rank, TABLE(rank)->all_gather,
                         (struct llmrun_transfer){.peer = -1,
                                                  .send = side(all + before[rank->rank], 2, bytes[rank->rank], 7),
                                                  .receive = side(all, 2, 99, 7),
                                                  .receive_bytes = bytes}) == 0);
    CHECK(rank, strcmp(all, "abcdef.ABCDEF.") == 0);
}

/* From a split of the rows to a split of the columns of a matrix of 4 x 4. */
static void turn_a_split_of_rows_into_one_of_columns(struct rank *rank)
{
    const char *const rows[] = {"abcdefgh", "ijklmnop"}, *const columns[] = {"abefijmn", "cdghklop"};
    char got[9] = "........";

    CHECK(rank, transfer(rank, TABLE(rank)->all_to_all,
                         (struct llmrun_transfer){
                             .peer = -1, .send = side(rows[rank->rank], 2, 2, 4), .receive = side(got, 1, 4, 0)}) == 0);
    CHECK(rank, strcmp(got, columns[rank->rank]) == 0);
}

static void send_unequal_parts_to_all(struct rank *rank)
{
    static const int64_t send[4][4] = {{0, 1, 2, 0}, {1, 0, 0, 2}, {2, 2, 1, 0}, {0, 0, 3, 1}};
    static const int64_t receive[4][4] = {{0, 1, 2, 0}, {1, 0, 2, 0}, {2, 0, 1, 3}, {0, 2, 0, 1}};
    const char *const own[] = {"ABC", "DEF", "GHIJK", "LMNO"}, *const expected[] = {"DGH", "AIJ", "BCKLMN", "EFO"};
    char got[8] = "";

    CHECK(rank, transfer(rank, TABLE(rank)->all_to_all,
                         (struct llmrun_transfer){.peer = -1,
                                                  .send = side(own[rank->rank], 1, 0, 0),
                                                  .receive = side(got, 1, 0, 0),
                                                  .send_bytes = send[rank->rank],
                                                  .receive_bytes = receive[rank->rank]}) == 0);
    CHECK(rank, strcmp(got, expected[rank->rank]) == 0);
}

/* Two sends each way that cross, cut differently by their two sides, received in the order sent. */
static void cross(struct rank *rank)
{
    const char *const own[] = {"ab.cd.ef.", "gh.ij.kl."}, *const expected[] = {"ghi-jkl-gh", "abc-def-ab"};
    struct llmrun_request *requests[4];
    char got[11] = "----------";
    struct llmrun_transfer what = {.size = sizeof what, .peer = 1 - rank->rank};

    CHECK(rank, TABLE(rank)->group_begin(rank->communicator, &rank->error) == 0);
    what.send = side(own[rank->rank], 3, 2, 3);
    CHECK(rank, TABLE(rank)->send(rank->communicator, &what, &requests[0], &rank->error) == 0);
    what.send = side(own[rank->rank], 1, 2, 0);
    CHECK(rank, TABLE(rank)->send(rank->communicator, &what, &requests[1], &rank->error) == 0);
    what.receive = side(got, 2, 3, 4);
    CHECK(rank, TABLE(rank)->receive(rank->communicator, &what, &requests[2], &rank->error) == 0);
    what.receive = side(got + 8, 1, 2, 0);
    CHECK(rank, TABLE(rank)->receive(rank->communicator, &what, &requests[3], &rank->error) == 0);
    CHECK(rank, TABLE(rank)->group_end(rank->communicator, &rank->error) == 0);
    for (int i = 3; i >= 0; i--) /* in any order */
        CHECK(rank, TABLE(rank)->wait(requests[i], -1, &rank->error) == 0);
    CHECK(rank, strcmp(got, expected[rank->rank]) == 0);
}

/* Both are sent before either is received. */
static void send_to_whom_it_is_for(struct rank *rank)
{
    struct llmrun_transfer what = {.size = sizeof what};
    struct llmrun_request *requests[2];
    char got = '.';

    for (int i = 0; i < 2 && rank->rank == 0; i++) {
        what.peer = i + 1;
        what.send = side(&"ab"[i], 1, 1, 0);
        CHECK(rank, TABLE(rank)->send(rank->communicator, &what, &requests[i], &rank->error) == 0);
    }
    ranks_meet(rank);
    if (rank->rank == 1)
        ranks_meet(rank);
    if (rank->rank != 0)
        CHECK(rank, transfer(rank, TABLE(rank)->receive,
                             (struct llmrun_transfer){.peer = 0, .receive = side(&got, 1, 1, 0)}) == 0);
    if (rank->rank != 1)
        ranks_meet(rank);
    for (int i = 0; i < 2 && rank->rank == 0; i++)
        CHECK(rank, TABLE(rank)->wait(requests[i], -1, &rank->error) == 0);
    CHECK(rank, got == ".ab"[rank->rank]);
}

static void broadcast_from_the_middle(struct rank *rank)
{
    char got[5] = "....";

    CHECK(rank, transfer(rank, TABLE(rank)->broadcast,
                         (struct llmrun_transfer){
                             .peer = 1, .send = side("a.b", 2, 1, 2), .receive = side(got, 1, 2, 0)}) == 0);
    CHECK(rank, strcmp(got, rank->rank == 1 ? "...." : "ab..") == 0);
}

/* Rank 0 is two operations ahead. */
static void keep_the_order_of_operations_in_flight(struct rank *rank)
{
    const char *const own = rank->rank == 0 ? "abc" : "ABC";
    struct llmrun_request *requests[3];
    char got[3][3] = {"", "", ""};

    if (rank->rank == 1)
        ranks_meet(rank);
    for (int i = 0; i < 3; i++) {
        const struct llmrun_transfer what = {
            .size = sizeof what, .peer = -1, .send = side(own + i, 1, 1, 0), .receive = side(got[i], 1, 1, 0)};

        CHECK(rank, TABLE(rank)->all_gather(rank->communicator, &what, &requests[i], &rank->error) == 0);
        if (rank->rank == 0 && i == 1)
            ranks_meet(rank);
    }
    for (int i = 0; i < 3; i++)
        CHECK(rank, TABLE(rank)->wait(requests[i], -1, &rank->error) == 0);
    CHECK(rank, strcmp(got[0], "aA") == 0 && strcmp(got[1], "bB") == 0 && strcmp(got[2], "cC") == 0);
}

/* A description of an older host ends before the arrays. */
static void read_no_more_than_the_size(struct rank *rank)
{
    struct llmrun_transfer what = {.size = offsetof(struct llmrun_transfer, send_bytes), .peer = -1};
    struct llmrun_request *request;
    char got[3] = "..";

    what.send = side(rank->rank == 0 ? "a" : "b", 1, 1, 0);
    what.receive = side(got, 1, 1, 0);
    what.receive_bytes = (const int64_t *)16;
    CHECK(rank, TABLE(rank)->all_gather(rank->communicator, &what, &request, &rank->error) == 0);
    CHECK(rank, TABLE(rank)->wait(request, -1, &rank->error) == 0);
    CHECK(rank, strcmp(got, "ab") == 0);
}

static int32_t reduce(struct rank *rank, struct llmrun_reduction what, bool scatter)
{
    struct llmrun_request *request = NULL;
    int32_t code;

    what.size = sizeof what;
    code = (scatter ? TABLE(rank)->reduce_scatter : TABLE(rank)->all_reduce)(rank->communicator, &what, &request,
                                                                             &rank->error);
    memset(&what, 0xff, sizeof what);
    return code == LLMRUN_OK ? TABLE(rank)->wait(request, -1, &rank->error) : code;
}

#define ADDRESS(array) (uint64_t)(uintptr_t)(array)

static void add_each_type(struct rank *rank)
{
    static const float floats[4] = {1.5F, -0.25F, 1024, 8}, sums[1] = {1033.25F};
    /* f16: 2048 + 1 is a tie, to even; 65504 twice is infinite; two of the least. bf16: 256 + 1 is a tie. */
    static const uint16_t halves[2][3] = {{0x6800, 0x7bff, 0x0001}, {0x3c00, 0x7bff, 0x0001}};
    static const uint16_t half_sums[3] = {0x6800, 0x7c00, 0x0002};
    static const uint16_t bfloats[2][3] = {{0x4380, 0x3f80, 0xbf80}, {0x3f80, 0x4000, 0x3f80}};
    static const uint16_t bfloat_sums[3] = {0x4380, 0x4040, 0x0000};
    const uint32_t words[2] = {0xffffffff, (uint32_t)rank->rank};
    uint32_t word_sums[2];
    uint16_t got[3];
    float number = floats[rank->rank];

    CHECK(rank, reduce(rank,
                       (struct llmrun_reduction){.dtype = LLMRUN_F32,
                                                 .operation = LLMRUN_REDUCE_SUM,
                                                 .send = ADDRESS(&number),
                                                 .receive = ADDRESS(&number), /* in place */
                                                 .count = 1},
                       false) == 0);
    CHECK(rank, number == sums[0]);
    CHECK(rank, reduce(rank,
                       (struct llmrun_reduction){.dtype = LLMRUN_U32,
                                                 .operation = LLMRUN_REDUCE_SUM,
                                                 .send = ADDRESS(words),
                                                 .receive = ADDRESS(word_sums),
                                                 .count = 2},
                       false) == 0);
    CHECK(rank, word_sums[0] == 0xfffffffc && word_sums[1] == 6);
    for (int type = 0; type < 2; type++) { /* ranks 2 and 3 add +0 */
        static const uint16_t zeros[3] = {0};
        const uint16_t *own = rank->rank > 1 ? zeros : type == 0 ? halves[rank->rank] : bfloats[rank->rank];

        CHECK(rank, reduce(rank,
                           (struct llmrun_reduction){.dtype = type == 0 ? LLMRUN_F16 : LLMRUN_BF16,
                                                     .operation = LLMRUN_REDUCE_SUM,
                                                     .send = ADDRESS(own),
                                                     .receive = ADDRESS(got),
                                                     .count = 3},
                           false) == 0);
        CHECK(rank, memcmp(got, type == 0 ? half_sums : bfloat_sums, sizeof got) == 0);
    }
    CHECK(rank, reduce(rank, (struct llmrun_reduction){.dtype = LLMRUN_F64, .operation = LLMRUN_REDUCE_SUM}, false) ==
                    LLMRUN_ERROR_UNSUPPORTED);
    CHECK(rank, TABLE(rank)->status(rank->communicator, &rank->error) == 0); /* that has done nothing */
}

/* In place: each rank's part becomes the sum of all ranks' elements there, 10 + 20 + 30 + 40 times its number. */
static void scatter_unequal_sums(struct rank *rank)
{
    static const int64_t counts[] = {1, 0, 2, 1}, before[] = {0, 1, 1, 3};
    static const uint32_t sums[] = {100, 200, 300, 400};
    const uint32_t scale = 10 * (uint32_t)(rank->rank + 1);
    uint32_t words[4] = {scale, 2 * scale, 3 * scale, 4 * scale};

    CHECK(rank, reduce(rank,
                       (struct llmrun_reduction){.dtype = LLMRUN_U32,
                                                 .operation = LLMRUN_REDUCE_SUM,
                                                 .send = ADDRESS(words),
                                                 .receive = ADDRESS(words + before[rank->rank]),
                                                 .counts = counts},
                       true) == 0);
    CHECK(rank, memcmp(words + before[rank->rank], sums + before[rank->rank],
                       (size_t)counts[rank->rank] * sizeof words[0]) == 0);
}

static void scatter_equal_sums(struct rank *rank)
{
    const float own[2][4] = {{1, 2, 3, 4}, {0.5F, 0.25F, -3, 8}}, sums[2][2] = {{1.5F, 2.25F}, {0, 12}};
    float got[2];

    CHECK(rank, reduce(rank,
                       (struct llmrun_reduction){.dtype = LLMRUN_F32,
                                                 .operation = LLMRUN_REDUCE_SUM,
                                                 .send = ADDRESS(own[rank->rank]),
                                                 .receive = ADDRESS(got),
                                                 .count = 2},
                       true) == 0);
    CHECK(rank, memcmp(got, sums[rank->rank], sizeof got) == 0);
}

static int64_t now_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return now.tv_sec * 1000 * MS + now.tv_nsec;
}

static void wait_in_parts(struct rank *rank)
{
    struct llmrun_transfer what = {.size = sizeof what, .peer = 1 - rank->rank};
    struct llmrun_request *request;
    char got = '.';

    if (rank->rank == 1) {
        ranks_meet(rank);
        CHECK(rank,
              transfer(rank, TABLE(rank)->send, (struct llmrun_transfer){.peer = 0, .send = side("x", 1, 1, 0)}) == 0);
        return;
    }
    what.receive = side(&got, 1, 1, 0);
    CHECK(rank, TABLE(rank)->receive(rank->communicator, &what, &request, &rank->error) == 0);
    CHECK(rank, TABLE(rank)->wait(request, 0, &rank->error) == LLMRUN_ERROR_TIMEOUT);
    int64_t begin = now_ns(CLOCK_MONOTONIC), computed = now_ns(CLOCK_THREAD_CPUTIME_ID);
    CHECK(rank, TABLE(rank)->wait(request, 200 * MS, &rank->error) == LLMRUN_ERROR_TIMEOUT);
    CHECK(rank, now_ns(CLOCK_MONOTONIC) - begin >= 200 * MS);
    CHECK(rank, now_ns(CLOCK_THREAD_CPUTIME_ID) - computed < 100 * MS); /* it slept */
    CHECK(rank, TABLE(rank)->status(rank->communicator, &rank->error) == 0);
    ranks_meet(rank);
    CHECK(rank, TABLE(rank)->wait(request, -1, &rank->error) == 0);
    CHECK(rank, got == 'x');
}

/* Rank 0 waits for what nobody sends; rank 1 ends that wait, from its own thread. */
static void abort_a_wait(struct rank *rank)
{
    char never;
    struct llmrun_transfer what = {.size = sizeof what, .peer = 1, .receive = side(&never, 1, 1, 0)};
    struct llmrun_request *request;

    if (rank->rank == 0)
        CHECK(rank, TABLE(rank)->receive(rank->communicator, &what, &request, &rank->error) == 0);
    ranks_meet(rank);
    if (rank->rank == 1) {
        usleep(20000); /* likely within the wait */
        TABLE(rank)->abort(rank->all[0].communicator);
        TABLE(rank)->abort(rank->all[0].communicator);
    } else {
        CHECK(rank, TABLE(rank)->wait(request, -1, &rank->error) == LLMRUN_ERROR_ABORTED);
        CHECK(rank, strcmp(rank->error.message, "rank 0 aborted") == 0);
        CHECK(rank, TABLE(rank)->status(rank->communicator, &rank->error) == LLMRUN_ERROR_ABORTED);
        CHECK(rank, TABLE(rank)->barrier(rank->communicator, -1, &rank->error) == LLMRUN_ERROR_ABORTED);
        CHECK(rank, TABLE(rank)->receive(rank->communicator, &what, &request, &rank->error) == LLMRUN_ERROR_ABORTED);
    }
    ranks_meet(rank);
}

static void cancel_an_operation(struct rank *rank)
{
    char never;
    struct llmrun_transfer what = {.size = sizeof what, .peer = 1, .receive = side(&never, 1, 1, 0)};
    struct llmrun_request *request;

    if (rank->rank == 0) {
        CHECK(rank, TABLE(rank)->receive(rank->communicator, &what, &request, &rank->error) == 0);
        CHECK(rank, TABLE(rank)->cancel(request, &rank->error) == 0);
    }
    ranks_meet(rank);
    CHECK(rank, TABLE(rank)->status(rank->communicator, &rank->error) != LLMRUN_OK);
}

/* A plugin need not notice; loopback does, on both sides. */
static void disagree_about_sizes(struct rank *rank)
{
    char bytes[4] = "";
    const bool sends = rank->rank == 0;

    if (!ranks_are_of("loopback"))
        return;
    CHECK(rank, transfer(rank, sends ? TABLE(rank)->send : TABLE(rank)->receive,
                         (struct llmrun_transfer){.peer = 1 - rank->rank,
                                                  .send = side(bytes, 1, 3, 0),
                                                  .receive = side(bytes, 1, 4, 0)}) == LLMRUN_ERROR_ARGUMENT);
    CHECK(rank, TABLE(rank)->status(rank->communicator, &rank->error) == LLMRUN_ERROR_ARGUMENT);
    CHECK(rank, strcmp(rank->error.message, "a rank sends 3 bytes where another receives 4") == 0);
}

static void name_what_is_wrong(struct rank *rank)
{
    char bytes[4] = "";

    for (int32_t peer = -1; peer <= 2; peer++) /* none, self, another, beyond */
        if (peer != 1)
            CHECK(rank, transfer(rank, TABLE(rank)->send,
                                 (struct llmrun_transfer){.peer = rank->rank == 0 ? peer : rank->rank,
                                                          .send = side(bytes, 1, 1, 0)}) == LLMRUN_ERROR_ARGUMENT);
    CHECK(rank, transfer(rank, TABLE(rank)->send,
                         (struct llmrun_transfer){.peer = 1 - rank->rank, .send = side(bytes, 2, 2, 1)}) ==
                    LLMRUN_ERROR_ARGUMENT);
    CHECK(rank, TABLE(rank)->status(rank->communicator, &rank->error) == 0);
    ranks_meet(rank);
    CHECK(rank, TABLE(rank)->group_begin(rank->communicator, &rank->error) == 0);
    CHECK(rank, transfer(rank, TABLE(rank)->send, (struct llmrun_transfer){.peer = 7}) != LLMRUN_OK);
    CHECK(rank, TABLE(rank)->group_end(rank->communicator, &rank->error) == LLMRUN_ERROR_ARGUMENT);
}

static atomic_int arrived;

static void meet_at_a_barrier(struct rank *rank)
{
    usleep((useconds_t)rank->rank * 3000);
    atomic_fetch_add(&arrived, 1);
    CHECK(rank, TABLE(rank)->barrier(rank->communicator, -1, &rank->error) == 0);
    CHECK(rank, atomic_load(&arrived) == rank->ranks);
    if (rank->rank == 0)
        CHECK(rank, TABLE(rank)->barrier(rank->communicator, 10 * MS, &rank->error) == LLMRUN_ERROR_TIMEOUT);
}

/* Colors 0, 1, 0, none; by their keys rank 2 stands before rank 0. */
static void split_by_color_and_key(struct rank *rank)
{
    static const int32_t colors[] = {0, 1, 0, -1}, keys[] = {5, 0, 1, 0};
    const char *const expected[] = {"ca", "b", "ca", ""};
    const char own = (char)('a' + rank->rank);
    struct llmrun_communicator *part = (struct llmrun_communicator *)&arrived;
    char got[5] = "";

    CHECK(rank,
          TABLE(rank)->split(rank->communicator, colors[rank->rank], keys[rank->rank], -1, &part, &rank->error) == 0);
    CHECK(rank, (part == NULL) == (rank->rank == 3));
    TABLE(rank)->destroy(rank->communicator); /* parts live on */
    rank->communicator = part;
    if (part != NULL)
        CHECK(rank, transfer(rank, TABLE(rank)->all_gather,
                             (struct llmrun_transfer){
                                 .peer = -1, .send = side(&own, 1, 1, 0), .receive = side(got, 1, 1, 0)}) == 0);
    CHECK(rank, strcmp(got, expected[rank->rank]) == 0);
}

/* Operations of two communicators, waited for in different orders. */
static void wait_in_different_orders(struct rank *rank)
{
    const char own[2] = {(char)('a' + rank->rank), (char)('A' + rank->rank)};
    struct llmrun_communicator *both[2] = {rank->communicator, NULL};
    struct llmrun_request *requests[2];
    char got[2][3] = {"", ""};

    CHECK(rank, TABLE(rank)->split(rank->communicator, 0, rank->rank, -1, &both[1], &rank->error) == 0);
    for (int i = 0; i < 2; i++) {
        const struct llmrun_transfer what = {
            .size = sizeof what, .peer = -1, .send = side(&own[i], 1, 1, 0), .receive = side(got[i], 1, 1, 0)};

        CHECK(rank, TABLE(rank)->all_gather(both[i], &what, &requests[i], &rank->error) == 0);
    }
    for (int i = 0; i < 2; i++)
        CHECK(rank, TABLE(rank)->wait(requests[i ^ rank->rank], -1, &rank->error) == 0);
    TABLE(rank)->destroy(both[1]);
    CHECK(rank, strcmp(got[0], "ab") == 0 && strcmp(got[1], "AB") == 0);
}

static int32_t exchange_nothing(void *context, const void *mine, void *all, int64_t bytes, struct llmrun_error *error)
{
    ++*(int *)context;
    memset(all, 0, (size_t)bytes);
    (void)mine;
    snprintf(error->message, sizeof error->message, "rank 1 hung up");
    return LLMRUN_ERROR_ABORTED;
}

static void be_created_only_where_it_can(struct rank *rank)
{
    struct llmrun_communicator *none = NULL;
    int calls = 0;
    struct llmrun_communicator_desc desc = {
        .size = sizeof desc, .ranks = 2, .domain = "cuda", .exchange = exchange_nothing, .context = &calls};

    CHECK(rank, TABLE(rank)->create(&desc, &none, &rank->error) == LLMRUN_ERROR_UNSUPPORTED);
    desc.domain = "host";
    desc.rank = 2;
    CHECK(rank, TABLE(rank)->create(&desc, &none, &rank->error) == LLMRUN_ERROR_ARGUMENT);
    CHECK(rank, calls == 0);
    desc.rank = 0;
    CHECK(rank, TABLE(rank)->create(&desc, &none, &rank->error) == LLMRUN_ERROR_ABORTED);
    CHECK(rank, strcmp(rank->error.message, "rank 1 hung up") == 0);
    CHECK(rank, calls == 1 && none == NULL);
    TABLE(rank)->destroy(NULL);
}

#define ON(ranks, body)                                                                                                \
    static void body##_on_##ranks(void **state)                                                                        \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        ranks_run(ranks, body);                                                                                        \
    }

ON(2, gather_a_split_of_the_inner_dimension)
ON(4, gather_unequal_parts_in_place)
ON(2, turn_a_split_of_rows_into_one_of_columns)
ON(4, send_unequal_parts_to_all)
ON(2, cross)
ON(3, send_to_whom_it_is_for)
ON(3, broadcast_from_the_middle)
ON(2, keep_the_order_of_operations_in_flight)
ON(2, read_no_more_than_the_size)
ON(4, add_each_type)
ON(4, scatter_unequal_sums)
ON(2, scatter_equal_sums)
ON(2, wait_in_parts)
ON(2, abort_a_wait)
ON(2, cancel_an_operation)
ON(2, disagree_about_sizes)
ON(2, name_what_is_wrong)
ON(4, meet_at_a_barrier)
ON(4, split_by_color_and_key)
ON(2, wait_in_different_orders)
ON(1, be_created_only_where_it_can)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gather_a_split_of_the_inner_dimension_on_2),
        cmocka_unit_test(gather_unequal_parts_in_place_on_4),
        cmocka_unit_test(turn_a_split_of_rows_into_one_of_columns_on_2),
        cmocka_unit_test(send_unequal_parts_to_all_on_4),
        cmocka_unit_test(cross_on_2),
        cmocka_unit_test(send_to_whom_it_is_for_on_3),
        cmocka_unit_test(broadcast_from_the_middle_on_3),
        cmocka_unit_test(keep_the_order_of_operations_in_flight_on_2),
        cmocka_unit_test(read_no_more_than_the_size_on_2),
        cmocka_unit_test(add_each_type_on_4),
        cmocka_unit_test(scatter_unequal_sums_on_4),
        cmocka_unit_test(scatter_equal_sums_on_2),
        cmocka_unit_test(wait_in_parts_on_2),
        cmocka_unit_test(abort_a_wait_on_2),
        cmocka_unit_test(cancel_an_operation_on_2),
        cmocka_unit_test(disagree_about_sizes_on_2),
        cmocka_unit_test(name_what_is_wrong_on_2),
        cmocka_unit_test(meet_at_a_barrier_on_4),
        cmocka_unit_test(split_by_color_and_key_on_4),
        cmocka_unit_test(wait_in_different_orders_on_2),
        cmocka_unit_test(be_created_only_where_it_can_on_1),
    };

    alarm(120); /* a rank that waits for one that failed */
    return cmocka_run_group_tests_name("plugin loopback", tests, ranks_open, NULL);
}
