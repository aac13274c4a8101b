/* Checkpoints that a run replaces, moves and removes at every look: readers follow for a while, then say so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "checkpoint/checkpoint.h"
#include "checkpoint/find.h"
#include "checkpoint/verify.h"
#include "fixture.h"

static int looks, moving; /* how often a manifest was opened; how many of these calls meet one that moves */
static char one[PATH_MAX], other[PATH_MAX];

static bool of_manifest(const char *path)
{
    return strstr(path, "/step_") != NULL && strstr(path, "/manifest.json") != NULL;
}

static int setup(void **state)
{
    struct fixture *fixture;
    struct checkpoint_snapshot snapshot;

    if (fixture_setup(state) != 0)
        return -1;
    fixture = *state;
    fixture_save(fixture->ckpt, 3);
    strcpy(one, fixture_path(fixture->ckpt, "step_00000003"));
    strcpy(other, fixture_path(fixture->folder, "other"));
    fixture_snapshot(&file_system_real, other, 3, &snapshot);
    snapshot.target.run_id = "run-2";
    assert_int_equal(checkpoint_save(&snapshot, NULL, NULL), STATUS_OK);
    strcat(other, "/step_00000003");
    looks = 0;
    return 0;
}

/* Each second manifest is that of another checkpoint. */
static int open_replaced(const struct file_system *fs, const char *path, enum file_mode mode)
{
    bool second = of_manifest(path) && ++looks <= moving && looks % 2 == 0;

    (void)fs;
    return file_system_real.open(&file_system_real, second ? fixture_path(other, "manifest.json") : path, mode);
}

/* The whole one is looked at first, then another one has its name, 20 times. */
static void a_checkpoint_that_is_replaced_twenty_times_is_given_up(void **state)
{
    struct file_system fs = file_system_real;
    struct checkpoint checkpoint;
    struct error error = {0};

    (void)state;
    fs.open = open_replaced;
    moving = 40;
    assert_int_equal(checkpoint_open(&fs, one, &checkpoint, &error), STATUS_INPUT);
    assert_non_null(strstr(error.message, "step_00000003 is replaced all the time; its files do not belong together"));
    assert_int_equal(looks, 40);
    assert_null(checkpoint.handles);
    looks = 0;
    assert_int_equal(checkpoint_verify(&fs, one, NULL, NULL, NULL, &error), STATUS_INPUT);
    assert_non_null(strstr(error.message, "step_00000003 is replaced all the time"));
    assert_int_equal(looks, 40);
}

static void a_checkpoint_that_is_replaced_nineteen_times_is_read(void **state)
{
    struct file_system fs = file_system_real;
    struct checkpoint checkpoint;
    struct error error = {0};

    (void)state;
    fs.open = open_replaced;
    moving = 38;
    assert_int_equal(checkpoint_open(&fs, one, &checkpoint, &error), STATUS_OK);
    assert_string_equal(checkpoint.manifest.run_id, "run-1");
    checkpoint_close(&checkpoint);
    looks = 0;
    assert_int_equal(checkpoint_verify(&fs, one, NULL, NULL, NULL, &error), STATUS_OK);
    assert_int_equal(looks, 40);
}

/* Once a file beside the manifest was opened, all are those of the checkpoint that has the name by then. */
static int open_replaced_between(const struct file_system *fs, const char *path, enum file_mode mode)
{
    const char *name = strrchr(path, '/') + 1;

    (void)fs;
    looks += !of_manifest(path);
    return file_system_real.open(&file_system_real, looks > 0 ? fixture_path(other, name) : path, mode);
}

