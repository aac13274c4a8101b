/* The record of a rank's last collectives, and what several of them say side by side. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "dist/rank_list.h"
#include "dist/recorder.h"
#include "dist/records.h"

#define RANKS 4

static int64_t now_ns;

static int64_t tell_time(const struct clock *clock)
{
    (void)clock;
    return now_ns;
}

static const struct clock frozen = {tell_time, NULL};
static struct recorder *recorders[RANKS];
static int32_t groups[RANKS];

static int open_recorders(void **state)
{
    static const int32_t all[RANKS] = {0, 1, 2, 3};
    struct error error;

    (void)state;
    now_ns = 0;
    for (int i = 0; i < RANKS; i++) {
        if (recorder_create(&frozen, &recorders[i], &error) != STATUS_OK)
            return 1;
        groups[i] = recorder_group(recorders[i], "dp", all, RANKS);
    }
    return 0;
}

static int close_recorders(void **state)
{
    (void)state;
    for (int i = 0; i < RANKS; i++)
        recorder_destroy(recorders[i]);
    return 0;
}

static void post(int rank, const char *op, int64_t bytes, enum record_state ends)
{
    const int64_t number = recorder_post(recorders[rank], groups[rank], op, bytes, 7);

    if (ends != RECORD_POSTED)
        recorder_end(recorders[rank], number, ends);
}

static void post_all(int times, const char *op, int64_t bytes, enum record_state ends)
{
    for (int i = 0; i < times; i++)
        for (int rank = 0; rank < RANKS; rank++)
            post(rank, op, bytes, ends);
}

/* The sentence that is told, "" where all fits together. */
static const char *compared(int32_t *culprit)
{
    static char sentence[RECORDS_SENTENCE];
    struct record_bytes bytes[RANKS];
    struct wire wires[RANKS];

    memset(wires, 0, sizeof wires);
    sentence[0] = '\0';
    for (int i = 0; i < RANKS; i++) {
        recorder_encode(recorders[i], &wires[i]);
        bytes[i] = (struct record_bytes){wires[i].data, wires[i].length};
    }
    if (records_compare(bytes, RANKS, sentence, culprit) != RECORDS_DIFFER)
        *culprit = -1;
    for (int i = 0; i < RANKS; i++)
        free(wires[i].data);
    return sentence;
}

static void ranks_that_did_the_same_fit_together(void **state)
{
    int32_t culprit;

    (void)state;
    post_all(300, "all_reduce", 64, RECORD_DONE);
    post_all(1, "all_gather", 8, RECORD_POSTED);
    assert_string_equal(compared(&culprit), "");
    assert_int_equal(culprit, -1);
}

static void another_size_is_told(void **state)
{
    int32_t culprit;

    (void)state;
    post_all(40, "all_reduce", 64, RECORD_DONE);
    for (int rank = 0; rank < RANKS; rank++)
        post(rank, "all_reduce", rank == 1 ? 32 : 64, RECORD_POSTED);
    assert_string_equal(
        compared(&culprit),
        "collective 41 of dp differs: rank 1 called all_reduce of 32 bytes (step 7) where ranks 0, 2, 3 "
        "called all_reduce of 64 bytes (step 7)");
    assert_int_equal(culprit, 1);
}

static void a_skipped_collective_shows_in_the_next_one(void **state)
{
    int32_t culprit;

    (void)state;
    post_all(5, "all_reduce", 64, RECORD_DONE);
    for (int rank = 0; rank < RANKS; rank++)
        if (rank != 3)
            post(rank, "reduce_scatter", 16, RECORD_POSTED);
    post(3, "all_gather", 128, RECORD_POSTED);
    assert_string_equal(compared(&culprit),
                        "collective 6 of dp differs: rank 3 called all_gather of 128 bytes (step 7) where ranks 0 to 2 "
                        "called reduce_scatter of 16 bytes (step 7)");
    assert_int_equal(culprit, 3);
}

static void ranks_that_have_not_called_it_are_told(void **state)
{
    int32_t culprit;

    (void)state;
    post_all(5, "all_reduce", 64, RECORD_DONE);
    post(0, "all_reduce", 64, RECORD_LATE);
    post(2, "all_reduce", 64, RECORD_POSTED);
    assert_string_equal(compared(&culprit), "ranks 0, 2 called collective 6 of dp (all_reduce of 64 bytes, step 7) and "
                                            "ranks 1, 3 did not");
    assert_int_equal(culprit, 1);
}

