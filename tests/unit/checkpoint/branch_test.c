/* Which checkpoint is the newest, and what retention leaves, where a run went on from an older step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "checkpoint/branch.h"
#include "checkpoint/find.h"
#include "checkpoint/folder.h"
#include "checkpoint/retain.h"
#include "fixture.h"

static void save(const char *ckpt, int64_t step, int64_t branch, int64_t keep)
{
    struct checkpoint_snapshot snapshot;
    struct checkpoint_state described = {0};
    struct error error = {0};

    fixture_snapshot(&file_system_real, ckpt, step, &snapshot);
    assert_int_equal(checkpoint_state_copy(snapshot.state, &described, NULL), STATUS_OK);
    if (branch > 0)
        assert_int_equal(checkpoint_state_set_integer(&described, MANIFEST_BRANCH_KEY, branch, NULL), STATUS_OK);
    snapshot.state = &described;
    snapshot.keep = keep;
    if (checkpoint_save(&snapshot, NULL, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    checkpoint_state_finish(&described);
}

/* The names in the folder, one after the other. */
static void expect_names(const char *ckpt, const char *wanted)
{
    struct folder_names names;
    char all[1000] = "";

    assert_int_equal(folder_names(ckpt, &names, NULL), STATUS_OK);
    for (int64_t i = 0; i < names.count; i++)
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", i > 0 ? " " : "", names.names[i] + 5);
    folder_names_finish(&names);
    assert_string_equal(all, wanted);
}

static void expect_newest(const char *ckpt, const char *name)
{
    char path[PATH_MAX];
    bool found;

    assert_int_equal(checkpoint_find_newest(&file_system_real, ckpt, path, &found, NULL), STATUS_OK);
    assert_true(found);
    assert_string_equal(path, fixture_path(ckpt, name));
}

static void make_line(const char *ckpt)
{
    for (int64_t step = 5; step <= 20; step += 5)
        save(ckpt, step, 0, 0);
}

static void keep_a_line(void *context, enum log_level level, const char *line)
{
    (void)level;
    strcat(context, line);
}

/* The branch of a run that goes on from `name`, and how often it was told that this is a new one. */
static int64_t branch_from(const char *ckpt, const char *name, int told)
{
    struct manifest manifest;
    char lines[2000] = "";
    int64_t branch = -1;

    assert_int_equal(checkpoint_read_manifest(&file_system_real, fixture_path(ckpt, name), &manifest, NULL), STATUS_OK);
    log_set_sink(keep_a_line, lines);
    assert_int_equal(checkpoint_branch_of_run(&file_system_real, ckpt, &manifest, &branch, NULL), STATUS_OK);
    log_set_sink(NULL, NULL);
    manifest_finish(&manifest);
    assert_int_equal(strstr(lines, "holds newer checkpoints (the newest: ") != NULL, told);
    return branch;
}

static void retention_leaves_what_was_just_saved_and_what_lies_ahead(void **state)
{
    struct fixture *fixture = *state;

    make_line(fixture->ckpt);
    assert_int_equal(branch_from(fixture->ckpt, "step_00000005", 1), 1);
    for (int64_t step = 6; step <= 9; step++)
        save(fixture->ckpt, step, 1, 3);
    expect_names(fixture->ckpt, "00000005 00000007 00000008 00000009 00000010 00000015 00000020");
    expect_newest(fixture->ckpt, "step_00000009");
    assert_int_equal(branch_from(fixture->ckpt, "step_00000009", 0), 1);
    assert_int_equal(branch_from(fixture->ckpt, "step_00000020", 1), 2);
}

static void a_checkpoint_whose_name_another_branch_takes_stays_under_a_second_one(void **state)
{
    struct fixture *fixture = *state;

    make_line(fixture->ckpt);
    save(fixture->ckpt, 10, 1, 1);
    expect_names(fixture->ckpt, "00000005 00000010 00000010.branch-0 00000015 00000020");
    assert_true(fixture_is_step(fixture_path(fixture->ckpt, "step_00000010.branch-0"), 10));
    expect_newest(fixture->ckpt, "step_00000010");
    save(fixture->ckpt, 15, 1, 1);
    save(fixture->ckpt, 10, 2, 1);
    expect_names(fixture->ckpt, "00000005 00000010 00000010.branch-0 00000015 00000015.branch-0 00000020");
    expect_newest(fixture->ckpt, "step_00000010");
}

