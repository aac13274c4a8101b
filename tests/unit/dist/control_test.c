/* What ranks tell each other over the control channel while all is well, and what they differ in. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "job.h"

#define SECONDS INT64_C(1000000000)

static struct job_rank ranks[JOB_MOST];

static void run(int32_t world, void (*body)(struct job_rank *rank))
{
    job_prepare(ranks, world, 20 * SECONDS);
    job_run(ranks, world, true, body);
}

static void exchange(struct job_rank *rank)
{
    for (int round = 0; round < 20; round++) {
        uint32_t mine = (uint32_t)(1000 * round + rank->environment.rank), all[JOB_MOST] = {0};

        CHECK(rank, control_exchange(rank->control, NULL, &mine, all, sizeof mine, &rank->error) == STATUS_OK);
        for (int32_t i = 0; i < rank->environment.world; i++)
            CHECK(rank, all[i] == (uint32_t)(1000 * round + i));
    }
}

static void each_rank_gets_the_bytes_of_all_in_their_order(void **state)
{
    (void)state;
    for (int32_t world = 1; world <= 8; world += world < 3 ? 1 : 5) {
        if (world == 1) {
            memset(ranks, 0, sizeof ranks);
            ranks[0].environment = (struct rank_environment){.world = 1, .listener = -1};
            ranks[0].options =
                (struct control_options){.environment = &ranks[0].environment, .timeout_ns = 20 * SECONDS};
            job_run(ranks, 1, true, exchange);
        } else {
            run(world, exchange);
        }
    }
}

/* Groups {0, 1}, {2, 3} and {0, 2}, {1, 3}; rank 0 is in no group of 3. */
static void exchange_in_groups(struct job_rank *rank)
{
    const int32_t r = rank->environment.rank;
    const int32_t near[2] = {r / 2 * 2, r / 2 * 2 + 1}, far[2] = {r % 2, r % 2 + 2};
    const struct control_group groups[2] = {{near, 2, 0}, {far, 2, 0}};

    for (int round = 0; round < 50; round++)
        for (int g = 0; g < 2; g++) {
            int32_t mine[2] = {r, round}, all[4] = {-1, -1, -1, -1};

            CHECK(rank, control_exchange(rank->control, &groups[g], mine, all, sizeof mine, &rank->error) == STATUS_OK);
            CHECK(rank, all[0] == groups[g].ranks[0] && all[2] == groups[g].ranks[1]);
            CHECK(rank, all[1] == round && all[3] == round);
        }
}

static void a_group_hears_its_own_ranks_only(void **state)
{
    (void)state;
    run(4, exchange_in_groups);
}

static void use_callback(struct job_rank *rank)
{
    static const int32_t members[] = {1, 3};
    struct control_exchange_context context = {rank->control, {members, 2, 7}};
    struct llmrun_error error;
    char mine = (char)('a' + rank->environment.rank), all[2];

    if (rank->environment.rank % 2 == 0)
        return;
    CHECK(rank, control_exchange_callback(&context, &mine, all, 1, &error) == LLMRUN_OK);
    CHECK(rank, all[0] == 'b' && all[1] == 'd');
}

static void a_communicator_exchanges_among_its_group(void **state)
{
    (void)state;
    run(4, use_callback);
}

static void gather_texts(struct job_rank *rank)
{
    static const int64_t lengths[4] = {0, 3, 3000000, 1};
    const int32_t r = rank->environment.rank;
    char *mine = malloc(3000000), *all;
    int64_t sizes[4], at = 0;
    int status;

    CHECK(rank, mine != NULL);
    memset(mine, 'a' + r, 3000000);
    status = control_gather_texts(rank->control, NULL, mine, lengths[r], &all, sizes, &rank->error);
    free(mine);
    CHECK(rank, status == STATUS_OK);
    for (int32_t i = 0; i < 4; at += sizes[i++]) {
        CHECK(rank, sizes[i] == lengths[i]);
        CHECK(rank, sizes[i] == 0 || (all[at] == 'a' + i && all[at + sizes[i] - 1] == 'a' + i));
    }
    CHECK(rank, all[at] == '\0');
    free(all);
}

static void texts_of_different_lengths_up_to_megabytes_are_gathered(void **state)
{
    (void)state;
    run(4, gather_texts);
}

static void broadcast(struct job_rank *rank)
{
    char data[100];

    memset(data, 'a' + rank->environment.rank, sizeof data);
    CHECK(rank, control_broadcast(rank->control, NULL, data, sizeof data, &rank->error) == STATUS_OK);
    CHECK(rank, data[0] == 'a' && data[99] == 'a');
    CHECK(rank, control_barrier(rank->control, NULL, &rank->error) == STATUS_OK);
}

static void all_get_the_bytes_of_the_first_rank(void **state)
{
    (void)state;
    run(3, broadcast);
}

static _Atomic int arrived;

static void meet(struct job_rank *rank)
{
    for (int round = 1; round <= 10; round++) {
        usleep((useconds_t)(1000 * rank->environment.rank));
        arrived++;
        CHECK(rank, control_barrier(rank->control, NULL, &rank->error) == STATUS_OK);
        CHECK(rank, arrived >= 4 * round);
        CHECK(rank, control_barrier(rank->control, NULL, &rank->error) == STATUS_OK);
    }
}

