/* Every kind of damage to a stored checkpoint is found, and the message names the file and, for data, the tensor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint/checkpoint.h"
#include "checkpoint/verify.h"
#include "fixture.h"
#include "tensor/dtype.h"

#define SHARD_1 "tensors-00001.safetensors"
#define SHARD_2 "tensors-00002.safetensors"

static char folder[PATH_MAX];

static int setup(void **state)
{
    struct fixture *fixture;

    fixture_setup(state);
    fixture = *state;
    fixture_save(fixture->ckpt, 3);
    strcpy(folder, fixture_path(fixture->ckpt, "step_00000003"));
    return 0;
}

/* Opens the checkpoint and reads all of it, as resume does. */
static int read_all(struct error *error)
{
    struct checkpoint checkpoint;
    unsigned char memory[512];
    int result = checkpoint_open(&file_system_real, folder, &checkpoint, error);

    for (int64_t i = 0; result == STATUS_OK && i < checkpoint.manifest.tensor_count; i++)
        result = checkpoint_read(&checkpoint, &checkpoint.manifest.tensors[i], memory,
                                 checkpoint.manifest.tensors[i].bytes, error);
    if (result == STATUS_OK) {
        char *text = NULL;
        int64_t bytes;

        result = checkpoint_read_file(&checkpoint, "vocab.json", &text, &bytes, error);
        free(text);
    }
    checkpoint_close(&checkpoint);
    return result;
}

static int verify(struct error *error)
{
    return checkpoint_verify(&file_system_real, folder, NULL, NULL, NULL, error);
}

static void expect_damage(const char *file, const char *tensor)
{
    struct error error = {0};

    assert_int_equal(read_all(&error), STATUS_INPUT);
    assert_non_null(strstr(error.message, file));
    if (tensor != NULL)
        assert_non_null(strstr(error.message, tensor));
    assert_int_equal(verify(&error), STATUS_INPUT);
    assert_non_null(strstr(error.message, file));
    if (tensor != NULL)
        assert_non_null(strstr(error.message, tensor));
}

static void flip_and_expect(const char *name, char *data, int64_t bytes, int64_t bit, const char *tensor)
{
    const char *path = fixture_path(folder, name);

    data[bit / 8] = (char)(data[bit / 8] ^ 1 << bit % 8);
    fixture_write(path, data, (size_t)bytes);
    expect_damage(name, tensor);
    data[bit / 8] = (char)(data[bit / 8] ^ 1 << bit % 8);
    fixture_write(fixture_path(folder, name), data, (size_t)bytes);
}

static void a_flipped_bit_in_any_byte_of_the_manifest_is_found(void **state)
{
    int64_t bytes;
    char *data = fixture_read(fixture_path(folder, MANIFEST_NAME), &bytes);

    (void)state;
    for (int64_t i = 0; i < bytes; i++)
        flip_and_expect(MANIFEST_NAME, data, bytes, 8 * i + i % 8, NULL);
    free(data);
    assert_int_equal(verify(NULL), STATUS_OK);
}

static void a_flipped_bit_in_any_byte_of_a_shards_header_is_found(void **state)
{
    int64_t bytes;
    char *data = fixture_read(fixture_path(folder, SHARD_1), &bytes);

    (void)state;
    for (int64_t i = 0; i < 256; i++)
        flip_and_expect(SHARD_1, data, bytes, 8 * i + i % 8, NULL);
    free(data);
    assert_int_equal(verify(NULL), STATUS_OK);
}

static void a_thousand_flipped_bits_of_data_are_found_with_file_and_tensor_seed_1(void **state)
{
    struct checkpoint checkpoint;
    uint32_t random = 1;

    (void)state;
    assert_int_equal(checkpoint_open(&file_system_real, folder, &checkpoint, NULL), STATUS_OK);
    for (int i = 0; i < 1000; i++) {
        const struct manifest_tensor *tensor = NULL;
        int64_t bytes;
        char *data;

        while (tensor == NULL || tensor->bytes == 0) {
            random = random * 1664525 + 1013904223;
            tensor = &checkpoint.manifest.tensors[(random >> 16) % FIXTURE_TENSORS];
        }
        random = random * 1664525 + 1013904223;
        data = fixture_read(fixture_path(folder, checkpoint.manifest.files[tensor->parts[0].file].name), &bytes);
        flip_and_expect(checkpoint.manifest.files[tensor->parts[0].file].name, data, bytes,
                        8 * tensor->parts[0].offset + random / 256 % (8 * tensor->bytes), tensor->name);
        free(data);
    }
    checkpoint_close(&checkpoint);
}

