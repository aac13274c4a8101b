#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "checkpoint/find.h"
#include "checkpoint/folder.h"
#include "fixture.h"

static void a_folder_that_is_not_there_has_no_checkpoint(void **state)
{
    struct fixture *fixture = *state;
    char path[PATH_MAX];
    bool found = true;

    assert_int_equal(checkpoint_find_newest(&file_system_real, fixture->ckpt, path, &found, NULL), STATUS_OK);
    assert_false(found);
}

static void the_newest_complete_checkpoint_wins(void **state)
{
    struct fixture *fixture = *state;
    char path[PATH_MAX];
    bool found = false;

    fixture_save(fixture->ckpt, 99999999);
    fixture_save(fixture->ckpt, 100000000);
    assert_int_equal(checkpoint_find_newest(&file_system_real, fixture->ckpt, path, &found, NULL), STATUS_OK);
    assert_true(found);
    assert_string_equal(path, fixture_path(fixture->ckpt, "step_100000000"));
}

static void count_line(void *context, enum log_level level, const char *line)
{
    char *all = context;

    assert_int_equal(level, LOG_WARNING);
    strcat(all, line);
    strcat(all, "\n");
}

static void torn_and_partial_ones_are_ignored_and_reported(void **state)
{
    struct fixture *fixture = *state;
    char path[PATH_MAX], lines[4000] = "";
    bool found = false;

    fixture_save(fixture->ckpt, 1);
    fixture_save(fixture->ckpt, 2);
    strcpy(path, fixture_path(fixture->ckpt, "step_00000002"));
    assert_int_equal(unlink(fixture_path(path, "tensors-00002.safetensors")), 0);
    assert_int_equal(file_make_folders(&file_system_real, fixture_path(fixture->ckpt, "step_00000003.partial-r"), NULL),
                     STATUS_OK);
    log_set_sink(count_line, lines);
    assert_int_equal(checkpoint_find_newest(&file_system_real, fixture->ckpt, path, &found, NULL), STATUS_OK);
    log_set_sink(NULL, NULL);
    assert_true(found);
    assert_string_equal(path, fixture_path(fixture->ckpt, "step_00000001"));
    assert_non_null(strstr(lines, "checkpoint step_00000002 is ignored: "));
    assert_non_null(
        strstr(lines, "tensors-00002.safetensors: No such file or directory; the checkpoint needs this file\n"));
    assert_non_null(
        strstr(lines, "checkpoint step_00000003.partial-r is ignored: a save or removal that has not ended\n"));
}

static void each_entry_has_its_condition(void **state)
{
    static const struct {
        const char *name;
        enum checkpoint_condition condition;
        int64_t step;
        bool replaced;
    } made[] = {
        {"notes", CHECKPOINT_FOREIGN, -1, false},
        {"step_1", CHECKPOINT_FOREIGN, -1, false},
        {"step_0000001", CHECKPOINT_FOREIGN, -1, false},
        {"step_999999999999999999", CHECKPOINT_TORN, 999999999999999999, false},
        {"step_9999999999999999999", CHECKPOINT_FOREIGN, -1, false},
        {"step_0000001.partial-", CHECKPOINT_FOREIGN, -1, false},
        {"Step_00000001", CHECKPOINT_FOREIGN, -1, false},
        {"step_00000007.replaced-r", CHECKPOINT_TORN, 7, true},
        {"step_00000007.branch-0", CHECKPOINT_TORN, 7, false},
        {"step_00000007.damaged", CHECKPOINT_FOREIGN, -1, false},
        {"step_00000000", CHECKPOINT_TORN, 0, false},
        {"step_00000000.partial-r", CHECKPOINT_PARTIAL, 0, false},
        {"step_00000001x", CHECKPOINT_FOREIGN, -1, false},
        {"step_-0000001", CHECKPOINT_FOREIGN, -1, false},
        {"step_99999999999999999999", CHECKPOINT_FOREIGN, -1, false},
        {"step_00000004.partial-", CHECKPOINT_PARTIAL, 4, false},
        {"step_00000005", CHECKPOINT_TORN, 5, false},
    };
    struct fixture *fixture = *state;
    struct checkpoint_listing listing;
    size_t seen = 0;

    fixture_save(fixture->ckpt, 6);
    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++)
        assert_int_equal(file_make_folders(&file_system_real, fixture_path(fixture->ckpt, made[i].name), NULL),
                         STATUS_OK);
    assert_int_equal(checkpoint_list(&file_system_real, fixture->ckpt, &listing, NULL), STATUS_OK);
    assert_int_equal(listing.count, sizeof made / sizeof made[0] + 1);
    for (int64_t i = 0; i < listing.count; i++)
        for (size_t j = 0; j < sizeof made / sizeof made[0]; j++)
            if (strcmp(listing.entries[i].name, made[j].name) == 0) {
                assert_int_equal(listing.entries[i].condition, made[j].condition);
                assert_int_equal(listing.entries[i].step, made[j].step);
                assert_int_equal(listing.entries[i].replaced, made[j].replaced);
                assert_int_equal(listing.entries[i].branch, 0);
                assert_true(listing.entries[i].reason[0] != '\0');
                seen++;
            }
    assert_int_equal(seen, sizeof made / sizeof made[0]);
    assert_string_equal(checkpoint_newest(&listing)->name, "step_00000006");
    assert_true(checkpoint_newest(&listing)->bytes > 1000);
    checkpoint_listing_finish(&listing);
}

