/* Three ranks save together, and every call that one of them makes is failed once, of the file system and of the
 * channel: all end with the same result, the older checkpoint stays whole, and the next save works. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "checkpoint/find.h"
#include "checkpoint/verify.h"
#include "failing_files.h"
#include "fixture.h"
#include "layouts.h"

#define RANKS 3

static const struct safetensors_form forms[] = {
    {"w", LLMRUN_F32, {2, {10, 6}}}, {"w.m", LLMRUN_F32, {2, {10, 6}}}, {"norm", LLMRUN_F32, {1, {6}}}};

static struct layout layout;
static struct failing_files files[RANKS];

static int setup(void **state)
{
    fixture_setup(state);
    layout_init(&layout, RANKS, forms, 3);
    layout_cut(&layout, 1, 0, 0, 1, RANKS);
    layout_fill(&layout, 1);
    log_set_level(LOG_ERROR);
    return 0;
}

static int teardown(void **state)
{
    log_set_level(LOG_INFO);
    layout_finish(&layout);
    return fixture_teardown(state);
}

/* Each rank has a file system of its own, which works. */
static void repair(void)
{
    for (int r = 0; r < RANKS; r++)
        failing_files_init(&files[r]);
}

static int save_one(struct rank_thread *rank, struct error *error)
{
    struct checkpoint_snapshot snapshot = *(const struct checkpoint_snapshot *)rank->task;

    snapshot.target.fs = &files[rank->ranks.rank].fs;
    return checkpoint_save(&snapshot, NULL, error);
}

/* The snapshots of layout.c, whose task it sets, with other file systems. */
static void save(struct rank_threads *group, const char *ckpt, int64_t step)
{
    for (int r = 0; r < RANKS; r++) {
        for (int64_t t = 0; t < layout.count; t++)
            layout.borrowed[r][t] = layout.data[r][t];
        layout.snapshots[r] = (struct checkpoint_snapshot){
            .target = {.fs = &files[r].fs, .folder = ckpt, .step = step, .run_id = "run-1"},
            .forms = forms,
            .data = layout.borrowed[r],
            .count = layout.count,
            .keep = 2,
            .ranks = &group->threads[r].ranks,
            .slices = layout.slices[r]};
        group->threads[r].task = &layout.snapshots[r];
    }
    rank_threads_run(group, save_one);
    for (int r = 0; r < RANKS; r++)
        assert_int_equal(files[r].open, 0);
}

