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
#include "checkpoint/checkpoint.h"
#include "checkpoint/find.h"
#include "checkpoint/folder.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/shards.h"
#include "checkpoint/verify.h"
#include "fixture.h"
#include "tensor/dtype.h"

static void a_saved_checkpoint_comes_back_with_every_byte(void **state)
{
    struct fixture *fixture = *state;
    struct checkpoint_snapshot snapshot;
    int64_t bytes = 0;

    fixture_snapshot(&file_system_real, fixture->ckpt, 120, &snapshot);
    assert_int_equal(checkpoint_save(&snapshot, &bytes, NULL), STATUS_OK);
    assert_true(bytes > 16 * 8 * 4 * 2);
    assert_true(fixture_is_step(fixture_path(fixture->ckpt, "step_00000120"), 120));
}

static void a_saved_checkpoint_verifies(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    int64_t bytes = 0;

    fixture_save(fixture->ckpt, 1);
    assert_int_equal(
        checkpoint_verify(&file_system_real, fixture_path(fixture->ckpt, "step_00000001"), NULL, NULL, &bytes, &error),
        STATUS_OK);
    assert_true(bytes > 16 * 8 * 4 * 2);
}

static void tensors_are_cut_into_shards_at_the_limit_and_where_alignment_ends(void **state)
{
    struct fixture *fixture = *state;
    struct checkpoint checkpoint;
    int64_t file[FIXTURE_TENSORS];

    fixture_save(fixture->ckpt, 1);
    assert_int_equal(
        checkpoint_open(&file_system_real, fixture_path(fixture->ckpt, "step_00000001"), &checkpoint, NULL), STATUS_OK);
    for (int i = 0; i < FIXTURE_TENSORS; i++)
        file[i] = checkpoint_tensor_find(&checkpoint, fixture_forms[i].name)->parts[0].file;
    /* 512 and 18 bytes fit 600; the next 512 do not, and would not be aligned to 4; the empty one and one byte fit. */
    assert_int_equal(file[0], 0);
    assert_int_equal(file[1], 0);
    assert_int_equal(file[2], 1);
    assert_int_equal(file[3], 1);
    assert_int_equal(file[4], 1);
    checkpoint_close(&checkpoint);
}

/* More than the lists of a checkpoint first have room for, and than the digits of the first names. */
static void forty_tensors_lie_in_forty_shards(void **state)
{
    struct fixture *fixture = *state;
    struct checkpoint_snapshot snapshot;
    struct safetensors_form forms[40];
    struct checkpoint checkpoint;
    const void *data[40];
    char names[40][8], folder[PATH_MAX];
    float values[40];

    fixture_snapshot(&file_system_real, fixture->ckpt, 1, &snapshot);
    for (int i = 0; i < 40; i++) {
        snprintf(names[i], sizeof names[i], "t%d", 39 - i);
        values[i] = (float)i;
        data[i] = &values[i];
        forms[i] = (struct safetensors_form){names[i], LLMRUN_F32, {1, {1}}};
    }
    snapshot.forms = forms;
    snapshot.data = data;
    snapshot.count = 40;
    snapshot.target.shard_bytes = 7; /* one of 4 bytes, not two */
    assert_int_equal(checkpoint_save(&snapshot, NULL, NULL), STATUS_OK);
    strcpy(folder, fixture_path(fixture->ckpt, "step_00000001"));
    assert_int_equal(checkpoint_open(&file_system_real, folder, &checkpoint, NULL), STATUS_OK);
    assert_int_equal(checkpoint.manifest.tensor_count, 40);
    assert_int_equal(checkpoint.manifest.file_count, 41);
    assert_string_equal(checkpoint.manifest.files[39].name, "tensors-00040.safetensors");
    for (int i = 0; i < 40; i++) {
        const struct manifest_tensor *tensor = checkpoint_tensor_find(&checkpoint, names[i]);
        float value = -1;

        assert_int_equal(tensor->parts[0].file, i);
        assert_int_equal(checkpoint_read(&checkpoint, tensor, &value, 4, NULL), STATUS_OK);
        assert_true(value == (float)i);
    }
    checkpoint_close(&checkpoint);
    assert_int_equal(checkpoint_verify(&file_system_real, folder, NULL, NULL, NULL, NULL), STATUS_OK);
    snapshot.target.step = 2;
    snapshot.target.shard_bytes = 8;
    assert_int_equal(checkpoint_save(&snapshot, NULL, NULL), STATUS_OK);
    assert_int_equal(
        checkpoint_open(&file_system_real, fixture_path(fixture->ckpt, "step_00000002"), &checkpoint, NULL), STATUS_OK);
    assert_int_equal(checkpoint.manifest.file_count, 21);
    checkpoint_close(&checkpoint);
    snapshot.target.step = 3;
    snapshot.target.shard_bytes = 0; /* 2 GiB */
    assert_int_equal(checkpoint_save(&snapshot, NULL, NULL), STATUS_OK);
    assert_int_equal(
        checkpoint_open(&file_system_real, fixture_path(fixture->ckpt, "step_00000003"), &checkpoint, NULL), STATUS_OK);
    assert_int_equal(checkpoint.manifest.file_count, 2);
    checkpoint_close(&checkpoint);
}

