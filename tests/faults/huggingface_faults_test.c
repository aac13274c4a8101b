/* Import and export under failing file calls: the new folder is there whole, or nothing of it is. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "checkpoint/folder.h"
#include "checkpoint/verify.h"
#include "conversion/export.h"
#include "conversion/import.h"
#include "failing_files.h"
#include "fixture.h"
#include "huggingface/directory.h"

#define SOURCE LLMRUN_SOURCE_DIR "/tests/golden/huggingface/gpt2_fp32_shards"

static char source[PATH_MAX], target[PATH_MAX];

static int run_import(const struct file_system *fs, struct error *error)
{
    return import_directory(fs, SOURCE, target, NULL, 0, NULL, error);
}

static int run_export(const struct file_system *fs, struct error *error)
{
    const struct export_options options = {.fs = fs, .source = source, .target = target, .shard_bytes = 20000};
    struct export_report report;

    return export_checkpoint(&options, &report, error);
}

static void assert_whole_import(void)
{
    struct error error = {0};

    if (checkpoint_verify(&file_system_real, target, NULL, NULL, NULL, &error) != STATUS_OK)
        fail_msg("%s", error.message);
}

static void assert_whole_export(void)
{
    struct hf_directory directory;
    struct error error = {0};
    int64_t tensors = 0;

    if (hf_directory_open(&file_system_real, target, &directory, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    for (int64_t i = 0; i < directory.count; i++)
        tensors += directory.files[i].count;
    assert_int_equal(tensors, 28);
    assert_true(hf_is_directory(&file_system_real, target));
    hf_directory_close(&directory);
}

/* Fails the first call of a kind, then the second ... until a run has none left to fail. */
static void fail_each(const struct fixture *fixture, enum call call,
                      int (*run)(const struct file_system *, struct error *), void (*assert_whole)(void))
{
    int failed = 1;

    for (int n = 1; failed > 0; n++) {
        struct folder_names names = {0};
        struct failing_files files;
        struct error error = {0};
        int status;

        assert_true(n < 2000);
        failing_files_init(&files);
        files.call = call;
        files.first = files.last = n;
        files.problem = ENOSPC;
        status = run(&files.fs, &error);
        failed = files.failed;
        assert_int_equal(files.open, 0);
        if (status == STATUS_OK || folder_exists(target))
            assert_whole();
        else if (error.message[0] == '\0')
            fail_msg("call %d of kind %d failed without a sentence", n, (int)call);
        if (failed == 0)
            assert_int_equal(status, STATUS_OK);
        fixture_remove(target);
        assert_int_equal(folder_names(fixture->folder, &names, &error), STATUS_OK);
        for (int64_t i = 0; i < names.count; i++)
            if (strstr(names.names[i], "partial") != NULL)
                fail_msg("call %d of kind %d left %s", n, (int)call, names.names[i]);
        folder_names_finish(&names);
    }
}

static const enum call kinds[] = {CALL_OPEN, CALL_READ,        CALL_WRITE,       CALL_SIZE,
                                  CALL_SYNC, CALL_SYNC_FOLDER, CALL_MAKE_FOLDER, CALL_RENAME};

static void a_failed_import_leaves_nothing(void **state)
{
    const struct fixture *fixture = *state;

    snprintf(target, sizeof target, "%.3000s/new", fixture->folder);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        fail_each(fixture, kinds[i], run_import, assert_whole_import);
}

static void a_failed_export_leaves_nothing(void **state)
{
    const struct fixture *fixture = *state;

    snprintf(source, sizeof source, "%.3000s/source", fixture->folder);
    snprintf(target, sizeof target, "%.3000s/new", fixture->folder);
    assert_int_equal(import_directory(&file_system_real, SOURCE, source, NULL, 0, NULL, NULL), STATUS_OK);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        fail_each(fixture, kinds[i], run_export, assert_whole_export);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_failed_import_leaves_nothing, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_failed_export_leaves_nothing, fixture_setup, fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