static void nobody_leaves_a_barrier_before_all_have_come(void **state)
{
    (void)state;
    arrived = 0;
    run(4, meet);
}

static void agree(struct job_rank *rank)
{
    const struct control_item items[] = {{"model", 1, "gpt2"}, {"data", 99, ""}};

    CHECK(rank, control_agree(rank->control, items, 2, &rank->error) == STATUS_OK);
}

static void ranks_with_the_same_items_agree(void **state)
{
    (void)state;
    run(4, agree);
}

static void differ_in_value(struct job_rank *rank)
{
    const bool odd = rank->environment.rank == 2;
    const struct control_item items[] = {
        {"model", 1, "gpt2"}, {"train.lr", odd ? 7 : 6, odd ? "3e-4" : "6e-4"}, {"later", odd ? 1 : 0, ""}};

    CHECK(rank, control_agree(rank->control, items, 3, &rank->error) == STATUS_USAGE);
    CHECK(rank,
          strcmp(rank->error.message, "the ranks differ in train.lr: ranks 0, 1, 3 have 6e-4, rank 2 has 3e-4") == 0);
    /* That is no failure of the channel. */
    CHECK(rank, control_failed(rank->control, NULL) == STATUS_OK);
    CHECK(rank, control_barrier(rank->control, NULL, &rank->error) == STATUS_OK);
}

static void another_value_is_told_to_all_with_key_ranks_and_values(void **state)
{
    (void)state;
    run(4, differ_in_value);
}

static void differ_in_hash(struct job_rank *rank)
{
    const struct control_item item = {"weights", rank->environment.rank == 0 ? 0xabc : 0xdef, ""};

    CHECK(rank, control_agree(rank->control, &item, 1, &rank->error) == STATUS_USAGE);
    CHECK(rank,
          strcmp(rank->error.message, "the ranks differ in weights: rank 0 has 0000000000000abc (a hash), ranks 1, "
                                      "2 have 0000000000000def (a hash)") == 0);
}

static void values_without_a_text_are_told_as_hashes(void **state)
{
    (void)state;
    run(3, differ_in_hash);
}

static void lack_key(struct job_rank *rank)
{
    const struct control_item items[] = {{"a", 1, "x"}, {"b", 2, "y"}};
    const int32_t without = *(const int32_t *)rank->context;
    char wanted[128];

    CHECK(rank,
          control_agree(rank->control, items, rank->environment.rank == without ? 1 : 2, &rank->error) == STATUS_USAGE);
    if (without == 0)
        snprintf(wanted, sizeof wanted, "the ranks differ in b: rank 0 has it not, ranks 1, 2 have y");
    else
        snprintf(wanted, sizeof wanted, "the ranks differ in b: ranks 0, 2 have y, rank 1 has it not");
    CHECK(rank, strcmp(rank->error.message, wanted) == 0);
}

static void a_key_that_a_rank_does_not_have_is_told(void **state)
{
    (void)state;
    for (int32_t without = 0; without < 2; without++) {
        job_prepare(ranks, 3, 20 * SECONDS);
        for (int i = 0; i < 3; i++)
            ranks[i].context = &without;
        job_run(ranks, 3, true, lack_key);
    }
}

static void hosts(struct job_rank *rank)
{
    char host[256] = "";

    gethostname(host, sizeof host - 1);
    CHECK(rank, control_rank(rank->control) == rank->environment.rank && control_world(rank->control) == 2);
    CHECK(rank, strcmp(control_host(rank->control, 0), host) == 0);
    CHECK(rank, strcmp(control_host(rank->control, 1), host) == 0);
}

static void each_rank_knows_the_hosts_of_all(void **state)
{
    (void)state;
    run(2, hosts);
}

static void *exchange_aside(void *context)
{
    struct job_rank *rank = context;
    const struct control_group group = {NULL, 0, 1};

    for (int32_t i = 0; i < 200; i++) {
        int32_t all[3];

        if (control_exchange(rank->control, &group, &i, all, sizeof i, &rank->error) != STATUS_OK || all[0] != i ||
            all[1] != i || all[2] != i)
            return "wrong";
    }
    return NULL;
}

static void exchange_in_two_threads(struct job_rank *rank)
{
    void *wrong;
    pthread_t thread;

    CHECK(rank, pthread_create(&thread, NULL, exchange_aside, rank) == 0);
    exchange(rank);
    pthread_join(thread, &wrong);
    CHECK(rank, wrong == NULL);
}

static void threads_of_different_channels_do_not_meet(void **state)
{
    (void)state;
    run(3, exchange_in_two_threads);
}

static void nothing(struct job_rank *rank)
{
    (void)rank;
}

static void eight_ranks_open_and_close_in_well_under_a_second(void **state)
{
    const int64_t start = job_now();

    (void)state;
    run(8, nothing);
    assert_true(job_now() - start < SECONDS / 2);
}