static void expect_shards(const struct safetensors_form *forms, int64_t count, int64_t limit, int64_t wanted)
{
    struct shards shards = {0};

    assert_int_equal(shards_plan(forms, count, limit, "run", 1, -1, &shards, NULL), STATUS_OK);
    assert_int_equal(shards.count, wanted);
    shards_finish(&shards);
}

static void a_shard_has_its_limit_of_bytes_or_one_tensor(void **state)
{
    const struct safetensors_form first[] = {{"a", LLMRUN_U8, {1, {0}}}, {"b", LLMRUN_U8, {1, {700}}}},
                                  second[] = {{"a", LLMRUN_U8, {1, {1}}}, {"b", LLMRUN_U8, {1, {599}}}},
                                  third[] = {{"a", LLMRUN_U8, {1, {1}}}, {"b", LLMRUN_U8, {1, {600}}}},
                                  fourth[] = {{"a", LLMRUN_U8, {1, {700}}}, {"b", LLMRUN_U8, {1, {1}}}},
                                  fifth[] = {{"a", LLMRUN_U8, {1, {3}}}, {"b", LLMRUN_F32, {1, {1}}}};

    (void)state;
    expect_shards(first, 2, 600, 1);
    expect_shards(second, 2, 600, 1);
    expect_shards(third, 2, 600, 2);
    expect_shards(fourth, 2, 600, 2);
    expect_shards(fifth, 2, 600, 2); /* 4 does not divide 3 */
    expect_shards(first, 0, 600, 0);
}

static void forms_without_a_size_are_our_own_mistake(void **state)
{
    const struct safetensors_form untyped = {"a", LLMRUN_NONE, {1, {1}}}, negative = {"a", LLMRUN_F32, {1, {-1}}},
                                  endless = {"a", LLMRUN_F32, {2, {INT64_MAX / 4, 4}}};
    const struct safetensors_form *const forms[] = {&untyped, &negative, &endless};

    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct shards shards = {0};
        struct error error = {0};

        assert_int_equal(shards_plan(forms[i], 1, 600, "run", 1, -1, &shards, &error), STATUS_BUG);
        assert_string_equal(error.message, "tensor 'a' has a dtype or shape that cannot be stored");
        shards_finish(&shards);
    }
}

