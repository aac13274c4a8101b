/* What cannot be read is not damaged: each read of a search, an opening, a verification and a save fails, once and from
 * then on, and no older checkpoint takes the place of the newest, nothing is called damaged and nothing is lost. And
 * what a run removes meanwhile is read to the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/find.h"
#include "checkpoint/verify.h"
#include "every.h"
#include "failing_files.h"
#include "fixture.h"

static const int problems[] = {EIO, ESTALE, EACCES, EPERM, ENOMEM, EMFILE, ENFILE, ETIMEDOUT};
static const enum call calls[] = {CALL_OPEN, CALL_READ, CALL_SIZE};

/* What is done with a file system that fails; returns a status. */
typedef int job(const struct file_system *fs, const char *ckpt, struct error *error);

static int find(const struct file_system *fs, const char *ckpt, struct error *error)
{
    char path[PATH_MAX];
    bool found = false;
    int status = checkpoint_find_newest(fs, ckpt, path, &found, error);

    if (status == STATUS_OK) {
        assert_true(found);
        assert_string_equal(path, fixture_path(ckpt, "step_00000002"));
    }
    return status;
}

static int open_newest(const struct file_system *fs, const char *ckpt, struct error *error)
{
    struct checkpoint checkpoint;
    int status = checkpoint_open_given(fs, ckpt, &checkpoint, error);

    if (status == STATUS_OK)
        assert_int_equal(checkpoint.manifest.step, 2);
    checkpoint_close(&checkpoint);
    return status;
}

static int verify(const struct file_system *fs, const char *ckpt, struct error *error)
{
    return checkpoint_verify(fs, fixture_path(ckpt, "step_00000002"), NULL, NULL, NULL, error);
}

/* Over the newest one, and with less to keep than is there. */
static int save_again(const struct file_system *fs, const char *ckpt, struct error *error)
{
    struct checkpoint_snapshot snapshot;
    char path[PATH_MAX];
    int status;

    fixture_snapshot(fs, ckpt, 2, &snapshot);
    snapshot.keep = 1;
    status = checkpoint_save(&snapshot, NULL, error);
    strcpy(path, fixture_path(ckpt, "step_00000002"));
    assert_true(fixture_is_step(path, 2));
    fixture_save(ckpt, 1);
    fixture_save(ckpt, 2);
    return status;
}

