/* Paths up to the longest that the system takes, and one character more: refused with a sentence that says so, and
 * nothing is removed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/commit.h"
#include "checkpoint/find.h"
#include "checkpoint/folder.h"
#include "checkpoint/retain.h"
#include "checkpoint/run_lock.h"
#include "checkpoint/stored_file.h"
#include "checkpoint/verify.h"
#include "fixture.h"

#define LONGEST (PATH_MAX - 1)

/* `start`, then as many "/." as make `length` characters: the same folder. */
static const char *path_of(const char *start, size_t length)
{
    static char path[PATH_MAX + 1];
    size_t used = strlen(start);

    assert_true(used + 2 <= length && length < sizeof path);
    memcpy(path, start, used);
    if ((length - used) % 2 != 0)
        path[used++] = '/';
    for (; used < length; used += 2)
        memcpy(path + used, "/.", 2);
    path[length] = '\0';
    return path;
}

static int open_it(const char *folder, struct error *error)
{
    struct checkpoint checkpoint;
    int result = checkpoint_open(&file_system_real, folder, &checkpoint, error);

    checkpoint_close(&checkpoint);
    return result;
}

static int read_manifest(const char *folder, struct error *error)
{
    struct manifest manifest;
    int result = checkpoint_read_manifest(&file_system_real, folder, &manifest, error);

    manifest_finish(&manifest);
    return result;
}

static int verify(const char *folder, struct error *error)
{
    return checkpoint_verify(&file_system_real, folder, NULL, NULL, NULL, error);
}

static int resolve(const char *folder, struct error *error)
{
    char path[PATH_MAX];

    return checkpoint_resolve(&file_system_real, folder, path, error);
}

static int save(const char *folder, struct error *error)
{
    struct checkpoint_snapshot snapshot;

    fixture_snapshot(&file_system_real, folder, 1, &snapshot);
    return checkpoint_save(&snapshot, NULL, error);
}

static int create_file(const char *folder, struct error *error)
{
    struct stored_file file;
    int result = stored_file_create(&file, &file_system_real, folder, "a.json", error);

    stored_file_abandon(&file);
    return result;
}

static int lock(const char *folder, struct error *error)
{
    struct run_lock held;
    int result = run_lock_acquire(folder, &held, error);

    run_lock_release(&held);
    return result;
}

static void each_function_takes_the_longest_path_and_refuses_a_longer_one(void **state)
{
    static const struct {
        int (*function)(const char *folder, struct error *error);
        size_t behind; /* the characters that it puts behind the folder, with their '/' */
        int status;
        const char *sentence;
    } rows[] = {
        {open_it, 0, STATUS_INPUT, "the path of the checkpoint is too long: /proc/nowhere/"},
        {open_it, sizeof "/manifest.json" - 1, STATUS_INPUT, "the path of manifest.json in it is too long"},
        {read_manifest, sizeof "/manifest.json" - 1, STATUS_INPUT, "the path of manifest.json in it is too long"},
        {verify, 1 + 128, STATUS_INPUT, "the path of the checkpoint is too long: /proc/nowhere/"},
        {resolve, sizeof "/manifest.json" - 1, STATUS_INPUT, ": the path is too long"},
        {save, sizeof "/step_00000001.partial-run-1" - 1, STATUS_STORAGE, "the path of the folder /proc/nowhere/"},
        {create_file, sizeof "/a.json" - 1, STATUS_STORAGE, "the path of a.json in it is too long"},
        {lock, sizeof "/.lock" - 1, STATUS_USAGE, "the path of the run folder /proc/nowhere/"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct error error = {0};

        assert_int_not_equal(rows[i].function(path_of("/proc/nowhere", LONGEST - rows[i].behind), &error), STATUS_OK);
        if (strstr(error.message, rows[i].sentence) != NULL)
            fail_msg("row %zu: the longest path gave '%s'", i, error.message);
        assert_int_equal(rows[i].function(path_of("/proc/nowhere", LONGEST - rows[i].behind + 1), &error),
                         rows[i].status);
        if (strstr(error.message, rows[i].sentence) == NULL)
            fail_msg("row %zu: a longer path gave '%s'", i, error.message);
    }
}

static void a_checkpoint_whose_path_is_too_long_has_not_moved_on(void **state)
{
    (void)state;
    assert_true(checkpoint_moved_on(&file_system_real, "/run", path_of("/proc/nowhere", LONGEST - 14)));
    assert_false(checkpoint_moved_on(&file_system_real, "/run", path_of("/proc/nowhere", LONGEST - 13)));
}

/* A folder of 13 characters, step_00000001, with its '/'. */
static void an_entry_whose_path_is_too_long_is_foreign(void **state)
{
    struct fixture *fixture = *state;

    fixture_save(fixture->ckpt, 1);
    for (size_t over = 0; over < 2; over++) {
        struct checkpoint_listing listing;

        assert_int_equal(
            checkpoint_list(&file_system_real, path_of(fixture->ckpt, LONGEST - 14 + over), &listing, NULL), STATUS_OK);
        assert_int_equal(listing.count, 1);
        assert_int_equal(listing.entries[0].condition, over > 0 ? CHECKPOINT_FOREIGN : CHECKPOINT_TORN);
        assert_int_equal(listing.entries[0].step, over > 0 ? -1 : 1);
        assert_int_equal(strcmp(listing.entries[0].reason, "its path is too long") == 0, over);
        checkpoint_listing_finish(&listing);
    }
}

static void a_folder_with_a_name_too_long_to_remove_stays(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};

    assert_int_equal(mkdir(fixture->ckpt, 0777), 0);
    fixture_write(fixture_path(fixture->ckpt, "four"), "x", 1);
    assert_int_equal(folder_remove(&file_system_real, path_of(fixture->ckpt, LONGEST - 4), NULL, &error),
                     STATUS_STORAGE);
    assert_non_null(strstr(error.message, ": a name in it is too long to remove"));
    assert_int_equal(access(fixture_path(fixture->ckpt, "four"), F_OK), 0);
}