static void a_shard_is_a_safetensors_file_of_its_own(void **state)
{
    struct fixture *fixture = *state;
    char path[PATH_MAX];
    struct safetensors file;
    const struct safetensors_tensor *tensor;

    fixture_save(fixture->ckpt, 7);
    strcpy(path, fixture_path(fixture->ckpt, "step_00000007/tensors-00001.safetensors"));
    assert_int_equal(safetensors_open(&file_system_real, path, &file, NULL), STATUS_OK);
    assert_int_equal(file.count, 2);
    assert_int_equal(file.header_bytes % 64, 0);
    assert_string_equal(safetensors_metadata(&file, "llmrun_step"), "7");
    assert_string_equal(safetensors_metadata(&file, "llmrun_shard"), "1 of 2");
    tensor = safetensors_find(&file, "param/norm.bias");
    assert_non_null(tensor);
    assert_string_equal(tensor->stored_dtype, "BF16");
    assert_int_equal(tensor->offset, file.header_bytes + 512);
    assert_null(safetensors_find(&file, "empty"));
    safetensors_close(&file);
}

static void only_the_newest_checkpoints_stay(void **state)
{
    struct fixture *fixture = *state;
    struct folder_names names;

    for (int64_t step = 10; step <= 50; step += 10)
        fixture_save(fixture->ckpt, step);
    assert_int_equal(folder_names(fixture->ckpt, &names, NULL), STATUS_OK);
    assert_int_equal(names.count, 2);
    assert_string_equal(names.names[0], "step_00000040");
    assert_string_equal(names.names[1], "step_00000050");
    folder_names_finish(&names);
}

static void keep_zero_keeps_all(void **state)
{
    struct fixture *fixture = *state;
    struct checkpoint_snapshot snapshot;
    struct folder_names names;

    for (int64_t step = 1; step <= 4; step++) {
        fixture_snapshot(&file_system_real, fixture->ckpt, step, &snapshot);
        snapshot.keep = 0;
        assert_int_equal(checkpoint_save(&snapshot, NULL, NULL), STATUS_OK);
    }
    assert_int_equal(folder_names(fixture->ckpt, &names, NULL), STATUS_OK);
    assert_int_equal(names.count, 4);
    folder_names_finish(&names);
}

static void a_checkpoint_of_the_same_step_is_replaced(void **state)
{
    struct fixture *fixture = *state;
    struct checkpoint_snapshot snapshot;
    struct checkpoint checkpoint;
    struct folder_names names;

    fixture_save(fixture->ckpt, 5);
    fixture_snapshot(&file_system_real, fixture->ckpt, 5, &snapshot);
    snapshot.target.run_id = "run-2";
    assert_int_equal(checkpoint_save(&snapshot, NULL, NULL), STATUS_OK);
    assert_int_equal(
        checkpoint_open(&file_system_real, fixture_path(fixture->ckpt, "step_00000005"), &checkpoint, NULL), STATUS_OK);
    assert_string_equal(checkpoint.manifest.run_id, "run-2");
    checkpoint_close(&checkpoint);
    assert_int_equal(folder_names(fixture->ckpt, &names, NULL), STATUS_OK);
    assert_int_equal(names.count, 1);
    folder_names_finish(&names);
}

static void a_save_sweeps_what_a_broken_save_left(void **state)
{
    struct fixture *fixture = *state;
    char path[PATH_MAX];

    fixture_save(fixture->ckpt, 1);
    strcpy(path, fixture_path(fixture->ckpt, "step_00000002.partial-old"));
    assert_int_equal(file_make_folders(&file_system_real, path, NULL), STATUS_OK);
    fixture_write(fixture_path(path, "tensors-00001.safetensors"), "x", 1);
    fixture_save(fixture->ckpt, 3);
    assert_false(folder_exists(path));
}

static void a_rest_that_cannot_be_removed_is_no_obstacle_unless_it_has_the_new_name(void **state)
{
    struct fixture *fixture = *state;
    struct checkpoint_snapshot snapshot;
    struct error error = {0};

    fixture_save(fixture->ckpt, 1);
    assert_int_equal(file_make_folders(&file_system_real,
                                       fixture_path(fixture->ckpt, "step_00000003.partial-run-1/folder/below"), NULL),
                     STATUS_OK);
    log_set_level(LOG_ERROR);
    fixture_save(fixture->ckpt, 2);
    log_set_level(LOG_INFO);
    fixture_snapshot(&file_system_real, fixture->ckpt, 3, &snapshot);
    assert_int_equal(checkpoint_save(&snapshot, NULL, &error), STATUS_STORAGE);
    assert_non_null(strstr(error.message, "step_00000003.partial-run-1/folder: could not remove: Directory not empty"));
}

