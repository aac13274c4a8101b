/* Meetings of ranks: all leave with the same status, whichever of them failed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "rank_threads.h"

static int fails_with[RANKS_MOST];
static int worked;

/* Each brings its number and a few letters; rank 0 joins the letters. */
static int join(void *context, const struct ranks_message *given, struct ranks_message *answer, struct error *error)
{
    const struct rank_thread *rank = context;
    char letters[RANKS_MOST * RANKS_MOST] = "";

    worked++;
    for (int32_t i = 0; i < rank->ranks.ranks; i++)
        strncat(letters, given[i].data, (size_t)given[i].bytes);
    if (fails_with[7] != STATUS_OK)
        return error_set(error, fails_with[7], "the work failed");
    return ranks_message_of(letters, (int64_t)strlen(letters), answer, error);
}

static int come(struct rank_thread *rank, struct error *error)
{
    static char letters[] = "abcdefgh";
    struct ranks_message mine = {letters, rank->ranks.rank + 1}, told;
    int status = fails_with[rank->ranks.rank];

    if (status != STATUS_OK)
        status = error_set(error, status, "it is %d", status);
    status = ranks_meet(&rank->ranks, status, &mine, join, rank, &told, error);
    if (status == STATUS_OK && (told.bytes != 6 || memcmp(told.data, "aababc", 6) != 0))
        status = error_set(error, STATUS_BUG, "told %lld bytes", (long long)told.bytes);
    if (status != STATUS_OK && told.data != NULL && fails_with[0] != STATUS_BUG)
        status = error_set(error, STATUS_BUG, "told something in failure");
    free(told.data);
    return status;
}

static void expect(int status, const char *sentence, int works)
{
    struct rank_threads group;

    rank_threads_init(&group, 3);
    worked = 0;
    rank_threads_run(&group, come);
    for (int32_t i = 0; i < 3; i++) {
        if (group.threads[i].status != status)
            fail_msg("rank %d: %d, %s", i, group.threads[i].status, group.threads[i].error.message);
        if (sentence != NULL)
            assert_string_equal(group.threads[i].error.message, sentence);
    }
    assert_int_equal(worked, works);
    rank_threads_finish(&group);
    memset(fails_with, 0, sizeof fails_with);
}

static void all_are_told_what_rank_0_made_of_what_they_brought(void **state)
{
    (void)state;
    expect(STATUS_OK, NULL, 1);
}

static void one_that_failed_fails_all_and_nothing_is_done(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        char sentence[] = "rank 0: it is 7";

        sentence[5] = (char)('0' + i);
        fails_with[i] = STATUS_STORAGE;
        expect(STATUS_STORAGE, sentence, 0);
    }
}

static void the_first_that_failed_by_itself_is_the_cause(void **state)
{
    (void)state;
    fails_with[0] = STATUS_PEER;
    fails_with[1] = STATUS_MEMORY;
    fails_with[2] = STATUS_STORAGE;
    expect(STATUS_MEMORY, "rank 1: it is 8", 0);
    fails_with[0] = fails_with[2] = STATUS_PEER;
    expect(STATUS_PEER, "rank 0: it is 5", 0);
}

static void work_that_fails_fails_all(void **state)
{
    (void)state;
    fails_with[7] = STATUS_DIVERGED;
    expect(6, "the work failed", 1);
}

static int agree(struct rank_thread *rank, struct error *error)
{
    int status = fails_with[rank->ranks.rank];

    return ranks_agree(&rank->ranks, status == STATUS_OK ? status : error_set(error, status, "no"), error);
}

/* A rank that is gone at any call: nobody waits, and nobody takes the meeting for a success but where it was one. */
static void a_rank_that_is_gone_leaves_nobody_waiting(void **state)
{
    (void)state;
    for (int32_t gone = 0; gone < 3; gone++)
        for (int call = 1; call <= 3; call++) {
            struct rank_threads group;

            rank_threads_init(&group, 3);
            group.threads[gone].gone_from = call;
            rank_threads_run(&group, agree);
            for (int32_t i = 0; i < 3; i++)
                assert_int_equal(group.threads[i].status, call == 3 ? STATUS_OK : STATUS_PEER);
            rank_threads_finish(&group);
        }
}

static void one_rank_alone_calls_nobody(void **state)
{
    struct rank_thread alone = {.ranks = {.ranks = 1}};
    char letter[] = "z";
    struct ranks_message mine = {letter, 1}, told;
    struct error error = {0};

    (void)state;
    assert_int_equal(ranks_meet(NULL, STATUS_OK, &mine, join, &alone, &told, &error), STATUS_OK);
    assert_int_equal(told.bytes, 1);
    assert_int_equal(told.data[0], 'z');
    free(told.data);
    assert_int_equal(ranks_agree(NULL, STATUS_STORAGE, &error), STATUS_STORAGE);
    fails_with[7] = STATUS_INPUT;
    assert_int_equal(ranks_meet(NULL, STATUS_OK, &mine, join, &alone, &told, &error), STATUS_INPUT);
    assert_null(told.data);
    fails_with[7] = STATUS_OK;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_are_told_what_rank_0_made_of_what_they_brought),
        cmocka_unit_test(one_that_failed_fails_all_and_nothing_is_done),
        cmocka_unit_test(the_first_that_failed_by_itself_is_the_cause),
        cmocka_unit_test(work_that_fails_fails_all),
        cmocka_unit_test(a_rank_that_is_gone_leaves_nobody_waiting),
        cmocka_unit_test(one_rank_alone_calls_nobody),
    };

    return cmocka_run_group_tests_name("checkpoint ranks", tests, NULL, NULL);
}
