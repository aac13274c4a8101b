#include "base/file.h"

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

/* The real file system, but for reads and writes that are cut short, interrupted, or fail once `room` bytes are
 * through. */
struct odd_files {
    struct file_system fs; /* first: the table is this struct */
    size_t longest;        /* bytes of one read or write */
    int64_t room;          /* bytes until `problem` */
    int problem;           /* errno value; 0: the call returns 0 bytes */
    int calls;             /* each other one is interrupted */
};

/* Bytes that may pass now, or what the call returns instead. */
static int64_t allow(struct odd_files *files, size_t bytes)
{
    int64_t allowed = (int64_t)(bytes < files->longest ? bytes : files->longest);

    if (files->calls++ % 2 == 0)
        return -EINTR;
    if (files->room == 0)
        return -files->problem;
    allowed = allowed < files->room ? allowed : files->room;
    files->room -= allowed;
    return allowed;
}

static int64_t odd_read(const struct file_system *fs, int handle, void *data, size_t bytes, int64_t offset)
{
    int64_t allowed = allow((struct odd_files *)(uintptr_t)fs, bytes);

    return allowed > 0 ? file_system_real.read(fs, handle, data, (size_t)allowed, offset) : allowed;
}

static int64_t odd_write(const struct file_system *fs, int handle, const void *data, size_t bytes)
{
    int64_t allowed = allow((struct odd_files *)(uintptr_t)fs, bytes);

    return allowed > 0 ? file_system_real.write(fs, handle, data, (size_t)allowed) : allowed;
}

static void odd_files_init(struct odd_files *files, size_t longest, int64_t room, int problem)
{
    *files = (struct odd_files){.fs = file_system_real, .longest = longest, .room = room, .problem = problem};
    files->fs.read = odd_read;
    files->fs.write = odd_write;
}

/* A folder of its own for each test. */
static int make_folder(void **state)
{
    char *folder = malloc(64);

    strcpy(folder, "/tmp/llmrun-base-XXXXXX");
    *state = mkdtemp(folder);
    return *state == NULL;
}

static int remove_folder(void **state)
{
    char command[128];
    int failed;

    snprintf(command, sizeof command, "rm -rf '%s'", (char *)*state);
    failed = system(command);
    free(*state);
    return failed;
}

static const char *path_in(void **state, const char *name)
{
    static char path[256];

    assert_true(file_join(path, sizeof path, *state, name));
    return path;
}

static void write_file(const char *path, const void *data, size_t bytes)
{
    struct error error;
    int handle = file_system_real.open(&file_system_real, path, FILE_CREATE);

    assert_true(handle >= 0);
    assert_int_equal(file_write_all(&file_system_real, handle, path, data, bytes, &error), STATUS_OK);
    assert_int_equal(file_system_real.close(&file_system_real, handle), 0);
}

static void short_and_interrupted_writes_and_reads_are_carried_on(void **state)
{
    const char *path = path_in(state, "data");
    struct odd_files files;
    struct error error;
    char *read;
    int64_t bytes;
    int handle;

    odd_files_init(&files, 3, INT64_MAX, 0);
    handle = files.fs.open(&files.fs, path, FILE_CREATE);
    assert_int_equal(file_write_all(&files.fs, handle, path, "0123456789", 10, &error), STATUS_OK);
    assert_int_equal(files.calls, 8); /* 3 + 3 + 3 + 1, each after an interrupt */
    assert_int_equal(files.fs.close(&files.fs, handle), 0);
    assert_int_equal(file_read_all(&files.fs, path, 10, &read, &bytes, &error), STATUS_OK);
    assert_int_equal(bytes, 10);
    assert_string_equal(read, "0123456789"); /* a NUL follows */
    free(read);
}

static void a_full_disk_is_a_storage_error_that_names_the_file(void **state)
{
    const char *path = path_in(state, "data");
    struct odd_files files;
    struct error error;
    char wanted[300];
    int handle;

    odd_files_init(&files, 4, 7, ENOSPC);
    handle = files.fs.open(&files.fs, path, FILE_CREATE);
    assert_int_equal(file_write_all(&files.fs, handle, path, "0123456789", 10, &error), STATUS_STORAGE);
    snprintf(wanted, sizeof wanted, "%s: could not write: No space left on device", path);
    assert_string_equal(error.message, wanted);
    assert_int_equal(files.fs.size(&files.fs, handle), 7);
    files.fs.close(&files.fs, handle);
}