static void a_flipped_bit_of_another_file_is_found(void **state)
{
    int64_t bytes;
    char *data = fixture_read(fixture_path(folder, "vocab.json"), &bytes);

    (void)state;
    flip_and_expect("vocab.json", data, bytes, 13, NULL);
    free(data);
}

static void truncated_and_grown_files_are_found_with_both_sizes(void **state)
{
    static const char *const names[] = {SHARD_1, SHARD_2, "vocab.json"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        int64_t bytes;
        char *data = fixture_read(fixture_path(folder, names[i]), &bytes);
        char *grown = calloc(1, (size_t)bytes + 1);
        struct error error = {0};

        memcpy(grown, data, (size_t)bytes);
        fixture_write(fixture_path(folder, names[i]), grown, (size_t)bytes + 1);
        expect_damage(names[i], "bytes; the manifest says");
        fixture_write(fixture_path(folder, names[i]), data, (size_t)bytes - 1);
        expect_damage(names[i], "bytes; the manifest says");
        fixture_write(fixture_path(folder, names[i]), data, 0);
        assert_int_equal(read_all(&error), STATUS_INPUT);
        assert_non_null(strstr(error.message, "has 0 bytes; the manifest says"));
        fixture_write(fixture_path(folder, names[i]), data, (size_t)bytes);
        free(grown);
        free(data);
    }
}

static void a_truncated_manifest_is_found_at_every_length(void **state)
{
    int64_t bytes;
    char *data = fixture_read(fixture_path(folder, MANIFEST_NAME), &bytes);

    (void)state;
    for (int64_t i = 0; i < bytes; i += 7) {
        fixture_write(fixture_path(folder, MANIFEST_NAME), data, (size_t)i);
        expect_damage(MANIFEST_NAME, NULL);
    }
    free(data);
}

static void a_missing_shard_is_found(void **state)
{
    (void)state;
    assert_int_equal(unlink(fixture_path(folder, SHARD_2)), 0);
    expect_damage(SHARD_2, NULL);
}

static void a_missing_manifest_is_found(void **state)
{
    (void)state;
    assert_int_equal(unlink(fixture_path(folder, MANIFEST_NAME)), 0);
    expect_damage(MANIFEST_NAME, NULL);
}

static void a_shard_of_another_step_of_the_same_size_is_found(void **state)
{
    struct fixture *fixture = *state;
    char other[PATH_MAX];
    int64_t bytes;
    char *data;

    fixture_save(fixture->ckpt, 4);
    strcpy(other, fixture_path(fixture->ckpt, "step_00000004"));
    data = fixture_read(fixture_path(other, SHARD_1), &bytes);
    fixture_write(fixture_path(folder, SHARD_1), data, (size_t)bytes);
    expect_damage(SHARD_1, "is of run run-1, step 4; the manifest is of run run-1, step 3");
    free(data);
}

static void a_shard_of_another_run_is_found(void **state)
{
    struct fixture *fixture = *state;
    struct checkpoint_snapshot snapshot;
    char other[PATH_MAX];
    int64_t bytes;
    char *data;

    strcpy(other, fixture_path(fixture->folder, "other"));
    fixture_snapshot(&file_system_real, other, 3, &snapshot);
    snapshot.target.run_id = "run-2";
    assert_int_equal(checkpoint_save(&snapshot, NULL, NULL), STATUS_OK);
    strcat(other, "/step_00000003");
    data = fixture_read(fixture_path(other, SHARD_1), &bytes);
    fixture_write(fixture_path(folder, SHARD_1), data, (size_t)bytes);
    expect_damage(SHARD_1, "is of run run-2, step 3; the manifest is of run run-1, step 3");
    free(data);
}

static void swapped_shards_are_found(void **state)
{
    char first[PATH_MAX], second[PATH_MAX], aside[PATH_MAX];

    (void)state;
    strcpy(first, fixture_path(folder, SHARD_1));
    strcpy(second, fixture_path(folder, SHARD_2));
    strcpy(aside, fixture_path(folder, "aside"));
    assert_int_equal(rename(first, aside), 0);
    assert_int_equal(rename(second, first), 0);
    assert_int_equal(rename(aside, second), 0);
    expect_damage(SHARD_1, NULL);
}

static void collect(void *context, const char *file, const char *tensor, const char *sentence)
{
    char *list = context;

    (void)sentence;
    strcat(list, file);
    strcat(list, tensor != NULL ? ":" : "");
    strcat(list, tensor != NULL ? tensor : "");
    strcat(list, "\n");
}