static void tensors_come_in_the_order_of_the_forms(void **state)
{
    struct fixture *fixture = *state;
    struct checkpoint_snapshot snapshot;
    struct checkpoint_writer *writer;
    struct error error = {0};

    fixture_snapshot(&file_system_real, fixture->ckpt, 1, &snapshot);
    assert_int_equal(
        checkpoint_writer_begin(&snapshot.target, snapshot.forms, snapshot.count, snapshot.state, &writer, &error),
        STATUS_OK);
    assert_int_equal(checkpoint_writer_add(writer, "scalar", "", 1, &error), STATUS_BUG);
    assert_string_equal(error.message, "the checkpoint waits for tensor 'param/embedding.weight', not for 'scalar'");
    assert_int_equal(checkpoint_writer_commit(writer, &error), STATUS_BUG);
    assert_string_equal(error.message, "the checkpoint still waits for tensor 'param/embedding.weight'");
    assert_false(folder_exists(fixture_path(fixture->ckpt, "step_00000001.partial-run-1")));
}

static void a_tensor_behind_the_last_one_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct checkpoint_snapshot snapshot;
    struct checkpoint_writer *writer;
    struct error error = {0};

    fixture_snapshot(&file_system_real, fixture->ckpt, 1, &snapshot);
    assert_int_equal(
        checkpoint_writer_begin(&snapshot.target, snapshot.forms, snapshot.count, snapshot.state, &writer, &error),
        STATUS_OK);
    for (int64_t i = 0; i < snapshot.count; i++)
        assert_int_equal(checkpoint_writer_add(writer, snapshot.forms[i].name, snapshot.data[i],
                                               safetensors_form_bytes(&snapshot.forms[i]), &error),
                         STATUS_OK);
    assert_int_equal(checkpoint_writer_add(writer, "more", "", 1, &error), STATUS_BUG);
    assert_string_equal(error.message, "the checkpoint waits for tensor 'none', not for 'more'");
    checkpoint_writer_abort(writer);
    assert_false(folder_exists(fixture_path(fixture->ckpt, "step_00000001")));
}

static void a_tensor_takes_no_more_bytes_than_its_shape(void **state)
{
    static const char bytes[513];
    struct fixture *fixture = *state;
    struct checkpoint_snapshot snapshot;
    struct checkpoint_writer *writer;

    fixture_snapshot(&file_system_real, fixture->ckpt, 1, &snapshot);
    assert_int_equal(
        checkpoint_writer_begin(&snapshot.target, snapshot.forms, snapshot.count, snapshot.state, &writer, NULL),
        STATUS_OK);
    assert_int_equal(checkpoint_writer_add(writer, "param/embedding.weight", bytes, 513, NULL), STATUS_BUG);
    assert_int_equal(checkpoint_writer_add(writer, "param/embedding.weight", bytes, 500, NULL), STATUS_OK);
    assert_int_equal(checkpoint_writer_add(writer, "param/embedding.weight", bytes, 13, NULL), STATUS_BUG);
    checkpoint_writer_abort(writer);
}

