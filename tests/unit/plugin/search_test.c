#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "plugin/note.h"
#include "plugin/search.h"

static char root[64];
static struct plugin_search search;
static struct plugin_paths paths;

static void make(const char *name)
{
    char path[256];
    char *slash;
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", root, name);
    slash = strrchr(path, '/');
    *slash = '\0';
    mkdir(path, 0700);
    *slash = '/';
    file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
}

static int set_up(void **state)
{
    (void)state;
    memset(&search, 0, sizeof search);
    strcpy(root, "/tmp/llmrun-search-XXXXXX");
    return mkdtemp(root) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    char command[128];

    (void)state;
    plugin_paths_finish(&paths);
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command) == 0 ? 0 : -1;
}

static void run(void)
{
    struct error error = {0};

    plugin_paths_finish(&paths);
    if (plugin_search_run(&search, &paths, &error) != STATUS_OK)
        fail_msg("%s", error.message);
}

static void assert_path(int64_t index, const char *end)
{
    char path[256];

    assert_true(index < paths.count);
    snprintf(path, sizeof path, "%s/%s", root, end);
    assert_string_equal(paths.items[index].path, path);
}

static void the_order_is_named_then_listed_then_beside_then_installed(void **state)
{
    char named[128], list[512];

    (void)state;
    make("installed/libllmrun-d.so");
    make("beside/libllmrun-c.so");
    make("listed/libllmrun-b.so");
    make("file/libllmrun-b2.so");
    make("named/anything");
    snprintf(named, sizeof named, "%s/named/anything", root);
    snprintf(list, sizeof list, "%s/listed:%s/file/libllmrun-b2.so", root, root);
    strcpy(search.named[0].name, "mine");
    search.named[0].path = named;
    search.listed = list;
    snprintf(search.folders[0], sizeof search.folders[0], "%s/beside", root);
    snprintf(search.folders[2], sizeof search.folders[2], "%s/installed", root);
    run();
    assert_int_equal(paths.count, 5);
    assert_path(0, "named/anything");
    assert_int_equal(paths.items[0].named, LLMRUN_PLUGIN_BACKEND);
    assert_path(1, "listed/libllmrun-b.so");
    assert_int_equal(paths.items[1].named, 0);
    assert_path(2, "file/libllmrun-b2.so");
    assert_path(3, "beside/libllmrun-c.so");
    assert_path(4, "installed/libllmrun-d.so");
}

static void files_of_a_folder_come_by_name_and_others_are_no_candidates(void **state)
{
    (void)state;
    make("f/libllmrun-b.so");
    make("f/libllmrun-a.so");
    make("f/libother-c.so");
    make("f/libllmrun-a.so.1");
    make("f/llmrun-d.so");
    snprintf(search.folders[0], sizeof search.folders[0], "%s/f", root);
    run();
    assert_int_equal(paths.count, 2);
    assert_path(0, "f/libllmrun-a.so");
    assert_path(1, "f/libllmrun-b.so");
}

static void a_file_that_is_reached_twice_is_listed_once(void **state)
{
    char list[256];

    (void)state;
    make("f/libllmrun-a.so");
    snprintf(list, sizeof list, "%s/f:%s/f/../f:%s/f/libllmrun-a.so", root, root, root);
    search.listed = list;
    run();
    assert_int_equal(paths.count, 1);
    assert_path(0, "f/libllmrun-a.so");
}

static void the_current_folder_is_never_searched(void **state)
{
    char old[512];

    (void)state;
    make("here/libllmrun-a.so");
    snprintf(search.folders[0], sizeof search.folders[0], "%s/here", root);
    assert_non_null(getcwd(old, sizeof old));
    assert_int_equal(chdir(search.folders[0]), 0);
    search.folders[0][0] = '\0';
    search.listed = "::";
    run();
    assert_int_equal(paths.count, 0);
    search.listed = "";
    run();
    assert_int_equal(paths.count, 0);
    assert_int_equal(chdir(old), 0);
}

static void what_the_user_named_is_listed_even_when_missing(void **state)
{
    char list[256];

    (void)state;
    snprintf(list, sizeof list, "%s/no-such-folder", root);
    search.listed = list;
    snprintf(search.folders[0], sizeof search.folders[0], "%s/no-such-either", root);
    run();
    assert_int_equal(paths.count, 1);
    assert_path(0, "no-such-folder");
    assert_int_equal(paths.items[0].missing, ENOENT);
}

static void a_name_with_a_path_is_taken_apart(void **state)
{
    struct error error = {0};

    (void)state;
    assert_int_equal(plugin_search_default(&search, "mine=/a/b=c.so", &error), STATUS_OK);
    assert_string_equal(search.named[0].name, "mine");
    assert_string_equal(search.named[0].path, "/a/b=c.so");
    assert_int_equal(plugin_search_default(&search, "cpu", &error), STATUS_OK);
    assert_string_equal(search.named[0].name, "");
    assert_null(search.named[0].path);
    assert_int_equal(plugin_search_default(&search, "=x", &error), STATUS_USAGE);
    assert_int_equal(plugin_search_default(&search, "x=", &error), STATUS_USAGE);
    assert_string_equal(error.message, "the backend 'x=' is not of the form name=path");
    assert_int_equal(plugin_search_name(&search, LLMRUN_PLUGIN_COLLECTIVE, "ring=/r.so", &error), STATUS_OK);
    assert_string_equal(search.named[1].name, "ring");
    assert_string_equal(search.named[1].path, "/r.so");
    assert_int_equal(plugin_search_name(&search, LLMRUN_PLUGIN_COLLECTIVE, "y=", &error), STATUS_USAGE);
    assert_string_equal(error.message, "the collective 'y=' is not of the form name=path");
}

static void the_folder_beside_the_program_is_searched(void **state)
{
    struct error error = {0};
    char *own = realpath("/proc/self/exe", NULL);
    char expected[512];

    (void)state;
    assert_non_null(own);
    *strrchr(own, '/') = '\0';
    snprintf(expected, sizeof expected, "%s/../lib/llmrun", own);
    free(own);
    setenv("LLMRUN_BACKEND_PATH", "/some/where", 1);
    assert_int_equal(plugin_search_default(&search, NULL, &error), STATUS_OK);
    unsetenv("LLMRUN_BACKEND_PATH");
    assert_string_equal(search.folders[0], expected);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_order_is_named_then_listed_then_beside_then_installed),
        CASE(files_of_a_folder_come_by_name_and_others_are_no_candidates),
        CASE(a_file_that_is_reached_twice_is_listed_once),
        CASE(the_current_folder_is_never_searched),
        CASE(what_the_user_named_is_listed_even_when_missing),
        CASE(a_name_with_a_path_is_taken_apart),
        CASE(the_folder_beside_the_program_is_searched),
    };

    return cmocka_run_group_tests_name("plugin search", tests, NULL, NULL);
}