/* One without tensors and files has no longer path than that of its manifest. */
static void save_without_tensors(const char *ckpt, int64_t step)
{
    struct checkpoint_snapshot snapshot;
    struct error error = {0};

    fixture_snapshot(&file_system_real, ckpt, step, &snapshot);
    snapshot.count = snapshot.file_count = 0;
    if (checkpoint_save(&snapshot, NULL, &error) != STATUS_OK)
        fail_msg("%s", error.message);
}

/* "/step_00000001" and behind it "/manifest.json" or ".partial-removed". */
static void an_old_checkpoint_with_a_path_too_long_to_set_it_aside_stays(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};

    save_without_tensors(fixture->ckpt, 1);
    save_without_tensors(fixture->ckpt, 2);
    assert_int_equal(
        checkpoint_retain(&file_system_real, path_of(fixture->ckpt, LONGEST - 14 - 16 + 1), 1, 0, 2, &error),
        STATUS_STORAGE);
    assert_non_null(strstr(error.message, ": a path in it is too long to remove"));
    assert_int_equal(access(fixture_path(fixture->ckpt, "step_00000001/manifest.json"), F_OK), 0);
    assert_int_equal(checkpoint_retain(&file_system_real, path_of(fixture->ckpt, LONGEST - 14 - 16), 1, 0, 2, &error),
                     STATUS_STORAGE);
    assert_non_null(strstr(error.message, ": a name in it is too long to remove"));
    assert_int_not_equal(access(fixture_path(fixture->ckpt, "step_00000001"), F_OK), 0);
}

/* What is at `final` is set aside for a new one, whose run is run-1. */
static int replace(const struct fixture *fixture, const char *final, struct error *error)
{
    const struct manifest manifest = {.step = 1, .run_id = "run-1"};
    char partial[PATH_MAX];
    bool renamed;
    int result;

    strcpy(partial, fixture_path(fixture->folder, "new"));
    assert_int_equal(file_make_folders(&file_system_real, partial, NULL), STATUS_OK);
    result = commit_folder(&file_system_real, fixture->folder, partial, final, &manifest, &renamed, error);
    assert_int_equal(folder_exists(partial), !renamed);
    return result;
}

/* The last part of a path must be a name, for a rename. */
static const char *final_of(const char *folder, const char *name, size_t length)
{
    static char path[PATH_MAX + 1];

    strcpy(path, path_of(folder, length - 1 - strlen(name)));
    return strcat(strcat(path, "/"), name);
}

static void a_path_too_long_to_set_a_checkpoint_aside_leaves_it(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};

    save_without_tensors(fixture->ckpt, 1);
    /* ".replaced-run-1" */
    assert_int_equal(replace(fixture, final_of(fixture->ckpt, "step_00000001", LONGEST - 15 + 1), &error),
                     STATUS_STORAGE);
    assert_non_null(strstr(error.message, ": it is there already, and its path is too long to set it aside"));
    assert_int_equal(access(fixture_path(fixture->ckpt, "step_00000001/manifest.json"), F_OK), 0);
    (void)replace(fixture, final_of(fixture->ckpt, "step_00000001", LONGEST - 15), &error);
    assert_int_equal(access(fixture_path(fixture->ckpt, "step_00000001.replaced-run-1"), F_OK), 0);
}