static void names_that_would_leave_the_folder_are_refused(void **state)
{
    static const struct {
        const char *name;
        int status;
    } names[] = {
        {"", STATUS_BUG},
        {".", STATUS_BUG},
        {"..", STATUS_BUG},
        {"../x", STATUS_BUG},
        {"a/b", STATUS_BUG},
        {".hidden", STATUS_BUG},
        {"manifest.json", STATUS_BUG},
        {"tensors-00001.safetensors", STATUS_BUG},
        {"tensors-", STATUS_BUG},
        {"tensors-00099.safetensors", STATUS_BUG}, /* of none that is there */
        {"tensors", STATUS_OK},
        {"tensors", STATUS_BUG}, /* it is there */
        {"tensors.json", STATUS_OK},
        {"manifest.json2", STATUS_OK},
    };
    struct fixture *fixture = *state;
    struct checkpoint_snapshot snapshot;
    struct checkpoint_writer *writer;
    char name[130];

    fixture_snapshot(&file_system_real, fixture->ckpt, 1, &snapshot);
    assert_int_equal(
        checkpoint_writer_begin(&snapshot.target, snapshot.forms, snapshot.count, snapshot.state, &writer, NULL),
        STATUS_OK);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_int_equal(checkpoint_writer_add_file(writer, names[i].name, "x", 1, NULL), names[i].status);
    memset(name, 'n', sizeof name);
    name[129] = '\0';
    assert_int_equal(checkpoint_writer_add_file(writer, name, "x", 1, NULL), STATUS_BUG);
    name[128] = '\0';
    assert_int_equal(checkpoint_writer_add_file(writer, name, "x", 1, NULL), STATUS_OK);
    checkpoint_writer_abort(writer);
}

static void a_run_and_a_step_that_cannot_be_named_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct checkpoint_snapshot snapshot;
    struct error error = {0};
    char run[66];

    fixture_snapshot(&file_system_real, fixture->ckpt, 1, &snapshot);
    snapshot.target.run_id = "../evil";
    assert_int_equal(checkpoint_save(&snapshot, NULL, &error), STATUS_BUG);
    assert_string_equal(error.message, "a checkpoint of step 1 and run '../evil' cannot be named");
    memset(run, 'r', sizeof run);
    run[65] = '\0';
    snapshot.target.run_id = run;
    assert_int_equal(checkpoint_save(&snapshot, NULL, NULL), STATUS_BUG);
    run[64] = '\0';
    assert_int_equal(checkpoint_save(&snapshot, NULL, NULL), STATUS_OK);
    fixture_snapshot(&file_system_real, fixture->ckpt, -1, &snapshot);
    assert_int_equal(checkpoint_save(&snapshot, NULL, &error), STATUS_BUG);
    assert_string_equal(error.message, "a checkpoint of step -1 and run 'run-1' cannot be named");
    fixture_save(fixture->ckpt, 0);
    assert_true(fixture_is_step(fixture_path(fixture->ckpt, "step_00000000"), 0));
}

static void two_tensors_of_one_name_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct safetensors_form forms[2] = {fixture_forms[0], fixture_forms[0]};
    struct checkpoint_snapshot snapshot;
    struct error error = {0};

    fixture_snapshot(&file_system_real, fixture->ckpt, 1, &snapshot);
    snapshot.forms = forms;
    snapshot.count = 2;
    assert_int_equal(checkpoint_save(&snapshot, NULL, &error), STATUS_BUG);
    assert_string_equal(error.message, "the tensor name 'param/embedding.weight' is taken");
}

static int64_t size_of(const char *folder, const char *name)
{
    int64_t bytes;

    free(fixture_read(fixture_path(folder, name), &bytes));
    return bytes;
}

static void what_is_said_of_its_size_is_the_size_of_its_files(void **state)
{
    struct fixture *fixture = *state;
    struct checkpoint_snapshot snapshot;
    struct checkpoint_listing listing;
    char folder[PATH_MAX];
    int64_t saved = 0, verified = 0, files;

    fixture_snapshot(&file_system_real, fixture->ckpt, 1, &snapshot);
    assert_int_equal(checkpoint_save(&snapshot, &saved, NULL), STATUS_OK);
    strcpy(folder, fixture_path(fixture->ckpt, "step_00000001"));
    files = size_of(folder, "tensors-00001.safetensors") + size_of(folder, "tensors-00002.safetensors") +
            size_of(folder, "vocab.json");
    assert_int_equal(saved, files);
    assert_int_equal(checkpoint_verify(&file_system_real, folder, NULL, NULL, &verified, NULL), STATUS_OK);
    assert_int_equal(verified, files);
    assert_int_equal(checkpoint_list(&file_system_real, fixture->ckpt, &listing, NULL), STATUS_OK);
    assert_int_equal(listing.entries[0].bytes, files);
    checkpoint_listing_finish(&listing);
}