static void one_that_lacks_any_of_its_files_is_torn(void **state)
{
    static const char *const names[] = {"manifest.json", "tensors-00001.safetensors", "tensors-00002.safetensors",
                                        "vocab.json"};
    const struct fixture *fixture = *state;
    char folder[PATH_MAX];

    strcpy(folder, fixture_path(fixture->ckpt, "step_00000006"));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct checkpoint_listing listing;

        fixture_save(fixture->ckpt, 6);
        assert_int_equal(unlink(fixture_path(folder, names[i])), 0);
        assert_int_equal(checkpoint_list(&file_system_real, fixture->ckpt, &listing, NULL), STATUS_OK);
        assert_int_equal(listing.count, 1);
        assert_int_equal(listing.entries[0].condition, CHECKPOINT_TORN);
        assert_non_null(strstr(listing.entries[0].reason, names[i]));
        assert_int_equal(listing.entries[0].bytes, 0);
        checkpoint_listing_finish(&listing);
        fixture_remove(folder);
    }
}

static void a_renamed_checkpoint_is_torn_in_its_run_and_opens_elsewhere(void **state)
{
    struct fixture *fixture = *state;
    char from[PATH_MAX], to[PATH_MAX];
    bool found = true;

    fixture_save(fixture->ckpt, 6);
    strcpy(from, fixture_path(fixture->ckpt, "step_00000006"));
    strcpy(to, fixture_path(fixture->ckpt, "step_00000009"));
    assert_int_equal(rename(from, to), 0);
    log_set_level(LOG_ERROR);
    assert_int_equal(checkpoint_find_newest(&file_system_real, fixture->ckpt, from, &found, NULL), STATUS_OK);
    log_set_level(LOG_INFO);
    assert_false(found);
    assert_true(fixture_is_step(to, 6));
}

static void one_set_aside_counts_until_its_successor_is_there(void **state)
{
    struct fixture *fixture = *state;
    char from[PATH_MAX], aside[PATH_MAX], path[PATH_MAX];
    bool found = false;

    fixture_save(fixture->ckpt, 6);
    strcpy(from, fixture_path(fixture->ckpt, "step_00000006"));
    strcpy(aside, fixture_path(fixture->ckpt, "step_00000006.replaced-r"));
    assert_int_equal(rename(from, aside), 0);
    assert_int_equal(checkpoint_find_newest(&file_system_real, fixture->ckpt, path, &found, NULL), STATUS_OK);
    assert_true(found);
    assert_string_equal(path, aside);
    fixture_save(fixture->ckpt, 6);
    assert_int_equal(checkpoint_find_newest(&file_system_real, fixture->ckpt, path, &found, NULL), STATUS_OK);
    assert_string_equal(path, from);
    fixture_save(fixture->ckpt, 7);
    assert_int_not_equal(access(aside, F_OK), 0);
}

