/* The files of an open checkpoint as a table of files: what was read and checked when it was opened, and the folder's
 * other files as they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint/checkpoint.h"
#include "checkpoint/folder.h"
#include "fixture.h"

static struct checkpoint checkpoint;
static char stored[PATH_MAX], other[PATH_MAX]; /* a file of the manifest; one beside the checkpoint */
static char *text;                             /* of the first */
static int64_t bytes;

static int open_one(void **state)
{
    struct fixture *fixture;

    if (fixture_setup(state) != 0)
        return -1;
    fixture = *state;
    fixture_save(fixture->ckpt, 1);
    strcpy(other, fixture_path(fixture->folder, "other"));
    fixture_write(other, "abcdef", 6);
    assert_int_equal(
        checkpoint_open(&file_system_real, fixture_path(fixture->ckpt, "step_00000001"), &checkpoint, NULL), STATUS_OK);
    strcpy(stored, fixture_path(checkpoint.folder, "vocab.json"));
    text = fixture_read(stored, &bytes);
    return 0;
}

static int close_it(void **state)
{
    checkpoint_close(&checkpoint);
    free(text);
    return fixture_teardown(state);
}

static void a_stored_file_is_read_from_any_byte_to_its_end(void **state)
{
    const struct file_system *fs = checkpoint_files(&checkpoint);
    int handle = fs->open(fs, stored, FILE_READ);
    char memory[4096];

    (void)state;
    assert_true(handle >= 0);
    assert_int_equal(fs->size(fs, handle), bytes);
    fixture_write(stored, "", 0); /* what is on the disk no longer matters */
    assert_true(bytes > 3 && bytes < (int64_t)sizeof memory);
    for (int64_t offset = 0; offset < bytes; offset++) {
        assert_int_equal(fs->read(fs, handle, memory, sizeof memory, offset), bytes - offset);
        assert_memory_equal(memory, text + offset, (size_t)(bytes - offset));
    }
    memory[2] = '#';
    assert_int_equal(fs->read(fs, handle, memory, 2, 1), 2);
    assert_memory_equal(memory, text + 1, 2);
    assert_int_equal(memory[2], '#');
    assert_int_equal(fs->read(fs, handle, memory, 1, bytes), 0);
    assert_int_equal(fs->read(fs, handle, memory, 1, bytes + 1), 0);
    assert_int_equal(fs->read(fs, handle, memory, 1, -1), 0);
    assert_int_equal(fs->close(fs, handle), 0);
}

static void nothing_changes_a_stored_file(void **state)
{
    const struct file_system *fs = checkpoint_files(&checkpoint);
    int handle = fs->open(fs, stored, FILE_READ);
    char memory[4096];

    (void)state;
    assert_int_equal(fs->write(fs, handle, "x", 1), -EBADF);
    assert_int_equal(fs->truncate(fs, handle, 0), -EBADF);
    assert_int_equal(fs->sync(fs, handle), 0);
    assert_int_equal(fs->read(fs, handle, memory, sizeof memory, 0), bytes);
    assert_int_equal(fs->close(fs, handle), 0);
    assert_int_equal(fs->open(fs, stored, FILE_CREATE), -EROFS);
    assert_int_equal(fs->open(fs, stored, FILE_APPEND), -EROFS);
    assert_int_equal(fs->open(fs, fixture_path(checkpoint.folder, "manifest.json"), FILE_READ), -ENOENT);
    assert_int_equal(fs->open(fs, fixture_path(checkpoint.folder, "new"), FILE_READ), -ENOENT);
}

static void other_files_are_those_of_the_table_below(void **state)
{
    const struct file_system *fs = checkpoint_files(&checkpoint);
    int handle = fs->open(fs, other, FILE_READ);
    char memory[8], *found;
    int64_t length;

    (void)state;
    assert_int_equal(fs->size(fs, handle), 6);
    assert_int_equal(fs->read(fs, handle, memory, sizeof memory, 2), 4);
    assert_memory_equal(memory, "cdef", 4);
    assert_int_equal(fs->sync(fs, handle), 0);
    assert_int_equal(fs->close(fs, handle), 0);
    assert_int_equal(fs->read(fs, handle, memory, 1, 0), -EBADF); /* it is closed indeed */

    handle = fs->open(fs, other, FILE_APPEND);
    assert_int_equal(fs->write(fs, handle, "gh", 2), 2);
    assert_int_equal(fs->truncate(fs, handle, 7), 0);
    assert_int_equal(fs->close(fs, handle), 0);
    assert_int_equal(fs->sync(fs, handle), -EBADF);
    found = fixture_read(other, &length);
    assert_int_equal(length, 7);
    assert_memory_equal(found, "abcdefg", 7);
    free(found);
}

/* The first file of a checkpoint that is all small files, opened by the shortest name of its folder. */
static void a_checkpoint_without_tensors_has_its_files(void **state)
{
    const struct fixture *fixture = *state;
    struct checkpoint_snapshot snapshot;
    struct checkpoint small;
    char *found = NULL;
    int64_t length = 0;

    fixture_snapshot(&file_system_real, fixture->ckpt, 2, &snapshot);
    snapshot.count = 0;
    assert_int_equal(checkpoint_save(&snapshot, NULL, NULL), STATUS_OK);
    assert_int_equal(chdir(fixture_path(fixture->ckpt, "step_00000002")), 0);
    assert_int_equal(checkpoint_open(&file_system_real, ".", &small, NULL), STATUS_OK);
    fixture_write("vocab.json", "", 0);
    assert_int_equal(file_read_all(checkpoint_files(&small), "./vocab.json", 100, &found, &length, NULL), STATUS_OK);
    assert_string_equal(found, "{\"a\": 2}");
    free(found);
    assert_int_equal(chdir("/"), 0);
    checkpoint_close(&small);
}