static void a_write_of_nothing_is_a_failure_and_no_endless_loop(void **state)
{
    const char *path = path_in(state, "data");
    struct odd_files files;
    struct error error;
    int handle;

    odd_files_init(&files, 4, 4, 0);
    handle = files.fs.open(&files.fs, path, FILE_CREATE);
    assert_int_equal(file_write_all(&files.fs, handle, path, "0123456789", 10, &error), STATUS_STORAGE);
    assert_non_null(strstr(error.message, ": could not write: Input/output error"));
    files.fs.close(&files.fs, handle);
}

static void a_file_that_fails_while_read_is_a_storage_error_and_one_that_shrinks_an_input_error(void **state)
{
    const char *path = path_in(state, "data");
    struct odd_files files;
    struct error error;
    char wanted[400], *read = NULL;
    int64_t bytes;

    write_file(path, "0123456789", 10);
    odd_files_init(&files, 4, 7, EIO);
    assert_int_equal(file_read_all(&files.fs, path, 10, &read, &bytes, &error), STATUS_STORAGE);
    snprintf(wanted, sizeof wanted, "%s: reading stopped at byte 7, 10 are wanted: Input/output error", path);
    assert_string_equal(error.message, wanted);
    odd_files_init(&files, 4, 7, 0);
    assert_int_equal(file_read_all(&files.fs, path, 10, &read, &bytes, &error), STATUS_INPUT);
    snprintf(wanted, sizeof wanted, "%s: reading stopped at byte 7, 10 are wanted: the file became shorter", path);
    assert_string_equal(error.message, wanted);
    assert_null(read);
}

static void a_file_that_is_missing_too_large_or_a_folder_is_told(void **state)
{
    const char *path = path_in(state, "data");
    struct error error;
    char wanted[400], *read;
    int64_t bytes;

    assert_int_equal(file_read_all(&file_system_real, path, 10, &read, &bytes, &error), STATUS_INPUT);
    snprintf(wanted, sizeof wanted, "%s: No such file or directory", path);
    assert_string_equal(error.message, wanted);
    write_file(path, "0123456789", 10);
    assert_int_equal(file_read_all(&file_system_real, path, 9, &read, &bytes, &error), STATUS_INPUT);
    snprintf(wanted, sizeof wanted, "%s has 10 bytes; at most 9 are read", path);
    assert_string_equal(error.message, wanted);
    assert_int_equal(file_read_all(&file_system_real, *state, INT64_MAX - 1, &read, &bytes, &error), STATUS_INPUT);
    snprintf(wanted, sizeof wanted, "%s: it is a folder, a file is wanted", (char *)*state);
    assert_string_equal(error.message, wanted);
}

static void a_pipe_without_its_other_end_and_a_link_to_write_through_are_refused_at_once(void **state)
{
    const char *path = path_in(state, "data");
    struct error error;
    char wanted[400], link[400], *read;
    int64_t bytes;

    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(file_read_all(&file_system_real, path, 10, &read, &bytes, &error), STATUS_INPUT);
    snprintf(wanted, sizeof wanted, "%s: it is a pipe, socket or device, a file is wanted", path);
    assert_string_equal(error.message, wanted);
    for (int mode = FILE_READ; mode <= FILE_APPEND; mode++) {
        assert_int_equal(file_system_real.open(&file_system_real, path, (enum file_mode)mode), -ESPIPE);
        assert_int_equal(file_system_real.open(&file_system_real, "/dev/null", (enum file_mode)mode), -ESPIPE);
        assert_int_equal(file_system_real.open(&file_system_real, *state, (enum file_mode)mode), -EISDIR);
    }
    assert_int_equal(unlink(path), 0);
    write_file(path, "0123456789", 10);
    snprintf(link, sizeof link, "%s.link", path);
    assert_int_equal(symlink(path, link), 0);
    assert_int_equal(file_system_real.open(&file_system_real, link, FILE_CREATE), -ELOOP);
    assert_int_equal(file_system_real.open(&file_system_real, link, FILE_APPEND), -ELOOP);
    assert_int_equal(file_read_all(&file_system_real, link, 10, &read, &bytes, &error), STATUS_OK);
    assert_memory_equal(read, "0123456789", 10);
    free(read);
    assert_int_equal(unlink(link), 0);
}

static void an_empty_file_is_read_as_an_empty_text(void **state)
{
    const char *path = path_in(state, "data");
    struct error error;
    char *read;
    int64_t bytes;

    write_file(path, "", 0);
    assert_int_equal(file_read_all(&file_system_real, path, 10, &read, &bytes, &error), STATUS_OK);
    assert_int_equal(bytes, 0);
    assert_string_equal(read, "");
    free(read);
}