static void a_run_that_goes_on_from_the_newest_stays_on_its_line(void **state)
{
    struct fixture *fixture = *state;

    make_line(fixture->ckpt);
    assert_int_equal(branch_from(fixture->ckpt, "step_00000020", 0), 0);
    save(fixture->ckpt, 25, 0, 2);
    expect_names(fixture->ckpt, "00000020 00000025");
}

/* Nothing in that folder can be opened. */
static char unreadable[PATH_MAX];

static int open_unless_unreadable(const struct file_system *fs, const char *path, enum file_mode mode)
{
    (void)fs;
    return strncmp(path, unreadable, strlen(unreadable)) == 0 ? -EIO
                                                              : file_system_real.open(&file_system_real, path, mode);
}

static void one_that_cannot_be_read_leaves_the_branch_and_the_newest_unknown(void **state)
{
    static const char *const names[] = {"step_00000005", "step_00000010", "step_00000015", "step_00000020"};
    struct fixture *fixture = *state;
    struct file_system fs = file_system_real;
    struct manifest manifest;
    int64_t branch;

    make_line(fixture->ckpt);
    assert_int_equal(checkpoint_read_manifest(&fs, fixture_path(fixture->ckpt, "step_00000005"), &manifest, NULL),
                     STATUS_OK);
    fs.open = open_unless_unreadable;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct error error = {0};
        char path[PATH_MAX];
        bool found;

        strcpy(unreadable, fixture_path(fixture->ckpt, names[i]));
        assert_int_equal(checkpoint_branch_of_run(&fs, fixture->ckpt, &manifest, &branch, &error), STATUS_STORAGE);
        assert_non_null(strstr(error.message, names[i]));
        error.message[0] = '\0';
        assert_int_equal(checkpoint_find_newest(&fs, fixture->ckpt, path, &found, &error), STATUS_STORAGE);
        assert_non_null(strstr(error.message, names[i]));
        assert_false(found);
    }
    manifest_finish(&manifest);
}

static void the_first_run_of_a_folder_is_on_branch_0(void **state)
{
    const struct fixture *fixture = *state;
    const struct manifest origin = {.step = 5, .checksum = 1};
    int64_t branch = -1;

    assert_int_equal(checkpoint_branch_of_run(&file_system_real, fixture->ckpt, &origin, &branch, NULL), STATUS_OK);
    assert_int_equal(branch, 0);
}

/* Of 10, 15 and 20 with one to keep: the two lowest go, but never what was saved a moment ago. */
static void what_was_just_saved_is_kept_whatever_its_step(void **state)
{
    static const struct {
        int64_t saved;
        const char *left;
    } cases[] = {{10, "00000010"}, {15, "00000015"}, {20, "00000020"}, {25, "00000020"}};
    const struct fixture *fixture = *state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int64_t step = 10; step <= 20; step += 5)
            save(fixture->ckpt, step, 0, 0);
        assert_int_equal(checkpoint_retain(&file_system_real, fixture->ckpt, 0, 0, cases[i].saved, NULL), STATUS_OK);
        expect_names(fixture->ckpt, "00000010 00000015 00000020"); /* 0 keeps all */
        assert_int_equal(checkpoint_retain(&file_system_real, fixture->ckpt, 3, 0, cases[i].saved, NULL), STATUS_OK);
        expect_names(fixture->ckpt, "00000010 00000015 00000020");
        assert_int_equal(checkpoint_retain(&file_system_real, fixture->ckpt, 1, 0, cases[i].saved, NULL), STATUS_OK);
        expect_names(fixture->ckpt, cases[i].left);
        fixture_remove(fixture->ckpt);
    }
}

/* A save that had not ended, or something else under such a name. */
static void a_file_with_the_name_of_an_unfinished_save_is_swept(void **state)
{
    const struct fixture *fixture = *state;

    save(fixture->ckpt, 1, 0, 0);
    fixture_write(fixture_path(fixture->ckpt, "step_00000002.partial-run-1"), "x", 1);
    assert_int_equal(checkpoint_sweep(&file_system_real, fixture->ckpt, NULL), STATUS_OK);
    expect_names(fixture->ckpt, "00000001");
}