/* An error strikes while others are on their way: who is late is no culprit. */
static void an_error_makes_no_rank_that_is_behind_a_culprit(void **state)
{
    int32_t culprit;

    (void)state;
    post_all(5, "all_reduce", 64, RECORD_DONE);
    post(0, "all_reduce", 64, RECORD_FAILED);
    post(2, "all_reduce", 64, RECORD_POSTED);
    assert_string_equal(compared(&culprit), "");
}

/* Groups of two beside dp: {0, 1} and {2, 3}. */
static void post_in_pair(int rank, const char *op, enum record_state ends)
{
    static const int32_t pairs[2][2] = {{0, 1}, {2, 3}};
    const int32_t group = recorder_group(recorders[rank], "tp", pairs[rank / 2], 2);
    const int64_t number = recorder_post(recorders[rank], group, op, 8, 7);

    if (ends != RECORD_POSTED)
        recorder_end(recorders[rank], number, ends);
}

static void who_is_held_up_in_one_group_is_no_culprit_in_another(void **state)
{
    int32_t culprit;

    (void)state;
    post(2, "all_reduce", 64, RECORD_LATE);
    post(3, "all_reduce", 64, RECORD_POSTED);
    post_in_pair(0, "all_gather", RECORD_POSTED);
    assert_string_equal(compared(&culprit),
                        "ranks 2, 3 called collective 1 of dp (all_reduce of 64 bytes, step 7) and rank 1 did not");
    assert_int_equal(culprit, 1);
}

static void an_operation_that_all_called_and_none_ends_is_told(void **state)
{
    int32_t culprit;

    (void)state;
    post(2, "all_reduce", 64, RECORD_LATE);
    post(3, "all_reduce", 64, RECORD_POSTED);
    post_in_pair(0, "all_gather", RECORD_POSTED);
    post_in_pair(1, "all_gather", RECORD_POSTED);
    assert_string_equal(
        compared(&culprit),
        "collective 1 of tp (all_gather of 8 bytes, step 7) was called by all of its ranks and has ended on none");
}

/* Of rank 1, which says nothing any more. */
static const char *told_lost(void)
{
    static char sentence[RECORDS_SENTENCE];
    struct record_bytes bytes[RANKS] = {{NULL, 0}};
    struct wire wires[RANKS];
    bool told;

    memset(wires, 0, sizeof wires);
    sentence[0] = '\0';
    for (int i = 0; i < RANKS; i++) {
        recorder_encode(recorders[i], &wires[i]);
        if (i != 1)
            bytes[i] = (struct record_bytes){wires[i].data, wires[i].length};
    }
    told = records_tell_lost(bytes, RANKS, 1, sentence);
    assert_int_equal(told, sentence[0] != '\0');
    for (int i = 0; i < RANKS; i++)
        free(wires[i].data);
    return sentence;
}

static void what_others_wait_for_from_a_lost_rank_is_told(void **state)
{
    (void)state;
    assert_string_equal(told_lost(), "");
    post_all(5, "all_reduce", 64, RECORD_DONE);
    assert_string_equal(told_lost(), "");
    post_in_pair(2, "all_gather", RECORD_POSTED); /* without it */
    post(0, "reduce_scatter", 16, RECORD_POSTED);
    post(3, "reduce_scatter", 16, RECORD_FAILED);
    assert_string_equal(told_lost(),
                        "ranks 0, 3 called collective 6 of dp (reduce_scatter of 16 bytes, step 7) with it");
}

static void sends_and_receives_are_not_compared(void **state)
{
    int32_t culprit;

    (void)state;
    recorder_post_pair(recorders[0], groups[0], "send", 1, 64, 7);
    recorder_post_pair(recorders[1], groups[1], "receive", 0, 64, 7);
    post_all(1, "all_reduce", 64, RECORD_DONE);
    assert_string_equal(compared(&culprit), "");
}

static void groups_of_other_ranks_are_others(void **state)
{
    static const int32_t pairs[2][2] = {{0, 1}, {2, 3}};
    int32_t culprit;

    (void)state;
    for (int rank = 0; rank < RANKS; rank++) {
        const int32_t group = recorder_group(recorders[rank], "tp", pairs[rank / 2], 2);

        recorder_post(recorders[rank], group, rank < 2 ? "all_reduce" : "all_gather", 64, 1);
    }
    assert_string_equal(compared(&culprit), "");
}