static void fall_short(struct job_rank *rank)
{
    struct error error;

    if (rank->environment.rank == 2)
        return;
    CHECK(rank, control_open(&rank->options, &rank->control, &rank->error) == STATUS_PEER);
    snprintf(error.message, sizeof error.message, "3 of 4 ranks came within 0.3 s (parallel.timeout); missing: rank 2");
    CHECK(rank, strcmp(rank->error.message, error.message) == 0);
}

static void who_is_missing_at_the_deadline_is_told_to_all_that_came(void **state)
{
    (void)state;
    job_prepare(ranks, 4, 3 * SECONDS / 10);
    job_run(ranks, 4, false, fall_short);
}

static void find_nobody(struct job_rank *rank)
{
    if (rank->environment.rank == 0)
        return;
    CHECK(rank, control_open(&rank->options, &rank->control, &rank->error) == STATUS_PEER);
    CHECK(rank, strstr(rank->error.message, "rank 1 did not reach rank 0 at 127.0.0.1:") != NULL);
    CHECK(rank, strstr(rank->error.message, "(LLMRUN_RENDEZVOUS gives another place) within 0.2 s (parallel.timeout): "
                                            "Connection refused") != NULL);
}

static void a_rank_that_finds_no_rank_0_says_where_it_looked(void **state)
{
    (void)state;
    job_prepare(ranks, 2, SECONDS / 5);
    close(ranks[0].environment.listener);
    job_run(ranks, 2, false, find_nobody);
}

static void bring_another_secret(struct job_rank *rank)
{
    const bool wrong = rank->environment.rank == 1;

    CHECK(rank, control_open(&rank->options, &rank->control, &rank->error) == (wrong ? STATUS_USAGE : STATUS_PEER));
    CHECK(rank, strstr(rank->error.message, wrong ? "refuses the secret of rank 1; LLMRUN_SECRET must be the same"
                                                  : "1 of 2 ranks came within 1 s") != NULL);
    CHECK(rank, strstr(rank->error.message, "secret for tests") == NULL);
}

static void another_secret_is_refused(void **state)
{
    (void)state;
    job_prepare(ranks, 2, SECONDS);
    ranks[1].options.secret = "another secret for tests";
    job_run(ranks, 2, false, bring_another_secret);
}

static void come_twice(struct job_rank *rank)
{
    const int status = control_open(&rank->options, &rank->control, &rank->error);

    CHECK(rank, status == STATUS_USAGE || status == STATUS_PEER);
    if (rank->environment.rank == 1 && status == STATUS_USAGE)
        CHECK(rank, strstr(rank->error.message, "rank 1 of 3 has come twice") != NULL);
    else
        CHECK(rank, strstr(rank->error.message, "2 of 3 ranks came within 0.5 s (parallel.timeout); missing: rank 2") !=
                        NULL);
}

static void a_rank_that_comes_twice_is_refused(void **state)
{
    (void)state;
    job_prepare(ranks, 3, SECONDS / 2);
    ranks[2].environment.rank = 1;
    job_run(ranks, 3, false, come_twice);
    assert_true((ranks[1].error.status == STATUS_USAGE) + (ranks[2].error.status == STATUS_USAGE) == 1);
}

static void count_otherwise(struct job_rank *rank)
{
    const bool other = rank->environment.world == 3;

    CHECK(rank, control_open(&rank->options, &rank->control, &rank->error) == (other ? STATUS_USAGE : STATUS_PEER));
    CHECK(rank, !other || strcmp(rank->error.message, "rank 1 says that there are 3 ranks, rank 0 says 2") == 0);
}

static void a_rank_of_another_world_is_refused(void **state)
{
    (void)state;
    job_prepare(ranks, 2, SECONDS / 2);
    ranks[1].environment.world = 3;
    job_run(ranks, 2, false, count_otherwise);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rank_gets_the_bytes_of_all_in_their_order),
        cmocka_unit_test(a_group_hears_its_own_ranks_only),
        cmocka_unit_test(a_communicator_exchanges_among_its_group),
        cmocka_unit_test(texts_of_different_lengths_up_to_megabytes_are_gathered),
        cmocka_unit_test(all_get_the_bytes_of_the_first_rank),
        cmocka_unit_test(nobody_leaves_a_barrier_before_all_have_come),
        cmocka_unit_test(ranks_with_the_same_items_agree),
        cmocka_unit_test(another_value_is_told_to_all_with_key_ranks_and_values),
        cmocka_unit_test(values_without_a_text_are_told_as_hashes),
        cmocka_unit_test(a_key_that_a_rank_does_not_have_is_told),
        cmocka_unit_test(each_rank_knows_the_hosts_of_all),
        cmocka_unit_test(threads_of_different_channels_do_not_meet),
        cmocka_unit_test(eight_ranks_open_and_close_in_well_under_a_second),
        cmocka_unit_test(who_is_missing_at_the_deadline_is_told_to_all_that_came),
        cmocka_unit_test(a_rank_that_finds_no_rank_0_says_where_it_looked),
        cmocka_unit_test(another_secret_is_refused),
        cmocka_unit_test(a_rank_that_comes_twice_is_refused),
        cmocka_unit_test(a_rank_of_another_world_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
