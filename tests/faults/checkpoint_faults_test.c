/* Every call that a save makes is failed once, and from some call on: the older checkpoint stays whole, nothing partial
 * stays behind, and the next save works. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/find.h"
#include "checkpoint/folder.h"
#include "checkpoint/retain.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/stored_file.h"
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

/* Files whose calls of a kind fail from the first to the last of them. */
static void fail_calls(struct failing_files *files, enum call call, int first, int last, int problem)
{
    failing_files_init(files);
    files->call = call;
    files->first = first;
    files->last = last;
    files->problem = problem;
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

    fail_calls(&files, call, first, last, problem);
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

/* The step is there already; then the old one or the new one is whole, under its own name or the second one. */
static void replace_with_fault(const char *ckpt, enum call call, int first, int last, int *failed)
{
    static const int problems[] = {ENOSPC, EIO, EDQUOT, EROFS, ESTALE};
    const int problem = problems[first % 5];
    struct checkpoint_snapshot snapshot;
    struct failing_files files;
    struct error error = {0};
    char path[PATH_MAX];
    int result;

    fail_calls(&files, call, first, last, problem);
    fixture_snapshot(&files.fs, ckpt, 2, &snapshot);
    result = checkpoint_save(&snapshot, NULL, &error);
    *failed = files.failed;
    assert_int_equal(files.open, 0);
    assert_int_equal(newest_step(ckpt, path), 2);
    assert_true(fixture_is_step(path, 2));
    if (result == STATUS_OK)
        return;
    assert_int_equal(result, STATUS_STORAGE);
    assert_non_null(strstr(error.message, strerror(problem)));
    assert_non_null(strstr(error.message, ckpt));
}

static void any_call_that_fails_while_a_step_is_saved_again_leaves_one_of_them(void **state)
{
    const struct fixture *fixture = *state;

    log_set_level(LOG_ERROR);
    for (size_t i = 0; i < sizeof writing_calls / sizeof writing_calls[0]; i++)
        for (int onwards = 0; onwards < 2; onwards++) {
            int failed = 1, n = 1;

            fixture_save(fixture->ckpt, 1);
            for (; failed > 0; n++) {
                assert_true(n < 500);
                fixture_save(fixture->ckpt, 2);
                replace_with_fault(fixture->ckpt, writing_calls[i], n, onwards ? INT_MAX : n, &failed);
                /* What was set aside goes once its successor is there. */
                fixture_save(fixture->ckpt, 2);
                fixture_save(fixture->ckpt, 1);
                assert_int_equal(partial_folders(fixture->ckpt), 0);
                assert_false(folder_exists(fixture_path(fixture->ckpt, "step_00000002.replaced-run-1")));
            }
            assert_true(n > 2);
        }
    log_set_level(LOG_INFO);
}

/* Where a save that had not ended left a file under its name, which cannot be removed. */
static void a_rest_that_is_a_file_and_stays_is_told(void **state)
{
    const struct fixture *fixture = *state;
    struct failing_files files;
    struct error error = {0};
    char path[PATH_MAX];

    fixture_save(fixture->ckpt, 1);
    strcpy(path, fixture_path(fixture->ckpt, "step_00000002.partial-run-1"));
    fixture_write(path, "x", 1);
    failing_files_init(&files);
    files.call = CALL_REMOVE;
    files.first = 1;
    files.last = 1;
    files.problem = EROFS;
    assert_int_equal(checkpoint_sweep(&files.fs, fixture->ckpt, &error), STATUS_STORAGE);
    assert_memory_equal(error.message, path, strlen(path));
    assert_string_equal(error.message + strlen(path), ": could not remove: Read-only file system");
    assert_int_equal(partial_folders(fixture->ckpt), 1);
    assert_int_equal(checkpoint_sweep(&files.fs, fixture->ckpt, &error), STATUS_OK);
    assert_int_equal(partial_folders(fixture->ckpt), 0);
}

/* The first of two that cannot be removed is told, and the second is removed all the same. */
static void a_rest_that_stays_is_no_obstacle_to_the_others(void **state)
{
    const struct fixture *fixture = *state;
    struct failing_files files;
    struct error error = {0};

    fixture_save(fixture->ckpt, 1);
    for (int i = 2; i <= 4; i++) {
        char name[40];

        snprintf(name, sizeof name, "step_%08d.partial-run-1", i);
        fixture_write(fixture_path(fixture->ckpt, name), "x", 1);
    }
    failing_files_init(&files);
    files.call = CALL_REMOVE;
    files.first = 1;
    files.last = 2;
    files.problem = EROFS;
    assert_int_equal(checkpoint_sweep(&files.fs, fixture->ckpt, &error), STATUS_STORAGE);
    assert_non_null(strstr(error.message, "step_00000002.partial-run-1: could not remove"));
    assert_int_equal(partial_folders(fixture->ckpt), 2);
    assert_int_equal(files.calls[CALL_REMOVE], 3);
}

static void removal_of_old_checkpoints_ends_with_the_first_that_stays(void **state)
{
    const struct fixture *fixture = *state;
    struct checkpoint_snapshot snapshot;
    struct failing_files files;
    struct error error = {0};

    for (int64_t step = 1; step <= 4; step++) {
        fixture_snapshot(&file_system_real, fixture->ckpt, step, &snapshot);
        snapshot.keep = 0;
        assert_int_equal(checkpoint_save(&snapshot, NULL, NULL), STATUS_OK);
    }
    failing_files_init(&files);
    files.call = CALL_RENAME;
    files.first = files.last = 1;
    files.problem = EIO;
    assert_int_equal(checkpoint_retain(&files.fs, fixture->ckpt, 1, 0, 4, &error), STATUS_STORAGE);
    assert_non_null(strstr(error.message, "step_00000001: could not rename it to "));
    assert_int_equal(files.calls[CALL_RENAME], 1);
    assert_true(folder_exists(fixture_path(fixture->ckpt, "step_00000002")));
    assert_int_equal(checkpoint_retain(&files.fs, fixture->ckpt, 1, 0, 4, &error), STATUS_OK);
    assert_false(folder_exists(fixture_path(fixture->ckpt, "step_00000003")));
    assert_true(folder_exists(fixture_path(fixture->ckpt, "step_00000004")));
}

static void a_close_that_fails_is_told_and_one_that_was_interrupted_has_closed(void **state)
{
    const struct fixture *fixture = *state;

    for (int interrupted = 0; interrupted < 2; interrupted++) {
        struct failing_files files;
        struct stored_file file;
        struct error error = {0};
        uint64_t checksum;

        failing_files_init(&files);
        files.call = CALL_CLOSE;
        files.first = files.last = 1;
        files.problem = interrupted ? EINTR : EIO;
        assert_int_equal(stored_file_create(&file, &files.fs, fixture->folder, "a", &error), STATUS_OK);
        assert_int_equal(stored_file_write(&file, "abc", 3, &error), STATUS_OK);
        assert_int_equal(stored_file_finish(&file, &checksum, &error), interrupted ? STATUS_OK : STATUS_STORAGE);
        assert_int_equal(strstr(error.message, "/a: could not close: Input/output error") != NULL, !interrupted);
        assert_int_equal(files.calls[CALL_CLOSE], 1);
    }
}

/* So that a folder that goes in part is never taken for a whole checkpoint. */
static void the_manifest_is_the_first_file_to_be_removed(void **state)
{
    const struct fixture *fixture = *state;
    struct failing_files files;
    struct error error = {0};
    char folder[PATH_MAX];

    strcpy(folder, fixture_path(fixture->folder, "one"));
    assert_int_equal(file_make_folders(&file_system_real, folder, NULL), STATUS_OK);
    fixture_write(fixture_path(folder, "a"), "x", 1);
    fixture_write(fixture_path(folder, "manifest.json"), "x", 1);
    failing_files_init(&files);
    files.call = CALL_REMOVE;
    files.first = files.last = 2;
    files.problem = EIO;
    assert_int_equal(folder_remove(&files.fs, folder, "manifest.json", &error), STATUS_STORAGE);
    assert_non_null(strstr(error.message, "/one/a: could not remove: Input/output error"));
    assert_int_not_equal(access(fixture_path(folder, "manifest.json"), F_OK), 0);
    assert_int_equal(access(fixture_path(folder, "a"), F_OK), 0);
    assert_int_equal(folder_remove(&files.fs, folder, "manifest.json", NULL), STATUS_OK);
    assert_false(folder_exists(folder));
    assert_int_equal(file_make_folders(&file_system_real, folder, NULL), STATUS_OK);
    files.first = files.last = files.calls[CALL_REMOVE] + 1;
    assert_int_equal(folder_remove(&files.fs, folder, NULL, &error), STATUS_STORAGE);
    assert_non_null(strstr(error.message, "/one: could not remove: Input/output error"));
}

struct dirent *__real_readdir(DIR *folder);
struct dirent *__wrap_readdir(DIR *folder);

static int names_left = -1; /* how many can be read before the folder fails; -1: all */

struct dirent *__wrap_readdir(DIR *folder)
{
    if (names_left == 0) {
        errno = EIO;
        return NULL;
    }
    names_left -= names_left > 0;
    return __real_readdir(folder);
}

static void a_folder_that_can_be_read_in_part_is_not_taken_for_a_shorter_one(void **state)
{
    const struct fixture *fixture = *state;
    struct checkpoint_listing listing;
    char folder[PATH_MAX];

    fixture_save(fixture->ckpt, 1);
    fixture_save(fixture->ckpt, 2);
    strcpy(folder, fixture_path(fixture->ckpt, "step_00000002"));
    for (int n = 0; n <= 4; n++) { /* with "." and ".." */
        struct error error = {0};

        names_left = n;
        assert_int_equal(checkpoint_list(&file_system_real, fixture->ckpt, &listing, &error), STATUS_STORAGE);
        assert_non_null(strstr(error.message, "/ckpt: its names could not be read: Input/output error"));
        assert_int_equal(listing.count, 0);
        checkpoint_listing_finish(&listing);
        names_left = n;
        assert_int_equal(checkpoint_verify(&file_system_real, folder, NULL, NULL, NULL, &error), STATUS_STORAGE);
        assert_non_null(strstr(error.message, "/step_00000002: its names could not be read: Input/output error"));
        names_left = n;
        assert_int_equal(folder_remove(&file_system_real, folder, NULL, &error), STATUS_STORAGE);
        assert_non_null(strstr(error.message, "/step_00000002: could not be listed"));
        names_left = -1;
        assert_true(fixture_is_step(folder, 2));
    }
}

/* In a process that was started without standard input, each file in turn is descriptor 0. */
static void descriptor_0_is_a_file_like_any_other(void **state)
{
    const struct fixture *fixture = *state;
    const int input = dup(STDIN_FILENO);
    struct checkpoint_snapshot snapshot;
    struct checkpoint checkpoint;
    struct failing_files files;
    struct safetensors shard;
    struct error error = {0};
    char folder[PATH_MAX], path[PATH_MAX];
    unsigned char memory[512];

    assert_true(input > 0);
    close(STDIN_FILENO);
    failing_files_init(&files);
    fixture_snapshot(&files.fs, fixture->ckpt, 1, &snapshot);
    assert_int_equal(checkpoint_save(&snapshot, NULL, &error), STATUS_OK);
    assert_int_equal(files.open, 0);
    strcpy(folder, fixture_path(fixture->ckpt, "step_00000001"));
    assert_int_equal(checkpoint_open_given(&files.fs, fixture->ckpt, &checkpoint, &error), STATUS_OK);
    assert_true(files.is_open[0]);
    for (int64_t i = 0; i < checkpoint.manifest.tensor_count; i++)
        assert_int_equal(checkpoint_read(&checkpoint, &checkpoint.manifest.tensors[i], memory,
                                         checkpoint.manifest.tensors[i].bytes, &error),
                         STATUS_OK);
    assert_int_equal(files.open, 2);
    checkpoint_close(&checkpoint);
    /* A table over that of the test, and a small file beside a manifest. */
    assert_int_equal(checkpoint_open(&files.fs, folder, &checkpoint, &error), STATUS_OK);
    fixture_save(fixture->ckpt, 3);
    for (int64_t i = 0; i < checkpoint.manifest.file_count; i++)
        if (checkpoint.handles[i] == 0) { /* makes room: read again where it is asked for */
            files.fs.close(&files.fs, 0);
            checkpoint.handles[i] = -1;
            checkpoint.held--;
        }
    assert_int_equal(
        checkpoint_files(&checkpoint)
            ->open(checkpoint_files(&checkpoint), fixture_path(fixture->ckpt, "step_00000003/none"), FILE_READ),
        -ENOENT);
    assert_int_equal(files.open, 1);
    fixture_write(fixture_path(fixture->ckpt, "step_00000003/stray"), "x", 1);
    assert_int_equal(
        checkpoint_files(&checkpoint)
            ->open(checkpoint_files(&checkpoint), fixture_path(fixture->ckpt, "step_00000003/stray"), FILE_READ),
        -ENOENT);
    assert_int_equal(files.open, 1);
    checkpoint_close(&checkpoint);
    assert_int_equal(files.open, 0);
    assert_int_equal(checkpoint_resolve(&files.fs, folder, path, &error), STATUS_OK);
    assert_string_equal(path, folder);
    assert_int_equal(files.open, 0);
    assert_int_equal(checkpoint_verify(&files.fs, folder, NULL, NULL, NULL, &error), STATUS_OK);
    assert_int_equal(files.open, 0);
    assert_int_equal(safetensors_open(&files.fs, fixture_path(folder, "tensors-00001.safetensors"), &shard, &error),
                     STATUS_OK);
    safetensors_close(&shard);
    safetensors_close(&shard); /* of nothing */
    assert_int_equal(files.open, 0);
    files.call = CALL_WRITE;
    files.first = files.calls[CALL_WRITE] + 1;
    files.last = INT_MAX;
    files.problem = EIO;
    fixture_snapshot(&files.fs, fixture->ckpt, 2, &snapshot);
    assert_int_equal(checkpoint_save(&snapshot, NULL, &error), STATUS_STORAGE);
    assert_int_equal(files.open, 0);
    assert_int_equal(dup2(input, STDIN_FILENO), STDIN_FILENO);
    close(input);
}

static void collect(void *context, const char *file, const char *tensor, const char *sentence)
{
    char *list = context;

    (void)tensor;
    (void)sentence;
    strcat(strcat(list, file), " ");
}

/* The first file that is opened behind the manifest cannot be; what is damaged counts before what could not be read. */
static void a_file_that_cannot_be_read_hides_no_damage_of_the_next(void **state)
{
    const struct fixture *fixture = *state;
    char folder[PATH_MAX], path[PATH_MAX], list[200] = "", *whole;
    struct error error = {0};
    int64_t bytes;

    fixture_save(fixture->ckpt, 1);
    strcpy(folder, fixture_path(fixture->ckpt, "step_00000001"));
    strcpy(path, fixture_path(folder, "vocab.json"));
    for (int damaged = 0; damaged < 2; damaged++) {
        struct failing_files files;

        failing_files_init(&files);
        files.call = CALL_OPEN;
        files.first = 2;
        files.last = 2;
        files.problem = EIO;
        list[0] = '\0';
        if (damaged) {
            whole = fixture_read(path, &bytes);
            whole[0] ^= 1;
            fixture_write(path, whole, (size_t)bytes);
            free(whole);
        }
        /* Opened once more when its turn comes. */
        assert_int_equal(checkpoint_verify(&files.fs, folder, collect, list, NULL, &error),
                         damaged ? STATUS_INPUT : STATUS_OK);
        assert_string_equal(list, damaged ? "vocab.json " : "");
        failing_files_init(&files);
        files.call = CALL_READ;
        files.first = 3; /* behind the manifest and its second look: the first shard's length */
        files.last = 3;
        files.problem = EIO;
        list[0] = '\0';
        assert_int_equal(checkpoint_verify(&files.fs, folder, collect, list, NULL, &error),
                         damaged ? STATUS_INPUT : STATUS_STORAGE);
        assert_string_equal(list, damaged ? "tensors-00001.safetensors vocab.json " : "tensors-00001.safetensors ");
        assert_null(strstr(error.message, "more problems"));
        assert_non_null(strstr(error.message, damaged ? "vocab.json is damaged" : "Input/output error"));
    }
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
        TEST(any_call_that_fails_while_a_step_is_saved_again_leaves_one_of_them),
        TEST(removal_of_old_checkpoints_ends_with_the_first_that_stays),
        TEST(a_close_that_fails_is_told_and_one_that_was_interrupted_has_closed),
        TEST(the_manifest_is_the_first_file_to_be_removed),
        TEST(a_rest_that_is_a_file_and_stays_is_told),
        TEST(a_rest_that_stays_is_no_obstacle_to_the_others),
        TEST(a_folder_that_can_be_read_in_part_is_not_taken_for_a_shorter_one),
        TEST(descriptor_0_is_a_file_like_any_other),
        TEST(a_file_that_cannot_be_read_hides_no_damage_of_the_next),
        TEST(short_writes_and_interrupts_are_carried_on),
        TEST(any_call_of_a_read_that_fails_is_a_storage_error_that_names_the_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
