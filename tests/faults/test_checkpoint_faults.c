/* Every call that a save makes is failed once, and from some call on: the older checkpoint stays whole, nothing partial
 * stays behind, and the next save works. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/find.h"
#include "checkpoint/folder.h"
#include "checkpoint/verify.h"
#include "failing_files.h"
#include "fixture.h"

static int64_t newest_step(const char *ckpt, char path[PATH_MAX])
{
    struct checkpoint_listing listing;
    const struct checkpoint_entry *newest;
    int64_t step = -1;

    assert_int_equal(checkpoint_list(&file_system_real, ckpt, &listing, NULL), STATUS_OK);
    newest = checkpoint_newest(&listing);
    if (newest != NULL) {
        step = newest->step;
        strcpy(path, fixture_path(ckpt, newest->name));
    }
    checkpoint_listing_finish(&listing);
    return step;
}

static int64_t partial_folders(const char *ckpt)
{
    struct checkpoint_listing listing;
    int64_t count = 0;

    assert_int_equal(checkpoint_list(&file_system_real, ckpt, &listing, NULL), STATUS_OK);
    for (int64_t i = 0; i < listing.count; i++)
        count += listing.entries[i].condition == CHECKPOINT_PARTIAL;
    checkpoint_listing_finish(&listing);
    return count;
}

/* One save of `step` with the fault; returns how many calls were failed. */
static int save_with_fault(const char *ckpt, int64_t step, enum call call, int first, int last, int problem)
{
    struct checkpoint_snapshot snapshot;
    struct failing_files files;
    struct error error = {0};
    char path[PATH_MAX];
    int64_t newest;
    int result;

    failing_files_init(&files);
    files.call = call;
    files.first = first;
    files.last = last;
    files.problem = problem;
    fixture_snapshot(&files.fs, ckpt, step, &snapshot);
    result = checkpoint_save(&snapshot, NULL, &error);
    assert_int_equal(files.open, 0);
    newest = newest_step(ckpt, path);
    assert_true(fixture_is_step(path, newest));
    if (result == STATUS_OK) {
        assert_int_equal(newest, step);
    } else {
        /* Only the sync that follows the rename can fail with the new checkpoint in place. */
        assert_true(newest == step - 1 || (newest == step && call == CALL_SYNC_FOLDER));
        assert_int_equal(result, STATUS_STORAGE);
        assert_non_null(strstr(error.message, strerror(problem)));
        assert_non_null(strstr(error.message, ckpt));
    }
    if (call != CALL_REMOVE)
        assert_int_equal(partial_folders(ckpt), 0);
    return files.failed;
}

/* The n-th call of a kind fails, for every n that a save reaches. */
static void sweep(const char *ckpt, enum call call, bool onwards)
{
    static const int problems[] = {ENOSPC, EIO, EDQUOT, EROFS, ESTALE};
    int64_t step = 3;
    int failed = 1;

    /* As many as are kept, so that the save removes one too. */
    fixture_save(ckpt, 1);
    fixture_save(ckpt, 2);
    for (int n = 1; failed > 0; n++) {
        assert_true(n < 500);
        failed = save_with_fault(ckpt, step, call, n, onwards ? INT_MAX : n, problems[n % 5]);
        fixture_save(ckpt, step + 1);
        assert_int_equal(partial_folders(ckpt), 0);
        step += 2;
    }
    assert_true(step > 5);
}

static const enum call writing_calls[] = {CALL_OPEN,        CALL_WRITE,       CALL_SYNC,   CALL_CLOSE,
                                          CALL_SYNC_FOLDER, CALL_MAKE_FOLDER, CALL_RENAME, CALL_REMOVE};

static void any_call_that_fails_once_leaves_the_old_or_the_new_checkpoint(void **state)
{
    struct fixture *fixture = *state;

    log_set_level(LOG_ERROR);
    for (size_t i = 0; i < sizeof writing_calls / sizeof writing_calls[0]; i++) {
        sweep(fixture->ckpt, writing_calls[i], false);
        assert_int_equal(fixture_teardown(state), 0);
        assert_int_equal(fixture_setup(state), 0);
        fixture = *state;
    }
    log_set_level(LOG_INFO);
}

static void a_call_that_fails_from_some_moment_on_leaves_the_old_or_the_new_checkpoint(void **state)
{
    struct fixture *fixture = *state;

    log_set_level(LOG_ERROR);
    for (size_t i = 0; i < sizeof writing_calls / sizeof writing_calls[0]; i++) {
        sweep(fixture->ckpt, writing_calls[i], true);
        assert_int_equal(fixture_teardown(state), 0);
        assert_int_equal(fixture_setup(state), 0);
        fixture = *state;
    }
    log_set_level(LOG_INFO);
}

static void short_writes_and_interrupts_are_carried_on(void **state)
{
    struct fixture *fixture = *state;
    struct checkpoint_snapshot snapshot;
    struct failing_files files;
    struct error error = {0};
    char path[PATH_MAX];

    failing_files_init(&files);
    files.short_write = 3;
    files.interrupt_every = 2;
    fixture_snapshot(&files.fs, fixture->ckpt, 1, &snapshot);
    if (checkpoint_save(&snapshot, NULL, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    assert_true(files.calls[CALL_WRITE] > 500);
    assert_int_equal(newest_step(fixture->ckpt, path), 1);
    assert_true(fixture_is_step(path, 1));
}

static int read_with(const struct file_system *fs, const char *folder, struct error *error)
{
    struct checkpoint checkpoint;
    unsigned char memory[512];
    int result = checkpoint_open(fs, folder, &checkpoint, error);

    for (int64_t i = 0; result == STATUS_OK && i < checkpoint.manifest.tensor_count; i++)
        result = checkpoint_read(&checkpoint, &checkpoint.manifest.tensors[i], memory,
                                 checkpoint.manifest.tensors[i].bytes, error);
    checkpoint_close(&checkpoint);
    return result;
}

static void any_call_of_a_read_that_fails_is_a_storage_error_that_names_the_file(void **state)
{
    static const enum call calls[] = {CALL_OPEN, CALL_READ, CALL_SIZE};
    struct fixture *fixture = *state;
    char folder[PATH_MAX];

    fixture_save(fixture->ckpt, 1);
    strcpy(folder, fixture_path(fixture->ckpt, "step_00000001"));
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        int failed = 1;

        for (int n = 1; failed > 0; n++) {
            struct failing_files files;
            struct error error = {0};
            int result;

            failing_files_init(&files);
            files.call = calls[i];
            files.first = files.last = n;
            files.problem = EIO;
            result = read_with(&files.fs, folder, &error);
            failed = files.failed;
            assert_int_equal(files.open, 0);
            assert_int_equal(result, failed > 0 ? STATUS_STORAGE : STATUS_OK);
            if (failed > 0)
                assert_non_null(strstr(error.message, folder));
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(any_call_that_fails_once_leaves_the_old_or_the_new_checkpoint),
        TEST(a_call_that_fails_from_some_moment_on_leaves_the_old_or_the_new_checkpoint),
        TEST(short_writes_and_interrupts_are_carried_on),
        TEST(any_call_of_a_read_that_fails_is_a_storage_error_that_names_the_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
