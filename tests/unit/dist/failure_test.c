/* What survivors are told when a rank fails, ends, stops or does something else. Ranks are processes. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "dist/recorder.h"
#include "job.h"

#define SECONDS INT64_C(1000000000)
#define WORLD   4

static struct job_rank ranks[WORLD];
static struct job_process processes[WORLD];

static void start(int64_t timeout_ns, int (*body)(struct job_rank *rank))
{
    job_prepare(ranks, WORLD, timeout_ns);
    job_fork(ranks, WORLD, processes, body);
}

static void hear_all(const char *line)
{
    for (int i = 0; i < WORLD; i++)
        job_hear(&processes[i], line);
}

/* Waits for all; the sentences of all but `without` contain each of the words, and are the same but where rank 0 is the
 * one that is lost: that each notices by itself. */
static void check_sentences(int without, const char *const *words)
{
    const char *first = NULL;

    for (int i = 0; i < WORLD; i++)
        job_wait(&processes[i]);
    for (int i = 0; i < WORLD; i++) {
        const char *said = strstr(processes[i].said, "told: ");

        if (i == without)
            continue;
        if (said == NULL)
            fail_msg("rank %d was told nothing: %s", i, processes[i].said);
        for (const char *const *word = words; *word != NULL; word++)
            if (strstr(said, *word) == NULL)
                fail_msg("rank %d was told '%s' without '%s'", i, said, *word);
        if (first != NULL && without != 0)
            assert_string_equal(said, first);
        first = said;
    }
}

static _Atomic int told;

static void tell(void *context, const struct error *error)
{
    char line[1100];

    (void)context;
    snprintf(line, sizeof line, "told: %s", error->message);
    job_say(line);
    told++;
}

/* A rank that works until it is told of a failure. */
static int work(struct job_rank *rank)
{
    struct error error;

    control_on_failure(rank->control, tell, NULL);
    control_note(rank->control, 5, "all_reduce of layer 3");
    if (control_barrier(rank->control, NULL, &error) != STATUS_OK)
        return 97;
    usleep(400000); /* heartbeats with the note */
    job_say("works");
    while (told == 0)
        usleep(1000);
    usleep(20000);
    if (told != 1) /* once */
        return 96;
    return control_failed(rank->control, &error);
}

static void a_killed_rank_is_told_at_once_with_host_and_note(void **state)
{
    static const char *const words[] = {"rank 2 on host ", "is gone: its connection was closed",
                                        "it was at step 5 in all_reduce of layer 3", NULL};
    int64_t start_ns;

    (void)state;
    start(SECONDS, work); /* a beat each 0.1 s */
    hear_all("works");
    start_ns = job_now();
    kill(processes[2].process, SIGKILL);
    for (int i = 0; i < WORLD; i++)
        if (i != 2)
            job_hear(&processes[i], "told: ");
    assert_true(job_now() - start_ns < SECONDS / 2);
    check_sentences(2, words);
    assert_int_equal(processes[2].code, 128 + SIGKILL);
    assert_int_equal(processes[0].code, STATUS_PEER);
    assert_int_equal(processes[3].code, STATUS_PEER);
}

static void a_killed_rank_0_is_told_at_once(void **state)
{
    static const char *const words[] = {"rank 0 on host ", "is gone: its connection was closed",
                                        "it was at step 5 in all_reduce of layer 3", NULL};
    int64_t start_ns;

    (void)state;
    start(SECONDS, work);
    hear_all("works");
    start_ns = job_now();
    kill(processes[0].process, SIGKILL);
    for (int i = 1; i < WORLD; i++)
        job_hear(&processes[i], "told: ");
    assert_true(job_now() - start_ns < SECONDS / 2);
    check_sentences(0, words);
}

/* Exchanges until it fails, and tells the root cause. */
static int exchange_on(struct job_rank *rank)
{
    struct error root = {0};
    char line[1100], mine[1000] = "", all[WORLD * 1000];
    int status = STATUS_OK;

    for (int i = 0; status == STATUS_OK; i++) {
        if (i == 3)
            job_say("works");
        control_note(rank->control, i, "an exchange");
        status = control_exchange(rank->control, NULL, mine, all, sizeof mine, &root);
    }
    snprintf(line, sizeof line, "told: %s", root.message);
    job_say(line);
    return status;
}