static void one_that_was_replaced_between_two_files_is_opened_again(void **state)
{
    struct file_system fs = file_system_real;
    struct checkpoint checkpoint;
    struct error error = {0};

    (void)state;
    fs.open = open_replaced_between;
    if (checkpoint_open(&fs, one, &checkpoint, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    assert_string_equal(checkpoint.manifest.run_id, "run-2");
    checkpoint_close(&checkpoint);
    looks = 0;
    if (checkpoint_verify(&fs, one, NULL, NULL, NULL, &error) != STATUS_OK)
        fail_msg("%s", error.message);
}

/* It is removed at the open with that number. */
static int open_last(const struct file_system *fs, const char *path, enum file_mode mode)
{
    (void)fs;
    if (++looks == moving)
        fixture_remove(one);
    return file_system_real.open(&file_system_real, path, mode);
}

/* The manifest, three files and the manifest again. */
static void one_that_is_removed_before_all_files_are_open_was_removed_and_is_not_damaged(void **state)
{
    static const char sentence[] = "step_00000003 was removed while it was being read; a run that saves beside it";
    const struct fixture *fixture = *state;
    struct file_system fs = file_system_real;

    fs.open = open_last;
    for (moving = 2; moving <= 5; moving++) {
        struct checkpoint checkpoint;
        struct error error = {0};

        looks = 0;
        fixture_save(fixture->ckpt, 3);
        assert_int_equal(checkpoint_open(&fs, one, &checkpoint, &error), moving < 5 ? STATUS_INPUT : STATUS_OK);
        assert_int_equal(strstr(error.message, sentence) != NULL, moving < 5);
        assert_int_equal(looks, moving < 5 ? moving + 1 : 5);
        checkpoint_close(&checkpoint);
        looks = 0;
        error.message[0] = '\0';
        fixture_save(fixture->ckpt, 3);
        assert_int_equal(checkpoint_verify(&fs, one, NULL, NULL, NULL, &error), moving < 5 ? STATUS_INPUT : STATUS_OK);
        assert_int_equal(strstr(error.message, sentence) != NULL, moving < 5);
    }
}

/* The list finds it; whoever opens it then does not. */
static int open_removed(const struct file_system *fs, const char *path, enum file_mode mode)
{
    (void)fs;
    if (of_manifest(path) && ++looks <= moving && looks % 3 != 1)
        return -ENOENT;
    return file_system_real.open(&file_system_real, path, mode);
}

/* Listing, opening, and a look whether it is there: three opens a try, two the last time. */
static void a_run_that_moves_on_is_followed_a_hundred_times(void **state)
{
    const struct fixture *fixture = *state;
    struct file_system fs = file_system_real;
    struct checkpoint checkpoint;
    struct error error = {0};

    fs.open = open_removed;
    moving = 303;
    assert_int_equal(checkpoint_open_given(&fs, fixture->folder, &checkpoint, &error), STATUS_INPUT);
    assert_non_null(strstr(error.message, "step_00000003/manifest.json: No such file or directory"));
    assert_int_equal(looks, 302);
    looks = 0;
    moving = 300;
    assert_int_equal(checkpoint_open_given(&fs, fixture->folder, &checkpoint, &error), STATUS_OK);
    assert_int_equal(checkpoint.manifest.step, 3);
    checkpoint_close(&checkpoint);
}

static void a_checkpoint_that_was_named_is_tried_once(void **state)
{
    struct file_system fs = file_system_real;
    struct checkpoint checkpoint;

    (void)state;
    fs.open = open_removed;
    moving = 303;
    assert_int_equal(checkpoint_open_given(&fs, one, &checkpoint, NULL), STATUS_INPUT);
    assert_int_equal(looks, 2);
}

/* A folder that has the next name when it is opened. */
static int open_renamed(const struct file_system *fs, const char *path, enum file_mode mode)
{
    char from[PATH_MAX], to[PATH_MAX];

    (void)fs;
    if (!of_manifest(path) || ++looks > moving)
        return file_system_real.open(&file_system_real, path, mode);
    snprintf(from, sizeof from, "%.*s", (int)(strrchr(path, '/') - path), path);
    snprintf(to, sizeof to, "%.*s/step_%08d", (int)(strrchr(from, '/') - from), from, looks + 10);
    assert_int_equal(rename(from, to), 0);
    return -ENOENT;
}

static void the_newest_is_looked_for_a_hundred_times_more_where_all_have_gone(void **state)
{
    const struct fixture *fixture = *state;
    struct file_system fs = file_system_real;
    char path[PATH_MAX];
    bool found = true;

    fs.open = open_renamed;
    moving = 200;
    assert_int_equal(checkpoint_find_newest(&fs, fixture->ckpt, path, &found, NULL), STATUS_OK);
    assert_false(found);
    assert_int_equal(looks, 101);
}

static void a_list_leaves_out_what_has_gone_and_says_so(void **state)
{
    const struct fixture *fixture = *state;
    struct file_system fs = file_system_real;
    struct checkpoint_listing listing;

    fixture_save(fixture->ckpt, 2);
    fs.open = open_renamed;
    moving = 1;
    assert_int_equal(checkpoint_list(&fs, fixture->ckpt, &listing, NULL), STATUS_OK);
    assert_true(listing.moved);
    assert_int_equal(listing.count, 1);
    assert_string_equal(listing.entries[0].name, "step_00000003");
    assert_int_equal(listing.entries[0].condition, CHECKPOINT_COMPLETE);
    checkpoint_listing_finish(&listing);
    assert_int_equal(checkpoint_list(&file_system_real, other, &listing, NULL), STATUS_OK);
    assert_false(listing.moved);
    checkpoint_listing_finish(&listing);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_checkpoint_that_is_replaced_twenty_times_is_given_up),
        TEST(a_checkpoint_that_is_replaced_nineteen_times_is_read),
        TEST(one_that_was_replaced_between_two_files_is_opened_again),
        TEST(one_that_is_removed_before_all_files_are_open_was_removed_and_is_not_damaged),
        TEST(a_run_that_moves_on_is_followed_a_hundred_times),
        TEST(a_checkpoint_that_was_named_is_tried_once),
        TEST(the_newest_is_looked_for_a_hundred_times_more_where_all_have_gone),
        TEST(a_list_leaves_out_what_has_gone_and_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