/* A save that ended before it was removed. */
static void what_was_set_aside_before_makes_room_for_the_next(void **state)
{
    struct fixture *fixture = *state;
    struct manifest manifest;
    char final[PATH_MAX], aside[PATH_MAX];

    save_without_tensors(fixture->ckpt, 1);
    strcpy(final, fixture_path(fixture->ckpt, "step_00000001"));
    strcpy(aside, fixture_path(fixture->ckpt, "step_00000001.replaced-run-1"));
    assert_int_equal(file_make_folders(&file_system_real, aside, NULL), STATUS_OK);
    fixture_write(fixture_path(aside, "x"), "x", 1);
    assert_int_equal(replace(fixture, final, NULL), STATUS_OK);
    assert_false(folder_exists(aside));
    assert_int_equal(checkpoint_read_manifest(&file_system_real, final, &manifest, NULL), STATUS_OK);
    assert_null(checkpoint_state_text(&manifest.state, "optimizer")); /* the new one has none */
    manifest_finish(&manifest);
}

static void a_path_too_long_to_set_something_damaged_aside_leaves_it(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};

    assert_int_equal(file_make_folders(&file_system_real, fixture_path(fixture->ckpt, "step_00000001/x"), NULL),
                     STATUS_OK);
    /* ".damaged" */
    assert_int_equal(replace(fixture, final_of(fixture->ckpt, "step_00000001", LONGEST - 8 + 1), &error),
                     STATUS_STORAGE);
    assert_non_null(strstr(error.message, "there is no name to set aside what is there already: "));
    assert_int_equal(replace(fixture, final_of(fixture->ckpt, "step_00000001", LONGEST - 8), &error), STATUS_OK);
    assert_int_equal(access(fixture_path(fixture->ckpt, "step_00000001.damaged/x"), F_OK), 0);
}

static void make_damaged(const char *ckpt, int n)
{
    char path[PATH_MAX];

    strcpy(path, fixture_path(ckpt, "step_00000001"));
    if (n > 0)
        strcat(path, ".damaged");
    if (n > 1)
        sprintf(path + strlen(path), ".%d", n);
    assert_int_equal(file_make_folders(&file_system_real, path, NULL), STATUS_OK);
    fixture_write(fixture_path(path, "x"), "x", 1);
}

static void something_damaged_is_set_aside_under_the_first_of_999_free_names(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    char final[PATH_MAX];

    strcpy(final, fixture_path(fixture->ckpt, "step_00000001"));
    make_damaged(fixture->ckpt, 0);
    make_damaged(fixture->ckpt, 1);
    assert_int_equal(replace(fixture, final, &error), STATUS_OK);
    assert_int_equal(access(fixture_path(fixture->ckpt, "step_00000001.damaged.2/x"), F_OK), 0);
    make_damaged(fixture->ckpt, 0);
    assert_int_equal(unlink(fixture_path(final, "manifest.json")), 0);
    for (int n = 3; n <= 998; n++)
        make_damaged(fixture->ckpt, n);
    assert_int_equal(replace(fixture, final, &error), STATUS_OK);
    assert_int_equal(access(fixture_path(fixture->ckpt, "step_00000001.damaged.999/x"), F_OK), 0);
    make_damaged(fixture->ckpt, 0);
    assert_int_equal(unlink(fixture_path(final, "manifest.json")), 0);
    assert_int_equal(replace(fixture, final, &error), STATUS_STORAGE);
    assert_non_null(strstr(error.message, "there is no name to set aside what is there already: "));
    assert_int_equal(access(fixture_path(final, "x"), F_OK), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(each_function_takes_the_longest_path_and_refuses_a_longer_one),
        TEST(a_checkpoint_whose_path_is_too_long_has_not_moved_on),
        TEST(an_entry_whose_path_is_too_long_is_foreign),
        TEST(a_folder_with_a_name_too_long_to_remove_stays),
        TEST(an_old_checkpoint_with_a_path_too_long_to_set_it_aside_stays),
        TEST(a_path_too_long_to_set_a_checkpoint_aside_leaves_it),
        TEST(what_was_set_aside_before_makes_room_for_the_next),
        TEST(a_path_too_long_to_set_something_damaged_aside_leaves_it),
        TEST(something_damaged_is_set_aside_under_the_first_of_999_free_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