static void verification_goes_on_after_a_problem_and_counts_them(void **state)
{
    int64_t bytes;
    char *data = fixture_read(fixture_path(folder, SHARD_2), &bytes);
    char list[1000] = "";
    struct error error = {0};

    (void)state;
    data[bytes - 1] ^= 1;
    data[bytes - 2] ^= 1;
    fixture_write(fixture_path(folder, SHARD_2), data, (size_t)bytes);
    fixture_write(fixture_path(folder, "vocab.json"), "{}", 2);
    fixture_write(fixture_path(folder, "stray"), "", 0);
    fixture_write(fixture_path(folder, "a"), "", 0);
    assert_int_equal(checkpoint_verify(&file_system_real, folder, collect, list, NULL, &error), STATUS_INPUT);
    assert_string_equal(list, SHARD_2 ":adam/embedding.weight\n" SHARD_2 ":scalar\nvocab.json\na\nstray\n");
    assert_non_null(strstr(error.message, "(and 4 more problems)"));
    free(data);
}

static void a_manifest_that_cannot_be_used_is_one_problem(void **state)
{
    char list[1000] = "";
    struct error error = {0};

    (void)state;
    fixture_write(fixture_path(folder, MANIFEST_NAME), "{", 1);
    assert_int_equal(checkpoint_verify(&file_system_real, folder, collect, list, NULL, &error), STATUS_INPUT);
    assert_string_equal(list, MANIFEST_NAME "\n");
    assert_null(strstr(error.message, "more problems"));
}