static void whenever_a_rank_is_killed_the_others_are_told_the_same(void **state)
{
    unsigned seed = 20261130;

    (void)state;
    for (int round = 0; round < 30; round++) {
        const int victim = 1 + (int)((unsigned)rand_r(&seed) % (WORLD - 1));
        const char *const words[] = {"rank ", " on host ", "is gone: its connection was closed", NULL};
        char who[32];

        start(10 * SECONDS, exchange_on);
        hear_all("works");
        usleep((useconds_t)((unsigned)rand_r(&seed) % 5000));
        kill(processes[victim].process, SIGKILL);
        check_sentences(victim, words);
        snprintf(who, sizeof who, "told: rank %d on host ", victim);
        assert_non_null(strstr(processes[0].said, who));
        assert_int_equal(processes[0].code, STATUS_PEER);
    }
}

static void check_stopped(int rank, const char *name)
{
    const char *const words[] = {name, "has not been heard for 1.", "(parallel.timeout is 1 s)",
                                 "it was at step 5 in all_reduce of layer 3", NULL};
    int64_t start_ns;

    start(SECONDS, work);
    hear_all("works");
    start_ns = job_now();
    kill(processes[rank].process, SIGSTOP);
    for (int i = 0; i < WORLD; i++)
        if (i != rank)
            job_hear(&processes[i], "told: ");
    assert_true(job_now() - start_ns > 8 * SECONDS / 10);
    assert_true(job_now() - start_ns < 2 * SECONDS);
    kill(processes[rank].process, SIGKILL);
    check_sentences(rank, words);
}

static void a_stopped_rank_is_told_after_the_timeout(void **state)
{
    (void)state;
    check_stopped(1, "rank 1 on host ");
}

static void a_stopped_rank_0_is_told_after_the_timeout(void **state)
{
    (void)state;
    check_stopped(0, "rank 0 on host ");
}

static void a_rank_that_goes_on_in_time_fails_nobody(void **state)
{
    (void)state;
    for (int rank = 0; rank < 2; rank++) {
        start(SECONDS, work);
        hear_all("works");
        kill(processes[rank].process, SIGSTOP);
        usleep(600000);
        kill(processes[rank].process, SIGCONT);
        usleep(800000);
        for (int i = 0; i < WORLD; i++)
            assert_null(strstr(processes[i].said, "told: "));
        kill(processes[3].process, SIGKILL);
        job_hear(&processes[0], "told: rank 3 on host ");
        for (int i = 0; i < WORLD; i++)
            job_wait(&processes[i]);
    }
}

/* Rank 1 fails by itself, which makes the collective of rank 2 fail; that one is told first. */
static int fail_in_a_row(struct job_rank *rank)
{
    const int32_t r = rank->environment.rank;
    struct error root = {0};
    char line[1100];
    int status;

    control_on_failure(rank->control, tell, NULL);
    if (r == 1) {
        usleep(50000);
        status = control_fail(rank->control, STATUS_STORAGE, "out/x: no space left", &root);
    } else if (r == 2) {
        status = control_fail(rank->control, STATUS_PEER, "all_reduce over dp failed: connection reset", &root);
    } else {
        while (control_failed(rank->control, &root) == STATUS_OK)
            usleep(1000);
        status = root.status;
    }
    snprintf(line, sizeof line, "root: %s", root.message);
    job_say(line);
    return status;
}

static void a_rank_that_fails_by_itself_is_the_root_cause_with_its_own_status(void **state)
{
    static const char *const words[] = {"rank 1 on host ", "failed: out/x: no space left", NULL};
    static const int codes[WORLD] = {STATUS_PEER, STATUS_STORAGE, STATUS_PEER, STATUS_PEER};

    (void)state;
    start(5 * SECONDS, fail_in_a_row);
    for (int i = 0; i < WORLD; i++)
        job_wait(&processes[i]);
    for (int i = 0; i < WORLD; i++) {
        assert_int_equal(processes[i].code, codes[i]);
        for (int k = 0; words[k] != NULL; k++)
            assert_non_null(strstr(processes[i].said, words[k]));
    }
}

