/* A folder that is there whole or not at all. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "checkpoint/folder.h"
#include "conversion/new_folder.h"
#include "fixture.h"

static void begin(struct new_folder *folder, const char *path)
{
    struct error error = {0};

    if (new_folder_begin(folder, &file_system_real, path, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    assert_true(folder_exists(folder->partial));
}

static void refused(const char *path, const char *sentence)
{
    struct new_folder folder;
    struct error error = {0};

    assert_int_equal(new_folder_begin(&folder, &file_system_real, path, &error), STATUS_USAGE);
    if (strstr(error.message, sentence) == NULL)
        fail_msg("'%s' has no '%s'", error.message, sentence);
    new_folder_abandon(&folder, NULL);
}

static void a_folder_appears_with_all_that_was_written_when_it_is_committed(void **state)
{
    static const char *const ends[] = {"", "/", "//"}; /* behind its name */
    const struct fixture *fixture = *state;
    struct folder_names names = {0};
    struct new_folder folder;
    char wanted[PATH_MAX], given[PATH_MAX];
    int64_t bytes;

    strcpy(wanted, fixture_path(fixture->folder, "new"));
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        char *text;

        snprintf(given, sizeof given, "%s%s", wanted, ends[i]);
        begin(&folder, given);
        assert_string_equal(folder.final, wanted);
        assert_false(folder_exists(wanted));
        fixture_write(fixture_path(folder.partial, "a"), "12", 2);
        assert_int_equal(new_folder_commit(&folder, NULL, NULL), STATUS_OK);
        text = fixture_read(fixture_path(wanted, "a"), &bytes);
        assert_int_equal(bytes, 2);
        free(text);
        new_folder_abandon(&folder, NULL); /* nothing of what is committed */
        assert_true(folder_exists(wanted));
        assert_int_equal(folder_names(fixture->folder, &names, NULL), STATUS_OK);
        assert_int_equal(names.count, 1);
        folder_names_finish(&names);
        names = (struct folder_names){0};
        fixture_remove(wanted);
    }
}

static void a_folder_in_it_can_be_what_appears(void **state)
{
    const struct fixture *fixture = *state;
    struct new_folder folder;
    char wanted[PATH_MAX], partial[PATH_MAX], inner[PATH_MAX];

    strcpy(wanted, fixture_path(fixture->folder, "new"));
    begin(&folder, wanted);
    strcpy(partial, folder.partial);
    strcpy(inner, fixture_path(partial, "inner"));
    assert_int_equal(file_make_folders(&file_system_real, inner, NULL), STATUS_OK);
    fixture_write(fixture_path(inner, "a"), "1", 1);
    assert_int_equal(new_folder_commit(&folder, "inner", NULL), STATUS_OK);
    assert_int_equal(access(fixture_path(wanted, "a"), F_OK), 0);
    assert_false(folder_exists(partial));
}

static void what_is_abandoned_leaves_nothing(void **state)
{
    const struct fixture *fixture = *state;
    struct new_folder folder;
    struct folder_names names = {0};
    char wanted[PATH_MAX];

    strcpy(wanted, fixture_path(fixture->folder, "new"));
    for (int inner = 0; inner < 3; inner++) {
        begin(&folder, wanted);
        fixture_write(fixture_path(folder.partial, "a"), "1", 1);
        if (inner == 2) {
            char below[PATH_MAX];

            strcpy(below, fixture_path(folder.partial, "inner"));
            assert_int_equal(file_make_folders(&file_system_real, below, NULL), STATUS_OK);
            fixture_write(fixture_path(below, "b"), "1", 1);
        }
        new_folder_abandon(&folder, inner > 0 ? "inner" : NULL);
        assert_int_equal(folder_names(fixture->folder, &names, NULL), STATUS_OK);
        assert_int_equal(names.count, 0);
        folder_names_finish(&names);
        names = (struct folder_names){0};
    }
}

static void only_an_empty_folder_is_replaced(void **state)
{
    const struct fixture *fixture = *state;
    struct new_folder folder;
    char file[PATH_MAX], empty[PATH_MAX], full[PATH_MAX];

    strcpy(file, fixture_path(fixture->folder, "file"));
    fixture_write(file, "1", 1);
    refused(file, "is there already and is no folder; name a new one");
    strcpy(full, fixture_path(fixture->folder, "full"));
    assert_int_equal(file_make_folders(&file_system_real, full, NULL), STATUS_OK);
    fixture_write(fixture_path(full, "a"), "1", 1);
    refused(full, "is there already and is not empty; name a new folder");
    strcpy(empty, fixture_path(fixture->folder, "empty"));
    assert_int_equal(file_make_folders(&file_system_real, empty, NULL), STATUS_OK);
    begin(&folder, empty);
    fixture_write(fixture_path(folder.partial, "a"), "1", 1);
    assert_int_equal(new_folder_commit(&folder, NULL, NULL), STATUS_OK);
    assert_int_equal(access(fixture_path(empty, "a"), F_OK), 0);
}

/* The partial folder has 32 bytes more at most, and PATH_MAX is the end. */
static void a_name_that_is_none_or_too_long_is_refused(void **state)
{
    static char path[PATH_MAX + 100];

    (void)state;
    refused("", "the folder to write has no name");
    for (size_t length = PATH_MAX - 32; length < sizeof path; length += 5) {
        memset(path, 'a', length);
        path[0] = '/';
        path[length] = '\0';
        refused(path, "the folder to write has too long a path");
    }
}

/* Its entry is in the working directory, or in the root. */
static void the_folder_above_a_plain_name_is_the_working_directory(void **state)
{
    const struct fixture *fixture = *state;
    char before[PATH_MAX];
    struct new_folder folder;

    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(fixture->folder), 0);
    begin(&folder, "new");
    assert_int_equal(new_folder_commit(&folder, NULL, NULL), STATUS_OK);
    assert_true(folder_exists("new"));
    assert_int_equal(chdir(before), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_folder_appears_with_all_that_was_written_when_it_is_committed),
        TEST(a_folder_in_it_can_be_what_appears),
        TEST(what_is_abandoned_leaves_nothing),
        TEST(only_an_empty_folder_is_replaced),
        TEST(a_name_that_is_none_or_too_long_is_refused),
        TEST(the_folder_above_a_plain_name_is_the_working_directory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