static struct manifest_tensor *tensor_of(struct manifest *manifest, const char *name)
{
    for (int64_t i = 0; i < manifest->tensor_count; i++)
        if (strcmp(manifest->tensors[i].name, name) == 0)
            return &manifest->tensors[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

static void drop_the_last(struct manifest *manifest)
{
    struct manifest_tensor *last = &manifest->tensors[--manifest->tensor_count];

    free(last->parts[0].blocks);
    free(last->parts);
    free(last->name);
}

static void name_otherwise(struct manifest *manifest)
{
    tensor_of(manifest, "scalar")->name[0] = 'S';
}

static void swap_shards(struct manifest *manifest)
{
    struct manifest_tensor *first = tensor_of(manifest, "param/embedding.weight"),
                           *third = tensor_of(manifest, "adam/embedding.weight");

    first->parts[0].file = 1;
    first->parts[0].offset = manifest->files[1].header_bytes;
    third->parts[0].file = 0;
    third->parts[0].offset = manifest->files[0].header_bytes;
}

static void move_ahead(struct manifest *manifest)
{
    tensor_of(manifest, "param/norm.bias")->parts[0].offset--;
}

static void turn(struct manifest *manifest)
{
    struct manifest_tensor *tensor = tensor_of(manifest, "param/embedding.weight");

    tensor->shape = (struct shape){2, {8, 16}};
    tensor->parts[0].box = box_whole(&tensor->shape);
}

static void take_half(struct manifest *manifest)
{
    struct manifest_tensor *tensor = tensor_of(manifest, "param/norm.bias");

    tensor->dtype = LLMRUN_E5M2;
    tensor->bytes = tensor->parts[0].bytes = tensor->parts[0].block_bytes = 9;
}

static void change_run(struct manifest *manifest)
{
    strcpy(manifest->run_id, "run-2");
}

static void change_step(struct manifest *manifest)
{
    manifest->step++;
}

static void change_header_bytes(struct manifest *manifest)
{
    manifest->files[0].header_bytes--;
}

static void change_header_checksum(struct manifest *manifest)
{
    manifest->files[0].header_checksum++;
}

/* A manifest that is whole and is not of these shards. The problems are those of a verification, in their order. */
static void each_difference_of_a_manifest_and_its_shards_is_found(void **state)
{
    static const struct {
        void (*change)(struct manifest *manifest);
        const char *message, *problems;
    } rows[] = {
        {drop_the_last, SHARD_2 " holds 3 tensors; the manifest lists 2", SHARD_2 "\n"},
        {name_otherwise, SHARD_2 ": tensor 'scalar' is not as the manifest lists it", SHARD_2 "\n"},
        {swap_shards, SHARD_1 ": tensor 'param/embedding.weight' is not as the manifest lists it",
         SHARD_1 "\n" SHARD_1 ":adam/embedding.weight\n" SHARD_2 "\n" SHARD_2 ":param/embedding.weight\n"},
        {move_ahead, SHARD_1 ": tensor 'param/norm.bias' is not as the manifest lists it",
         SHARD_1 "\n" SHARD_1 ":param/norm.bias\n"},
        {turn, SHARD_1 ": tensor 'param/embedding.weight' is not as the manifest lists it", SHARD_1 "\n"},
        {take_half, SHARD_1 ": tensor 'param/norm.bias' is not as the manifest lists it",
         SHARD_1 "\n" SHARD_1 ":param/norm.bias\n"},
        {change_run, SHARD_1 " is of run run-1, step 3; the manifest is of run run-2, step 3",
         SHARD_1 "\n" SHARD_2 "\n"},
        {change_step, SHARD_1 " is of run run-1, step 3; the manifest is of run run-1, step 4",
         SHARD_1 "\n" SHARD_2 "\n"},
        {change_header_bytes, SHARD_1 ": its header is not the one that was written",
         SHARD_1 "\n" SHARD_1 ":param/embedding.weight\n"},
        {change_header_checksum, SHARD_1 ": its header is not the one that was written", SHARD_1 "\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct manifest manifest;
        struct error error = {0};
        int64_t bytes, changed_bytes;
        char *before = fixture_read(fixture_path(folder, MANIFEST_NAME), &bytes), *changed, list[1000] = "";

        assert_int_equal(checkpoint_read_manifest(&file_system_real, folder, &manifest, NULL), STATUS_OK);
        rows[i].change(&manifest);
        if (manifest_print(&manifest, &changed, &changed_bytes, &error) != STATUS_OK)
            fail_msg("row %zu: %s", i, error.message);
        fixture_write(fixture_path(folder, MANIFEST_NAME), changed, (size_t)changed_bytes);
        assert_int_equal(read_all(&error), STATUS_INPUT);
        if (strstr(error.message, rows[i].message) == NULL)
            fail_msg("row %zu: '%s' is wanted, found '%s'", i, rows[i].message, error.message);
        assert_int_equal(checkpoint_verify(&file_system_real, folder, collect, list, NULL, &error), STATUS_INPUT);
        assert_string_equal(list, rows[i].problems);
        assert_non_null(strstr(error.message, rows[i].message));
        fixture_write(fixture_path(folder, MANIFEST_NAME), before, (size_t)bytes);
        manifest_finish(&manifest);
        free(changed);
        free(before);
    }
    assert_int_equal(verify(NULL), STATUS_OK);
}

/* Bytes that have their checksums, and are not those of which the manifest has the content hash. */
static void another_content_hash_is_found_by_a_verification(void **state)
{
    struct manifest manifest;
    struct manifest_tensor *tensor;
    struct error error = {0};
    char *text, list[1000] = "";
    int64_t bytes;

    (void)state;
    assert_int_equal(checkpoint_read_manifest(&file_system_real, folder, &manifest, NULL), STATUS_OK);
    tensor = tensor_of(&manifest, "scalar");
    tensor->content++;
    tensor->parts[0].content++;
    assert_int_equal(manifest_print(&manifest, &text, &bytes, NULL), STATUS_OK);
    fixture_write(fixture_path(folder, MANIFEST_NAME), text, (size_t)bytes);
    assert_int_equal(checkpoint_verify(&file_system_real, folder, collect, list, NULL, &error), STATUS_INPUT);
    assert_string_equal(list, SHARD_2 ":scalar\n");
    assert_non_null(strstr(error.message, "tensor 'scalar' has another content hash than the manifest says"));
    free(text);
    manifest_finish(&manifest);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_flipped_bit_in_any_byte_of_the_manifest_is_found),
        TEST(a_flipped_bit_in_any_byte_of_a_shards_header_is_found),
        TEST(a_thousand_flipped_bits_of_data_are_found_with_file_and_tensor_seed_1),
        TEST(a_flipped_bit_of_another_file_is_found),
        TEST(truncated_and_grown_files_are_found_with_both_sizes),
        TEST(a_truncated_manifest_is_found_at_every_length),
        TEST(a_missing_shard_is_found),
        TEST(a_missing_manifest_is_found),
        TEST(a_shard_of_another_step_of_the_same_size_is_found),
        TEST(a_shard_of_another_run_is_found),
        TEST(swapped_shards_are_found),
        TEST(each_difference_of_a_manifest_and_its_shards_is_found),
        TEST(verification_goes_on_after_a_problem_and_counts_them),
        TEST(a_manifest_that_cannot_be_used_is_one_problem),
        TEST(another_content_hash_is_found_by_a_verification),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