/* The newest step, which is whole. */
static int64_t newest(const char *ckpt, int64_t *partial)
{
    struct checkpoint_listing listing;
    const struct checkpoint_entry *entry;
    struct error error = {0};
    int64_t step;

    assert_int_equal(checkpoint_list(&file_system_real, ckpt, &listing, NULL), STATUS_OK);
    entry = checkpoint_newest(&listing);
    assert_non_null(entry);
    step = entry->step;
    *partial = 0;
    for (int64_t i = 0; i < listing.count; i++)
        *partial += listing.entries[i].condition == CHECKPOINT_PARTIAL;
    if (checkpoint_verify(&file_system_real, fixture_path(ckpt, entry->name), NULL, NULL, NULL, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    checkpoint_listing_finish(&listing);
    return step;
}

static void save_well(const char *ckpt, int64_t step)
{
    struct rank_threads group;
    int64_t partial;

    repair();
    rank_threads_init(&group, RANKS);
    save(&group, ckpt, step);
    for (int r = 0; r < RANKS; r++)
        if (group.threads[r].status != STATUS_OK)
            fail_msg("rank %d: %s", r, group.threads[r].error.message);
    rank_threads_finish(&group);
    assert_int_equal(newest(ckpt, &partial), step);
    assert_int_equal(partial, 0);
}

/* How many calls were failed. */
static int save_with_fault(const char *ckpt, int64_t step, int rank, enum call call, int number)
{
    static const int problems[] = {ENOSPC, EIO, EDQUOT, EROFS, ESTALE};
    const int problem = problems[number % 5];
    struct rank_threads group;
    int64_t found, partial;

    repair();
    files[rank].call = call;
    files[rank].first = files[rank].last = number;
    files[rank].problem = problem;
    rank_threads_init(&group, RANKS);
    save(&group, ckpt, step);
    found = newest(ckpt, &partial);
    for (int r = 0; r < RANKS; r++) {
        assert_int_equal(group.threads[r].status, group.threads[0].status);
        if (group.threads[0].status == STATUS_OK)
            continue;
        assert_int_equal(group.threads[r].status, STATUS_STORAGE);
        assert_non_null(strstr(group.threads[r].error.message, strerror(problem)));
        if (rank > 0)
            assert_memory_equal(group.threads[r].error.message, rank == 1 ? "rank 1: " : "rank 2: ", 8);
    }
    if (group.threads[0].status == STATUS_OK)
        assert_int_equal(found, step);
    else /* only the sync that follows the rename can fail with the new checkpoint in place */
        assert_true(found == step - 1 || (found == step && rank == 0 && call == CALL_SYNC_FOLDER));
    if (call != CALL_REMOVE)
        assert_int_equal(partial, 0);
    rank_threads_finish(&group);
    return files[rank].failed;
}

static void any_call_of_any_rank_that_fails_fails_all_and_leaves_the_old_checkpoint(void **state)
{
    static const enum call calls[] = {CALL_OPEN,        CALL_WRITE,       CALL_SYNC,   CALL_CLOSE,
                                      CALL_SYNC_FOLDER, CALL_MAKE_FOLDER, CALL_RENAME, CALL_REMOVE};
    const struct fixture *fixture = *state;
    int64_t step = 3;
    int failures = 0;

    save_well(fixture->ckpt, 1);
    save_well(fixture->ckpt, 2);
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        for (int rank = 0; rank < RANKS; rank++) {
            int failed = 1;

            for (int n = 1; failed > 0; n++) {
                assert_true(n < 200);
                failed = save_with_fault(fixture->ckpt, step, rank, calls[i], n);
                failures += failed;
                save_well(fixture->ckpt, step + 1);
                step += 2;
            }
        }
    assert_true(failures > 60);
}

static void only_rank_0_makes_renames_and_removes_folders(void **state)
{
    static const enum call calls[] = {CALL_SYNC_FOLDER, CALL_MAKE_FOLDER, CALL_RENAME, CALL_REMOVE};
    const struct fixture *fixture = *state;

    for (int64_t step = 1; step <= 3; step++) /* the third is one more than is kept */
        save_well(fixture->ckpt, step);
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        assert_true(files[0].calls[calls[i]] > 0);
        assert_int_equal(files[1].calls[calls[i]], 0);
        assert_int_equal(files[2].calls[calls[i]], 0);
    }
    assert_true(files[1].calls[CALL_WRITE] > 0);
}

static void a_rank_that_is_gone_at_any_meeting_leaves_the_old_checkpoint_or_the_new_one(void **state)
{
    const struct fixture *fixture = *state;
    int64_t step = 2;

    save_well(fixture->ckpt, 1);
    for (int gone = 0; gone < RANKS; gone++)
        for (int call = 1; call <= 4; call++) {
            struct rank_threads group;
            int64_t found, partial;

            repair();
            rank_threads_init(&group, RANKS);
            group.threads[gone].gone_from = call;
            save(&group, fixture->ckpt, step);
            for (int r = 0; r < RANKS; r++)
                assert_int_equal(group.threads[r].status, STATUS_PEER);
            found = newest(fixture->ckpt, &partial);
            /* In the last call rank 0 tells that it has committed. */
            assert_int_equal(found, call == 4 ? step : step - 1);
            rank_threads_finish(&group);
            save_well(fixture->ckpt, step + 1);
            step += 2;
        }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(any_call_of_any_rank_that_fails_fails_all_and_leaves_the_old_checkpoint),
        TEST(only_rank_0_makes_renames_and_removes_folders),
        TEST(a_rank_that_is_gone_at_any_meeting_leaves_the_old_checkpoint_or_the_new_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