static void folders_are_those_of_the_table_below(void **state)
{
    const struct fixture *fixture = *state;
    const struct file_system *fs = checkpoint_files(&checkpoint);
    char from[PATH_MAX], to[PATH_MAX];

    strcpy(from, fixture_path(fixture->folder, "made"));
    strcpy(to, fixture_path(fixture->folder, "renamed"));
    assert_int_equal(fs->make_folder(fs, from), 0);
    assert_true(folder_exists(from));
    assert_int_equal(fs->rename(fs, from, to), 0);
    assert_true(folder_exists(to));
    assert_int_equal(fs->sync_folder(fs, to), 0);
    assert_true(fs->free_bytes(fs, to) >= 0);
    assert_int_equal(fs->remove(fs, to), 0);
    assert_false(folder_exists(to));
    assert_int_equal(fs->rename(fs, from, to), -ENOENT);
    assert_int_equal(fs->sync_folder(fs, to), -ENOENT);
    assert_int_equal(fs->free_bytes(fs, to), -ENOENT);
    assert_int_equal(fs->remove(fs, to), -ENOENT);
    assert_int_equal(fs->make_folder(fs, fixture_path(to, "below")), -ENOENT);
}

/* Opens name of another checkpoint's folder to read; 0 for a handle. */
static int open_there(const struct file_system *fs, const char *folder, const char *name)
{
    int handle = fs->open(fs, fixture_path(folder, name), FILE_READ);

    return handle >= 0 ? fs->close(fs, handle) : handle;
}

static void expect_compared(const struct file_system *fs, const char *ckpt)
{
    char folder[PATH_MAX], changed[100], *whole;
    int64_t length;

    fixture_save(ckpt, 2);
    strcpy(folder, fixture_path(ckpt, "step_00000002"));
    assert_int_equal(open_there(fs, folder, "vocab.json"), 0);
    assert_int_equal(open_there(fs, folder, "manifest.json"), 0);
    assert_int_equal(open_there(fs, folder, "none"), -ENOENT);
    fixture_write(fixture_path(folder, "stray"), "x", 1);
    assert_int_equal(open_there(fs, folder, "stray"), -ENOENT);

    whole = fixture_read(fixture_path(folder, "vocab.json"), &length);
    memcpy(changed, whole, (size_t)length);
    changed[length] = changed[length - 1];
    fixture_write(fixture_path(folder, "vocab.json"), changed, (size_t)length + 1);
    assert_int_equal(open_there(fs, folder, "vocab.json"), -FILE_DAMAGED);
    fixture_write(fixture_path(folder, "vocab.json"), changed, (size_t)length - 1);
    assert_int_equal(open_there(fs, folder, "vocab.json"), -FILE_DAMAGED);
    changed[0] ^= 1;
    fixture_write(fixture_path(folder, "vocab.json"), changed, (size_t)length);
    assert_int_equal(open_there(fs, folder, "vocab.json"), -FILE_DAMAGED);
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(fs->open(fs, "vocab.json", FILE_READ), -FILE_DAMAGED);
    fixture_write(fixture_path(folder, "vocab.json"), whole, (size_t)length);
    assert_int_equal(open_there(fs, folder, "vocab.json"), 0);
    assert_int_equal(chdir("/"), 0);
    free(whole);

    /* A shard is not read for that: its tensors are checked when they are. */
    fixture_write(fixture_path(folder, "tensors-00001.safetensors"), "x", 1);
    assert_int_equal(open_there(fs, folder, "tensors-00001.safetensors"), 0);

    fixture_write(fixture_path(folder, "manifest.json"), "{}", 2);
    assert_int_equal(open_there(fs, folder, "vocab.json"), -FILE_DAMAGED);
    assert_int_equal(open_there(fs, folder, "manifest.json"), 0);
    assert_int_equal(unlink(fixture_path(folder, "manifest.json")), 0);
    assert_int_equal(open_there(fs, folder, "vocab.json"), 0);
    assert_int_equal(fs->make_folder(fs, fixture_path(folder, "manifest.json")), 0);
    assert_int_equal(open_there(fs, folder, "vocab.json"), -EISDIR);
}

static void a_small_file_of_another_checkpoint_is_compared_when_it_is_opened(void **state)
{
    const struct fixture *fixture = *state;

    expect_compared(checkpoint_files(&checkpoint), fixture->ckpt);
}

static void so_it_is_without_a_checkpoint_that_is_open(void **state)
{
    const struct fixture *fixture = *state;

    expect_compared(checkpoint_files_anywhere(), fixture->ckpt);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_one, close_it)
    const struct CMUnitTest tests[] = {
        TEST(a_stored_file_is_read_from_any_byte_to_its_end),
        TEST(nothing_changes_a_stored_file),
        TEST(other_files_are_those_of_the_table_below),
        TEST(a_checkpoint_without_tensors_has_its_files),
        TEST(folders_are_those_of_the_table_below),
        TEST(a_small_file_of_another_checkpoint_is_compared_when_it_is_opened),
        TEST(so_it_is_without_a_checkpoint_that_is_open),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