static void what_came_damaged_is_passed_over(void **state)
{
    struct wire wire = {0};
    char sentence[RECORDS_SENTENCE];
    int32_t culprit;

    (void)state;
    post(0, "all_reduce", 64, RECORD_POSTED);
    recorder_encode(recorders[0], &wire);
    for (int64_t cut = 0; cut < wire.length; cut++) {
        uint8_t *part = malloc((size_t)cut + 1); /* of its own size, for the sanitizer */
        const struct record_bytes bytes[2] = {{wire.data, wire.length}, {part, cut}};

        assert_non_null(part);
        memcpy(part, wire.data, (size_t)cut);
        records_compare(bytes, 2, sentence, &culprit);
        for (int64_t at = 0; at < cut; at++) {
            part[at] ^= 0xff;
            records_compare(bytes, 2, sentence, &culprit);
            part[at] ^= 0xff;
        }
        free(part);
    }
    free(wire.data);
}

static void the_text_has_the_last_256_with_their_times(void **state)
{
    char path[] = "/tmp/llmrun-recorder-XXXXXX", file[64], *text;
    struct error error;
    int64_t bytes;

    (void)state;
    assert_non_null(mkdtemp(path));
    snprintf(file, sizeof file, "%s/logs/rank_3.collectives.txt", path);
    for (int i = 0; i < 300; i++) {
        int64_t number;

        now_ns += 500000000;
        number = recorder_post(recorders[3], groups[3], "all_reduce", 64, i / 100);
        now_ns += 500000000;
        recorder_end(recorders[3], number, RECORD_DONE);
    }
    recorder_post_pair(recorders[3], groups[3], "send", 2, 5, 4);
    now_ns += 2000000000;
    assert_int_equal(recorder_count(recorders[3]), 301);
    assert_int_equal(recorder_write(recorders[3], &file_system_real, file, &error), STATUS_OK);
    assert_int_equal(file_read_all(&file_system_real, file, 1 << 20, &text, &bytes, &error), STATUS_OK);
    assert_non_null(strstr(text, "the last 256 of 301 collective operations"));
    assert_null(strstr(text, "\n      45  dp "));
    assert_non_null(strstr(text, "\n      46  dp               46  all_reduce                64         0  done       "
                                 "45.500000    0.500000\n"));
    assert_non_null(strstr(text, "\n     301  dp           with 2  send                       5         4  posted    "
                                 "300.000000    2.000000\n"));
    free(text);
    unlink(file);
    snprintf(file, sizeof file, "%s/logs", path);
    assert_int_equal(rmdir(file) + rmdir(path), 0);
}

static void ranks_are_listed_in_runs(void **state)
{
    bool set[200] = {false};
    char text[RANK_LIST_BYTES];

    (void)state;
    rank_list_text(set, 8, text);
    assert_string_equal(text, "no rank");
    set[3] = true;
    rank_list_text(set, 8, text);
    assert_string_equal(text, "rank 3");
    set[0] = set[1] = set[5] = set[6] = set[7] = true;
    rank_list_text(set, 8, text);
    assert_string_equal(text, "ranks 0, 1, 3, 5 to 7");
    memset(set, 0, sizeof set);
    for (int i = 0; i < 200; i += 2)
        set[i] = true;
    rank_list_text(set, 200, text);
    assert_non_null(strstr(text, "ranks 0, 2, 4, "));
    assert_non_null(strstr(text, " and "));
    assert_string_equal(text + strlen(text) - 5, " more");
}

#define WITH_RECORDERS(test) cmocka_unit_test_setup_teardown(test, open_recorders, close_recorders)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RECORDERS(ranks_that_did_the_same_fit_together),
        WITH_RECORDERS(another_size_is_told),
        WITH_RECORDERS(a_skipped_collective_shows_in_the_next_one),
        WITH_RECORDERS(ranks_that_have_not_called_it_are_told),
        WITH_RECORDERS(an_error_makes_no_rank_that_is_behind_a_culprit),
        WITH_RECORDERS(who_is_held_up_in_one_group_is_no_culprit_in_another),
        WITH_RECORDERS(an_operation_that_all_called_and_none_ends_is_told),
        WITH_RECORDERS(what_others_wait_for_from_a_lost_rank_is_told),
        WITH_RECORDERS(sends_and_receives_are_not_compared),
        WITH_RECORDERS(groups_of_other_ranks_are_others),
        WITH_RECORDERS(what_came_damaged_is_passed_over),
        WITH_RECORDERS(the_text_has_the_last_256_with_their_times),
        cmocka_unit_test(ranks_are_listed_in_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