static int64_t bytes_free;

static int64_t so_many_free(const struct file_system *fs, const char *folder)
{
    (void)fs;
    (void)folder;
    return bytes_free;
}

/* The shards, 64 KiB, and for each tensor 600 bytes, its name, and 16 bytes for each of two blocks where it is not
 * empty. */
static void a_save_needs_room_for_its_shards_and_for_a_bound_of_the_rest(void **state)
{
    static const int64_t names = 22 + 15 + 21 + 5 + 6;
    struct fixture *fixture = *state;
    struct file_system fs = file_system_real;
    struct checkpoint_snapshot snapshot;
    struct error error = {0};
    char folder[PATH_MAX], sentence[100];
    int64_t needed;

    fixture_save(fixture->ckpt, 1);
    strcpy(folder, fixture_path(fixture->ckpt, "step_00000001"));
    needed = size_of(folder, "tensors-00001.safetensors") + size_of(folder, "tensors-00002.safetensors") + 65536 +
             FIXTURE_TENSORS * 600 + names + 4 * 2 * 16;
    fs.free_bytes = so_many_free;
    bytes_free = needed - 1;
    fixture_snapshot(&fs, fixture->ckpt, 2, &snapshot);
    assert_int_equal(checkpoint_save(&snapshot, NULL, &error), STATUS_STORAGE);
    snprintf(sentence, sizeof sentence, "the checkpoint needs %lld bytes, %lld are free", (long long)needed,
             (long long)needed - 1);
    assert_non_null(strstr(error.message, sentence));
    bytes_free = 0;
    assert_int_equal(checkpoint_save(&snapshot, NULL, NULL), STATUS_STORAGE);
    bytes_free = needed;
    assert_int_equal(checkpoint_save(&snapshot, NULL, NULL), STATUS_OK);
    bytes_free = -1; /* it cannot be told */
    assert_int_equal(checkpoint_save(&snapshot, NULL, NULL), STATUS_OK);
}

static char synced[PATH_MAX];

static int pretend_to_make(const struct file_system *fs, const char *path)
{
    (void)fs;
    (void)path;
    return 0;
}

static int hear_of_sync(const struct file_system *fs, const char *path)
{
    (void)fs;
    strcpy(synced, path);
    return -EIO;
}

static void a_new_folder_of_checkpoints_is_made_durable_in_the_folder_above(void **state)
{
    static const char *const folders[][2] = {
        {"/nowhere/run/ckpt", "/nowhere/run"}, {"/nowhere", "/"}, {"nowhere", "."}, {"nowhere/ckpt", "nowhere"}};
    struct file_system fs = file_system_real;
    struct checkpoint_snapshot snapshot;
    struct error error = {0};

    (void)state;
    fs.make_folder = pretend_to_make;
    fs.sync_folder = hear_of_sync;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        synced[0] = '\0';
        fixture_snapshot(&fs, folders[i][0], 1, &snapshot);
        assert_int_equal(checkpoint_save(&snapshot, NULL, &error), STATUS_STORAGE);
        assert_string_equal(synced, folders[i][1]);
        assert_non_null(strstr(error.message, ": could not sync: Input/output error"));
    }
}