/* Each rank posts 20 collectives; then all wait, and rank 0 says that its collective took too long. */
static int record(struct job_rank *rank, void (*last)(struct recorder *recorder, int32_t group, int32_t rank))
{
    static const int32_t all[WORLD] = {0, 1, 2, 3};
    struct recorder *recorder = rank->options.recorder;
    const int32_t group = recorder_group(recorder, "dp", all, WORLD);
    struct error root = {0};
    char line[1100];

    for (int i = 0; i < 20; i++)
        recorder_end(recorder, recorder_post(recorder, group, "all_reduce", 4096, 3), RECORD_DONE);
    last(recorder, group, rank->environment.rank);
    control_note(rank->control, 4, "a collective");
    if (control_barrier(rank->control, NULL, &root) != STATUS_OK)
        return 97;
    if (rank->environment.rank == 0)
        control_fail(rank->control, STATUS_PEER, "all_reduce over dp did not end within 1 s", &root);
    while (control_failed(rank->control, &root) == STATUS_OK)
        usleep(1000);
    snprintf(line, sizeof line, "told: %s", root.message);
    job_say(line);
    return root.status;
}

static void call_another(struct recorder *recorder, int32_t group, int32_t rank)
{
    recorder_post(recorder, group, rank == 2 ? "all_gather" : "all_reduce", rank == 2 ? 64 : 4096, 4);
}

static void skip_one(struct recorder *recorder, int32_t group, int32_t rank)
{
    if (rank != 3)
        recorder_post(recorder, group, "reduce_scatter", 512, 4);
}

static void post_the_same(struct recorder *recorder, int32_t group, int32_t rank)
{
    (void)rank;
    recorder_post(recorder, group, "all_reduce", 4096, 4);
}

static int record_another(struct job_rank *rank)
{
    return record(rank, call_another);
}

static int record_one_less(struct job_rank *rank)
{
    return record(rank, skip_one);
}

static int record_the_same(struct job_rank *rank)
{
    return record(rank, post_the_same);
}

static void start_recorded(int (*body)(struct job_rank *rank))
{
    struct error error;

    job_prepare(ranks, WORLD, 5 * SECONDS);
    for (int i = 0; i < WORLD; i++)
        assert_int_equal(recorder_create(&clock_system, &ranks[i].options.recorder, &error), STATUS_OK);
    job_fork(ranks, WORLD, processes, body);
    for (int i = 0; i < WORLD; i++)
        recorder_destroy(ranks[i].options.recorder);
}

static void a_rank_that_calls_another_collective_is_named_with_both(void **state)
{
    static const char *const words[] = {"collective 21 of dp differs: rank 2 called all_gather of 64 bytes (step 4) "
                                        "where ranks 0, 1, 3 called all_reduce of 4096 bytes (step 4)",
                                        "look at rank 2 on host ", NULL};

    (void)state;
    start_recorded(record_another);
    check_sentences(-1, words);
}

static void a_rank_that_skips_a_collective_is_named(void **state)
{
    static const char *const words[] = {
        "ranks 0 to 2 called collective 21 of dp (reduce_scatter of 512 bytes, step 4) and rank 3 did not",
        "look at rank 3 on host ", NULL};

    (void)state;
    start_recorded(record_one_less);
    check_sentences(-1, words);
}

static void where_all_did_the_same_the_first_failure_is_told(void **state)
{
    static const char *const words[] = {"rank 0 on host ", "failed: all_reduce over dp did not end within 1 s", NULL};

    (void)state;
    start_recorded(record_the_same);
    check_sentences(-1, words);
}

/* Rank 0 hangs in a collective because rank 3 is stopped: it is rank 3 that is told. */
static int wait_for_stopped(struct job_rank *rank)
{
    struct error root = {0};
    char line[1100];

    if (control_barrier(rank->control, NULL, &root) != STATUS_OK)
        return 97;
    job_say("works");
    usleep(300000);
    if (rank->environment.rank == 0)
        control_fail(rank->control, STATUS_PEER, "all_reduce over dp did not end", &root);
    while (control_failed(rank->control, &root) == STATUS_OK)
        usleep(1000);
    snprintf(line, sizeof line, "told: %s", root.message);
    job_say(line);
    return root.status;
}