static void missing_folders_are_made_and_those_there_are_kept(void **state)
{
    struct error error;
    char path[256];

    assert_true(file_join(path, sizeof path, *state, "a/b/c"));
    assert_int_equal(file_make_folders(&file_system_real, path, &error), STATUS_OK);
    assert_int_equal(file_make_folders(&file_system_real, path, &error), STATUS_OK);
    assert_int_equal(access(path, F_OK), 0);
    strcat(path, "/");
    assert_int_equal(file_make_folders(&file_system_real, path, &error), STATUS_OK);
}

static void a_folder_below_a_file_cannot_be_made(void **state)
{
    struct error error;
    char path[256], wanted[400];

    write_file(path_in(state, "data"), "", 0);
    assert_true(file_join(path, sizeof path, *state, "data/below"));
    assert_int_equal(file_make_folders(&file_system_real, path, &error), STATUS_STORAGE);
    snprintf(wanted, sizeof wanted, "could not make the folder %s/data: Not a directory", (char *)*state);
    assert_string_equal(error.message, wanted);
    assert_int_equal(file_make_folders(&file_system_real, "", &error), STATUS_USAGE);
}

static void opening_for_writing_truncates_and_appending_does_not(void **state)
{
    const char *path = path_in(state, "data");
    const struct file_system *fs = &file_system_real;
    struct error error;
    int handle;

    write_file(path, "0123456789", 10);
    handle = fs->open(fs, path, FILE_APPEND);
    assert_int_equal(fs->size(fs, handle), 10);
    assert_int_equal(file_write_all(fs, handle, path, "ab", 2, &error), STATUS_OK);
    assert_int_equal(fs->size(fs, handle), 12);
    assert_int_equal(fs->truncate(fs, handle, 4), 0);
    assert_int_equal(fs->size(fs, handle), 4);
    assert_int_equal(fs->sync(fs, handle), 0);
    fs->close(fs, handle);
    handle = fs->open(fs, path, FILE_CREATE);
    assert_int_equal(fs->size(fs, handle), 0);
    fs->close(fs, handle);
    assert_int_equal(fs->open(fs, "/nowhere/data", FILE_CREATE), -ENOENT);
    assert_int_equal(fs->sync_folder(fs, *state), 0);
    assert_int_equal(fs->sync_folder(fs, path), -ENOTDIR);
    assert_true(fs->free_bytes(fs, *state) > 0);
    assert_int_equal(fs->free_bytes(fs, "/nowhere"), -ENOENT);
    assert_int_equal(fs->remove(fs, path), 0);
    assert_int_equal(fs->remove(fs, path), -ENOENT);
}

static void names_are_joined_with_one_slash_or_refused(void **state)
{
    char out[8];

    (void)state;
    assert_true(file_join(out, sizeof out, "ab", "cd"));
    assert_string_equal(out, "ab/cd");
    assert_true(file_join(out, sizeof out, "ab/", "cd"));
    assert_string_equal(out, "ab/cd");
    assert_true(file_join(out, sizeof out, "", "cd"));
    assert_string_equal(out, "cd");
    assert_true(file_join(out, sizeof out, "abcd", "ef"));
    assert_false(file_join(out, sizeof out, "abcd", "efg"));
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(short_and_interrupted_writes_and_reads_are_carried_on),
        IN_FOLDER(a_full_disk_is_a_storage_error_that_names_the_file),
        IN_FOLDER(a_write_of_nothing_is_a_failure_and_no_endless_loop),
        IN_FOLDER(a_file_that_fails_while_read_is_a_storage_error_and_one_that_shrinks_an_input_error),
        IN_FOLDER(a_file_that_is_missing_too_large_or_a_folder_is_told),
        IN_FOLDER(a_pipe_without_its_other_end_and_a_link_to_write_through_are_refused_at_once),
        IN_FOLDER(an_empty_file_is_read_as_an_empty_text),
        IN_FOLDER(missing_folders_are_made_and_those_there_are_kept),
        IN_FOLDER(a_folder_below_a_file_cannot_be_made),
        IN_FOLDER(opening_for_writing_truncates_and_appending_does_not),
        cmocka_unit_test(names_are_joined_with_one_slash_or_refused),
    };

    return cmocka_run_group_tests_name("base files", tests, NULL, NULL);
}