/* Tensors are written and hashed in parts of 1 MiB. */
static void a_tensor_of_several_parts_comes_back(void **state)
{
    static const int64_t sizes[] = {(1 << 20) - 1, 1 << 20, (1 << 20) + 1, 5 << 19};
    struct fixture *fixture = *state;
    unsigned char *data = malloc(5 << 19), *found = malloc(5 << 19);
    uint32_t random = 1;

    for (int64_t i = 0; i < 5 << 19; i++) {
        random = random * 1664525 + 1013904223;
        data[i] = (unsigned char)(random >> 24);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct safetensors_form form = {"a", LLMRUN_U8, {1, {sizes[i]}}};
        const void *all = data;
        struct checkpoint_snapshot snapshot;
        struct checkpoint checkpoint;
        char folder[PATH_MAX];
        int64_t bytes = 0;

        fixture_snapshot(&file_system_real, fixture->ckpt, 1, &snapshot);
        snapshot.forms = &form;
        snapshot.data = &all;
        snapshot.count = 1;
        assert_int_equal(checkpoint_save(&snapshot, NULL, NULL), STATUS_OK);
        strcpy(folder, fixture_path(fixture->ckpt, "step_00000001"));
        assert_int_equal(checkpoint_open(&file_system_real, folder, &checkpoint, NULL), STATUS_OK);
        memset(found, 0, (size_t)sizes[i]);
        assert_int_equal(checkpoint_read(&checkpoint, &checkpoint.manifest.tensors[0], found, sizes[i], NULL),
                         STATUS_OK);
        assert_memory_equal(found, data, (size_t)sizes[i]);
        assert_int_equal(checkpoint_read(&checkpoint, &checkpoint.manifest.tensors[0], found, sizes[i] - 1, NULL),
                         STATUS_BUG);
        checkpoint_close(&checkpoint);
        assert_int_equal(checkpoint_verify(&file_system_real, folder, NULL, NULL, &bytes, NULL), STATUS_OK);
        assert_int_equal(bytes, size_of(folder, "tensors-00001.safetensors") + size_of(folder, "vocab.json"));
    }
    free(found);
    free(data);
}

static int64_t almost_full(const struct file_system *fs, const char *folder)
{
    (void)fs;
    (void)folder;
    return 4096;
}

static void a_disk_without_room_is_refused_before_a_byte_is_written(void **state)
{
    struct fixture *fixture = *state;
    struct file_system fs = file_system_real;
    struct checkpoint_snapshot snapshot;
    struct error error = {0};
    struct folder_names names;

    fs.free_bytes = almost_full;
    fixture_snapshot(&fs, fixture->ckpt, 1, &snapshot);
    assert_int_equal(checkpoint_save(&snapshot, NULL, &error), STATUS_STORAGE);
    assert_non_null(strstr(error.message, "bytes, 4096 are free"));
    assert_int_equal(folder_names(fixture->ckpt, &names, NULL), STATUS_OK);
    assert_int_equal(names.count, 0);
    folder_names_finish(&names);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_saved_checkpoint_comes_back_with_every_byte),
        TEST(a_saved_checkpoint_verifies),
        TEST(tensors_are_cut_into_shards_at_the_limit_and_where_alignment_ends),
        TEST(forty_tensors_lie_in_forty_shards),
        TEST(a_shard_has_its_limit_of_bytes_or_one_tensor),
        TEST(forms_without_a_size_are_our_own_mistake),
        TEST(a_shard_is_a_safetensors_file_of_its_own),
        TEST(only_the_newest_checkpoints_stay),
        TEST(a_tensor_behind_the_last_one_is_refused),
        TEST(keep_zero_keeps_all),
        TEST(a_checkpoint_of_the_same_step_is_replaced),
        TEST(a_save_sweeps_what_a_broken_save_left),
        TEST(a_rest_that_cannot_be_removed_is_no_obstacle_unless_it_has_the_new_name),
        TEST(tensors_come_in_the_order_of_the_forms),
        TEST(a_tensor_takes_no_more_bytes_than_its_shape),
        TEST(names_that_would_leave_the_folder_are_refused),
        TEST(a_run_and_a_step_that_cannot_be_named_are_refused),
        TEST(two_tensors_of_one_name_are_refused),
        TEST(what_is_said_of_its_size_is_the_size_of_its_files),
        TEST(a_save_needs_room_for_its_shards_and_for_a_bound_of_the_rest),
        TEST(a_new_folder_of_checkpoints_is_made_durable_in_the_folder_above),
        TEST(a_tensor_of_several_parts_comes_back),
        TEST(a_disk_without_room_is_refused_before_a_byte_is_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