static void a_rank_that_does_not_answer_is_the_root_cause(void **state)
{
    static const char *const words[] = {"rank 3 on host ", "does not answer: it is stopped or cut off", NULL};

    (void)state;
    start(20 * SECONDS, wait_for_stopped);
    hear_all("works");
    kill(processes[3].process, SIGSTOP);
    for (int i = 0; i < 3; i++)
        job_hear(&processes[i], "told: ");
    kill(processes[3].process, SIGKILL);
    check_sentences(3, words);
}

static int call_unlike(struct job_rank *rank)
{
    char all[64];
    struct error root = {0};
    char line[1100];

    if (rank->environment.rank == 1)
        control_barrier(rank->control, NULL, &root);
    else
        control_exchange(rank->control, NULL, "x", all, 1, &root);
    snprintf(line, sizeof line, "told: %s", root.message);
    job_say(line);
    return root.status;
}

static void ranks_that_call_unlike_things_are_told_so(void **state)
{
    static const char *const words[] = {"the ranks do not do the same: rank ", "calls a barrier", "calls an exchange",
                                        NULL};

    (void)state;
    start(5 * SECONDS, call_unlike);
    check_sentences(-1, words);
    assert_int_equal(processes[0].code, STATUS_PEER);
}

static int leave_early(struct job_rank *rank)
{
    struct error root = {0};
    char line[1100];

    if (rank->environment.rank == 3)
        return 0;
    control_barrier(rank->control, NULL, &root);
    snprintf(line, sizeof line, "told: %s", root.message);
    job_say(line);
    return root.status;
}

static void a_rank_that_has_ended_is_not_waited_for(void **state)
{
    static const char *const words[] = {"rank 3 has ended while others wait for it in a barrier", NULL};

    (void)state;
    start(20 * SECONDS, leave_early);
    check_sentences(3, words);
    assert_int_equal(processes[3].code, 0);
}

static int come_late(struct job_rank *rank)
{
    struct error root = {0};
    char line[1100];

    if (rank->environment.rank != 2)
        control_barrier(rank->control, NULL, &root);
    while (control_failed(rank->control, &root) == STATUS_OK)
        usleep(1000);
    snprintf(line, sizeof line, "told: %s", root.message);
    job_say(line);
    return root.status;
}

static void a_call_with_a_time_of_its_own_names_who_did_not_come(void **state)
{
    static const char *const words[] = {"a barrier of 4 ranks waited 1 s for rank 2", NULL};

    (void)state;
    job_prepare(ranks, WORLD, 20 * SECONDS);
    for (int i = 0; i < WORLD; i++)
        ranks[i].options.call_timeout_ns = SECONDS;
    job_fork(ranks, WORLD, processes, come_late);
    check_sentences(-1, words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_rank_is_told_at_once_with_host_and_note),
        cmocka_unit_test(a_killed_rank_0_is_told_at_once),
        cmocka_unit_test(whenever_a_rank_is_killed_the_others_are_told_the_same),
        cmocka_unit_test(a_stopped_rank_is_told_after_the_timeout),
        cmocka_unit_test(a_stopped_rank_0_is_told_after_the_timeout),
        cmocka_unit_test(a_rank_that_goes_on_in_time_fails_nobody),
        cmocka_unit_test(a_rank_that_fails_by_itself_is_the_root_cause_with_its_own_status),
        cmocka_unit_test(a_rank_that_calls_another_collective_is_named_with_both),
        cmocka_unit_test(a_rank_that_skips_a_collective_is_named),
        cmocka_unit_test(where_all_did_the_same_the_first_failure_is_told),
        cmocka_unit_test(a_rank_that_does_not_answer_is_the_root_cause),
        cmocka_unit_test(ranks_that_call_unlike_things_are_told_so),
        cmocka_unit_test(a_rank_that_has_ended_is_not_waited_for),
        cmocka_unit_test(a_call_with_a_time_of_its_own_names_who_did_not_come),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