static void a_run_a_ckpt_folder_and_a_checkpoint_resolve_to_a_checkpoint(void **state)
{
    struct fixture *fixture = *state;
    char wanted[PATH_MAX], path[PATH_MAX];
    struct error error = {0};

    assert_int_equal(checkpoint_resolve(&file_system_real, fixture->folder, path, &error), STATUS_INPUT);
    assert_non_null(strstr(error.message, "is neither a checkpoint nor a run folder with a complete one"));
    assert_int_equal(checkpoint_resolve(&file_system_real, "/nowhere/run", path, &error), STATUS_INPUT);
    assert_string_equal(error.message, "/nowhere/run: there is no such folder");
    fixture_save(fixture->ckpt, 6);
    strcpy(wanted, fixture_path(fixture->ckpt, "step_00000006"));
    assert_int_equal(checkpoint_resolve(&file_system_real, fixture->folder, path, NULL), STATUS_OK);
    assert_string_equal(path, wanted);
    assert_int_equal(checkpoint_resolve(&file_system_real, fixture->ckpt, path, NULL), STATUS_OK);
    assert_string_equal(path, wanted);
    assert_int_equal(checkpoint_resolve(&file_system_real, wanted, path, NULL), STATUS_OK);
    assert_string_equal(path, wanted);
}

/* Whether there is a folder, and its names, where the path leads to nothing, a file, or round in a circle. */
static void what_is_no_folder_is_told_from_what_cannot_be_read(void **state)
{
    const struct fixture *fixture = *state;
    struct folder_names names;
    struct error error = {0};
    char file[PATH_MAX], circle[PATH_MAX], path[PATH_MAX];
    bool found = true;

    strcpy(file, fixture_path(fixture->folder, "file"));
    strcpy(circle, fixture_path(fixture->folder, "circle"));
    fixture_write(file, "x", 1);
    assert_int_equal(symlink("circle", circle), 0);
    assert_int_equal(folder_find(fixture->folder, &found, NULL), STATUS_OK);
    assert_true(found);
    assert_int_equal(folder_find(fixture->ckpt, &found, NULL), STATUS_OK);
    assert_false(found);
    assert_int_equal(folder_find(fixture_path(file, "below"), &found, NULL), STATUS_OK);
    assert_false(found);
    assert_int_equal(folder_find(file, &found, &error), STATUS_INPUT);
    assert_non_null(strstr(error.message, "/file is no folder"));
    assert_int_equal(folder_find(circle, &found, &error), STATUS_STORAGE);
    assert_non_null(strstr(error.message, "/circle could not be read: Too many levels of symbolic links"));
    assert_int_equal(unlink(circle), 0);
    assert_int_equal(symlink("nowhere", circle), 0);
    assert_int_equal(folder_find(circle, &found, &error), STATUS_INPUT);
    assert_non_null(strstr(error.message, "/circle is a symbolic link to what is not there"));
    assert_int_equal(folder_names(circle, &names, NULL), STATUS_INPUT);
    assert_int_equal(folder_names(file, &names, NULL), STATUS_INPUT);
    assert_int_equal(unlink(circle), 0);
    assert_int_equal(symlink("circle", circle), 0);
    assert_int_equal(folder_names(circle, &names, NULL), STATUS_STORAGE);
    assert_int_equal(checkpoint_resolve(&file_system_real, fixture_path(file, "run"), path, &error), STATUS_INPUT);
    assert_non_null(strstr(error.message, "/file/run: there is no such folder"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_folder_that_is_not_there_has_no_checkpoint),
        TEST(the_newest_complete_checkpoint_wins),
        TEST(torn_and_partial_ones_are_ignored_and_reported),
        TEST(each_entry_has_its_condition),
        TEST(what_is_no_folder_is_told_from_what_cannot_be_read),
        TEST(one_that_lacks_any_of_its_files_is_torn),
        TEST(a_renamed_checkpoint_is_torn_in_its_run_and_opens_elsewhere),
        TEST(one_set_aside_counts_until_its_successor_is_there),
        TEST(a_run_a_ckpt_folder_and_a_checkpoint_resolve_to_a_checkpoint),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