/* How many calls of the kind the job makes. */
static int count_calls(job *run, const char *ckpt, enum call call)
{
    struct failing_files files;
    struct error error = {0};

    failing_files_init(&files);
    if (run(&files.fs, ckpt, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    return files.calls[call];
}

static void fail_each_read(const char *ckpt, job *run)
{
    int cases = 0;

    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        const int most = count_calls(run, ckpt, calls[i]);

        for (int n = 1; n <= most; n += EVERY(5))
            for (size_t j = 0; j < 2 * sizeof problems / sizeof problems[0]; j++) {
                struct failing_files files;
                struct error error = {0};
                int status;

                failing_files_init(&files);
                files.call = calls[i];
                files.first = n;
                files.last = j % 2 == 0 ? n : INT_MAX;
                files.problem = problems[j / 2];
                status = run(&files.fs, ckpt, &error);
                cases++;
                assert_true(files.failed > 0);
                assert_int_equal(files.open, 0);
                assert_true(status == STATUS_STORAGE || status == STATUS_OK);
                if (status != STATUS_OK) {
                    assert_non_null(strstr(error.message, ckpt));
                    assert_non_null(strstr(error.message, strerror(files.problem)));
                }
            }
    }
    print_message("%d cases\n", cases);
}

static void with_two_checkpoints(void **state, job *run)
{
    struct fixture *fixture = *state;

    log_set_level(LOG_ERROR);
    fixture_save(fixture->ckpt, 1);
    fixture_save(fixture->ckpt, 2);
    fail_each_read(fixture->ckpt, run);
    log_set_level(LOG_INFO);
}

static void a_search_that_cannot_read_finds_no_older_checkpoint(void **state)
{
    with_two_checkpoints(state, find);
}

static void an_opening_that_cannot_read_is_a_storage_error(void **state)
{
    with_two_checkpoints(state, open_newest);
}

static void a_verification_that_cannot_read_finds_no_damage(void **state)
{
    with_two_checkpoints(state, verify);
}

static void a_save_that_cannot_read_loses_nothing(void **state)
{
    with_two_checkpoints(state, save_again);
}

static void a_checkpoint_that_is_removed_after_it_was_opened_is_read_to_the_end(void **state)
{
    struct fixture *fixture = *state;
    struct checkpoint checkpoint;
    unsigned char memory[512];
    char *text = NULL;
    int64_t bytes;

    fixture_save(fixture->ckpt, 1);
    assert_int_equal(
        checkpoint_open(&file_system_real, fixture_path(fixture->ckpt, "step_00000001"), &checkpoint, NULL), STATUS_OK);
    fixture_remove(fixture->ckpt);
    for (int64_t i = 0; i < checkpoint.manifest.tensor_count; i++)
        assert_int_equal(checkpoint_read(&checkpoint, &checkpoint.manifest.tensors[i], memory,
                                         checkpoint.manifest.tensors[i].bytes, NULL),
                         STATUS_OK);
    assert_int_equal(file_read_all(checkpoint_files(&checkpoint), fixture_path(checkpoint.folder, "vocab.json"), 100,
                                   &text, &bytes, NULL),
                     STATUS_OK);
    assert_string_equal(text, "{\"a\": 1}");
    free(text);
    checkpoint_close(&checkpoint);
}

static void readers_of_a_checkpoint_see_its_files_and_no_others_there(void **state)
{
    struct fixture *fixture = *state;
    struct checkpoint checkpoint;
    char folder[PATH_MAX];
    const struct file_system *files;

    fixture_save(fixture->ckpt, 1);
    strcpy(folder, fixture_path(fixture->ckpt, "step_00000001"));
    fixture_write(fixture_path(folder, "added_tokens.json"), "{}", 2);
    fixture_write(fixture_path(fixture->folder, "added_tokens.json"), "{}", 2);
    assert_int_equal(checkpoint_open(&file_system_real, folder, &checkpoint, NULL), STATUS_OK);
    files = checkpoint_files(&checkpoint);
    assert_true(file_is_there(files, fixture_path(folder, "vocab.json")));
    assert_false(file_is_there(files, fixture_path(folder, "added_tokens.json")));
    assert_true(file_is_there(files, fixture_path(fixture->folder, "added_tokens.json")));
    assert_int_equal(files->open(files, fixture_path(folder, "new"), FILE_CREATE), -EROFS);
    checkpoint_close(&checkpoint);
}

/* Whole, one tensor after the other and back, so that the shards take turns; `held` files are open at most. */
static int read_both_ways(struct checkpoint *checkpoint, const struct failing_files *files, int held,
                          struct error *error)
{
    unsigned char memory[512];
    const int64_t count = checkpoint->manifest.tensor_count;
    int status = STATUS_OK;

    for (int64_t i = 0; status == STATUS_OK && i < 2 * count; i++) {
        const struct manifest_tensor *tensor = &checkpoint->manifest.tensors[i < count ? i : 2 * count - 1 - i];

        status = checkpoint_read(checkpoint, tensor, memory, tensor->bytes, error);
        assert_in_range(files->open, 0, held);
    }
    return status;
}

/* 5 tensors lie in 4 shards: the empty one has no bytes that the next would go beyond. */
static void hold_with_limit(const struct fixture *fixture, rlim_t limit, int held)
{
    struct rlimit before, few;
    struct checkpoint_snapshot snapshot;
    struct checkpoint checkpoint;
    struct failing_files files;
    struct error error = {0};
    int opened;

    fixture_snapshot(&file_system_real, fixture->ckpt, 1, &snapshot);
    snapshot.target.shard_bytes = 1;
    assert_int_equal(checkpoint_save(&snapshot, NULL, NULL), STATUS_OK);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = (struct rlimit){limit, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    assert_int_equal(checkpoint_most_held(), held);
    failing_files_init(&files);
    assert_int_equal(checkpoint_open(&files.fs, fixture_path(fixture->ckpt, "step_00000001"), &checkpoint, &error),
                     STATUS_OK);
    opened = files.calls[CALL_OPEN];
    assert_int_equal(read_both_ways(&checkpoint, &files, held, &error), STATUS_OK);
    assert_true(files.calls[CALL_OPEN] > opened);
    /* One that cannot be opened again is not taken for another file, then or later. */
    files.call = CALL_OPEN;
    files.problem = EIO;
    files.first = files.last = files.calls[CALL_OPEN] + 1;
    assert_int_equal(read_both_ways(&checkpoint, &files, held, &error), STATUS_STORAGE);
    assert_non_null(strstr(error.message, strerror(EIO)));
    assert_int_equal(read_both_ways(&checkpoint, &files, held, &error), STATUS_OK);
    checkpoint_close(&checkpoint);
    assert_int_equal(files.open, 0);
    few.rlim_cur = 1024 < before.rlim_max ? 1024 : before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    assert_int_equal(checkpoint_most_held(), few.rlim_cur / 4);
    few.rlim_cur = 2048;
    if (before.rlim_max >= 2048) {
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        assert_int_equal(checkpoint_most_held(), 256);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

/* A tensor a shard, and room for three files. */
static void more_shards_than_can_be_held_are_read_one_after_the_other(void **state)
{
    struct fixture *fixture = *state;
    struct checkpoint_snapshot snapshot;
    struct rlimit before, few;
    struct failing_files files;
    char path[PATH_MAX];

    failing_files_init(&files);
    fixture_snapshot(&files.fs, fixture->ckpt, 1, &snapshot);
    snapshot.target.shard_bytes = 1;
    assert_int_equal(checkpoint_save(&snapshot, NULL, NULL), STATUS_OK);
    strcpy(path, fixture_path(fixture->ckpt, "step_00000001"));
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = 12;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    assert_int_equal(checkpoint_most_held(), 3);
    assert_true(fixture_is_step(path, 1));
    assert_int_equal(checkpoint_verify(&file_system_real, path, NULL, NULL, NULL, NULL), STATUS_OK);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void shards_that_can_be_held_together_are_not_opened_again(void **state)
{
    const struct fixture *fixture = *state;
    struct rlimit before, few;
    struct checkpoint_snapshot snapshot;
    struct checkpoint checkpoint;
    struct failing_files files;
    unsigned char memory[512];
    int opened;

    fixture_snapshot(&file_system_real, fixture->ckpt, 1, &snapshot);
    snapshot.target.shard_bytes = 1;
    assert_int_equal(checkpoint_save(&snapshot, NULL, NULL), STATUS_OK);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = (struct rlimit){12, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    failing_files_init(&files);
    assert_int_equal(checkpoint_open(&files.fs, fixture_path(fixture->ckpt, "step_00000001"), &checkpoint, NULL),
                     STATUS_OK);
    opened = files.calls[CALL_OPEN];
    for (int64_t i = 0; i < 12; i++) {
        const struct manifest_tensor *tensor = &checkpoint.manifest.tensors[i % 3];

        assert_int_equal(checkpoint_read(&checkpoint, tensor, memory, tensor->bytes, NULL), STATUS_OK);
    }
    /* Of the four shards the last is held at first. The third goes beyond the limit, which closes all; it and the first
     * two again make five. */
    assert_int_equal(files.calls[CALL_OPEN] - opened, 5);
    checkpoint_close(&checkpoint);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void a_process_of_few_descriptors_holds_a_quarter_of_them(void **state)
{
    hold_with_limit(*state, 12, 3);
    hold_with_limit(*state, 7, 1);
}

#define STEPS (200 / EVERY(4))

/* Saves without a rest, in a process of its own. */
static void save_all(const char *ckpt)
{
    struct failing_files files;

    failing_files_init(&files);
    for (int64_t step = 2; step <= STEPS; step++) {
        struct checkpoint_snapshot snapshot;

        fixture_snapshot(&files.fs, ckpt, step, &snapshot);
        snapshot.keep = 1;
        if (checkpoint_save(&snapshot, NULL, NULL) != STATUS_OK)
            _exit(1);
    }
    _exit(0);
}

static int read_newest(const char *ckpt, int64_t *step, struct error *error)
{
    struct checkpoint checkpoint;
    unsigned char memory[512];
    int status = checkpoint_open_given(&file_system_real, ckpt, &checkpoint, error);

    *step = checkpoint.manifest.step;
    for (int64_t i = 0; status == STATUS_OK && i < checkpoint.manifest.tensor_count; i++)
        status = checkpoint_read(&checkpoint, &checkpoint.manifest.tensors[i], memory,
                                 checkpoint.manifest.tensors[i].bytes, error);
    checkpoint_close(&checkpoint);
    return status;
}

static int verify_newest(const char *ckpt, struct error *error)
{
    char path[PATH_MAX];
    int status;

    do {
        status = checkpoint_resolve(&file_system_real, ckpt, path, error);
        if (status == STATUS_OK)
            status = checkpoint_verify(&file_system_real, path, NULL, NULL, NULL, error);
    } while (status == STATUS_INPUT && path[0] != '\0' && checkpoint_moved_on(&file_system_real, ckpt, path));
    return status;
}

static void a_run_that_keeps_one_checkpoint_is_read_while_it_saves(void **state)
{
    struct fixture *fixture = *state;
    int64_t last = 0, step = 0;
    int ended = 0;
    pid_t writer;

    log_set_level(LOG_ERROR);
    fixture_save(fixture->ckpt, 1);
    writer = fork();
    if (writer == 0)
        save_all(fixture->ckpt);
    while (waitpid(writer, &ended, WNOHANG) == 0) {
        struct error error = {0};

        if (read_newest(fixture->ckpt, &step, &error) != STATUS_OK || verify_newest(fixture->ckpt, &error) != STATUS_OK)
            fail_msg("%s", error.message);
        assert_true(step >= last);
        last = step;
    }
    log_set_level(LOG_INFO);
    assert_true(WIFEXITED(ended) && WEXITSTATUS(ended) == 0);
    assert_int_equal(read_newest(fixture->ckpt, &step, NULL), STATUS_OK);
    assert_int_equal(step, STEPS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_search_that_cannot_read_finds_no_older_checkpoint),
        TEST(an_opening_that_cannot_read_is_a_storage_error),
        TEST(a_verification_that_cannot_read_finds_no_damage),
        TEST(a_save_that_cannot_read_loses_nothing),
        TEST(a_checkpoint_that_is_removed_after_it_was_opened_is_read_to_the_end),
        TEST(a_process_of_few_descriptors_holds_a_quarter_of_them),
        TEST(shards_that_can_be_held_together_are_not_opened_again),
        TEST(readers_of_a_checkpoint_see_its_files_and_no_others_there),
        TEST(more_shards_than_can_be_held_are_read_one_after_the_other),
        TEST(a_run_that_keeps_one_checkpoint_is_read_while_it_saves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