/* Step 5 as it was set aside: of branch 0, whole, damaged (its manifest is gone) or not readable. */
enum aside { WHOLE, DAMAGED, UNREADABLE };

static void what_was_set_aside_goes_when_its_successor_is_there_and_whole(void **state)
{
    static const struct {
        enum aside aside;
        int64_t step, branch; /* of the other one; 0, 0: there is none */
        const char *name;     /* which that one has then */
        bool goes;
    } rows[] = {
        {WHOLE, 5, 0, "step_00000005", true},
        {WHOLE, 0, 0, NULL, false},
        {WHOLE, 5, 1, "step_00000005", false},
        {WHOLE, 6, 0, "step_00000006", false},
        {WHOLE, 4, 0, "step_00000004", false},
        {WHOLE, 5, 0, "step_00000005.replaced-s", false},
        {DAMAGED, 5, 0, "step_00000005", true},
        {DAMAGED, 5, 1, "step_00000005", true},
        {DAMAGED, 0, 0, NULL, false},
        {DAMAGED, 6, 0, "step_00000006", false},
        {UNREADABLE, 5, 0, "step_00000005", false},
    };
    const struct fixture *fixture = *state;
    char from[PATH_MAX], aside[PATH_MAX], other[PATH_MAX];

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct file_system fs = file_system_real;

        save(fixture->ckpt, 5, 0, 0);
        strcpy(from, fixture_path(fixture->ckpt, "step_00000005"));
        strcpy(aside, fixture_path(fixture->ckpt, "step_00000005.replaced-r"));
        assert_int_equal(rename(from, aside), 0);
        if (rows[i].name != NULL) {
            /* Saved elsewhere: a save here would sweep. */
            snprintf(other, sizeof other, "%.4000s/other", fixture->folder);
            save(other, rows[i].step, rows[i].branch, 0);
            snprintf(from, sizeof from, "%.4000s/step_%08d", other, (int)rows[i].step);
            assert_int_equal(rename(from, fixture_path(fixture->ckpt, rows[i].name)), 0);
        }
        if (rows[i].aside == DAMAGED)
            assert_int_equal(remove(fixture_path(aside, "manifest.json")), 0);
        strcpy(unreadable, rows[i].aside == UNREADABLE ? aside : "/nowhere");
        fs.open = open_unless_unreadable;
        assert_int_equal(checkpoint_sweep(&fs, fixture->ckpt, NULL), STATUS_OK);
        if (folder_exists(aside) == rows[i].goes)
            fail_msg("row %zu: it %s", i, rows[i].goes ? "stays" : "goes");
        if (rows[i].name != NULL)
            assert_true(folder_exists(fixture_path(fixture->ckpt, rows[i].name)));
        fixture_remove(fixture->ckpt);
    }
}

/* One of its step that is damaged is no successor, and is no rest of a save. */
static void what_was_set_aside_stays_beside_a_damaged_one(void **state)
{
    const struct fixture *fixture = *state;
    char name[PATH_MAX];

    save(fixture->ckpt, 5, 0, 0);
    strcpy(name, fixture_path(fixture->ckpt, "step_00000005"));
    assert_int_equal(rename(name, fixture_path(fixture->ckpt, "step_00000005.replaced-r")), 0);
    assert_int_equal(file_make_folders(&file_system_real, name, NULL), STATUS_OK);
    assert_int_equal(checkpoint_sweep(&file_system_real, fixture->ckpt, NULL), STATUS_OK);
    expect_names(fixture->ckpt, "00000005 00000005.replaced-r");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(retention_leaves_what_was_just_saved_and_what_lies_ahead),
        TEST(a_checkpoint_whose_name_another_branch_takes_stays_under_a_second_one),
        TEST(a_run_that_goes_on_from_the_newest_stays_on_its_line),
        TEST(one_that_cannot_be_read_leaves_the_branch_and_the_newest_unknown),
        TEST(the_first_run_of_a_folder_is_on_branch_0),
        TEST(what_was_just_saved_is_kept_whatever_its_step),
        TEST(what_was_set_aside_goes_when_its_successor_is_there_and_whole),
        TEST(what_was_set_aside_stays_beside_a_damaged_one),
        TEST(a_file_with_the_name_of_an_unfinished_save_is_swept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
