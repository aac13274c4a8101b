/* Saves of many ranks: what each writes, and that they save all or nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint/find.h"
#include "checkpoint/folder.h"
#include "checkpoint/verify.h"
#include "fixture.h"
#include "layouts.h"

/* A thousand to one, and less than there are ranks. */
static const struct safetensors_form forms[] = {
    {"big", LLMRUN_F32, {2, {1000, 16}}},
    {"small", LLMRUN_F32, {1, {16}}},
    {"three", LLMRUN_F32, {2, {3, 4}}},
    {"tied", LLMRUN_F32, {2, {8, 2}}},
};

#define BIG   0
#define SMALL 1
#define THREE 2
#define TIED  3

static void expect(const struct rank_threads *group, int status, const char *sentence)
{
    for (int32_t i = 0; i < group->count; i++) {
        if (group->threads[i].status != status)
            fail_msg("rank %d: %d, %s", i, group->threads[i].status, group->threads[i].error.message);
        if (sentence != NULL && strstr(group->threads[i].error.message, sentence) == NULL)
            fail_msg("rank %d: '%s' is wanted, found '%s'", i, sentence, group->threads[i].error.message);
    }
}

/* big and three are cut by rows over all ranks; small and tied are whole on each. */
static void make_layout(struct layout *layout, int32_t ranks)
{
    layout_init(layout, ranks, forms, 4);
    layout_cut(layout, BIG, 0, 0, 1, ranks);
    layout_cut(layout, THREE, 0, 0, 1, ranks);
    layout_fill(layout, 1);
}

static void save(struct layout *layout, const char *ckpt, int64_t step)
{
    struct rank_threads group;

    rank_threads_init(&group, layout->ranks);
    layout_save(layout, &group, ckpt, step);
    expect(&group, STATUS_OK, NULL);
    rank_threads_finish(&group);
}

static void open_step(const struct fixture *fixture, int64_t step, struct checkpoint *checkpoint)
{
    struct error error = {0};
    char name[40];

    snprintf(name, sizeof name, "step_%08d", (int)step);
    if (checkpoint_open(&file_system_real, fixture_path(fixture->ckpt, name), checkpoint, &error) != STATUS_OK)
        fail_msg("%s", error.message);
}

static void each_rank_writes_the_boxes_that_it_owns(void **state)
{
    const struct fixture *fixture = *state;
    struct checkpoint checkpoint;
    struct layout layout;

    make_layout(&layout, 4);
    save(&layout, fixture->ckpt, 1);
    open_step(fixture, 1, &checkpoint);
    assert_int_equal(checkpoint.manifest.file_count, 4);
    assert_string_equal(checkpoint.manifest.files[0].name, "tensors-rank00000-00001.safetensors");
    assert_string_equal(checkpoint.manifest.files[3].name, "tensors-rank00003-00001.safetensors");
    assert_int_equal(checkpoint_tensor_find(&checkpoint, "big")->part_count, 4);
    assert_int_equal(checkpoint_tensor_find(&checkpoint, "big")->parts[2].box.first[0], 500);
    assert_int_equal(checkpoint_tensor_find(&checkpoint, "big")->parts[2].box.extent[0], 250);
    assert_int_equal(checkpoint_tensor_find(&checkpoint, "small")->part_count, 1);
    assert_int_equal(checkpoint_tensor_find(&checkpoint, "small")->parts[0].file, 0);
    /* Three rows among four: one each, and the last has none. */
    assert_int_equal(checkpoint_tensor_find(&checkpoint, "three")->part_count, 3);
    checkpoint_close(&checkpoint);
    layout_finish(&layout);
}

/* Two stages hold the tied weight, each thinks that it is its to write; a rank may have nothing to write at all. */
static void of_ranks_that_own_the_same_box_the_first_writes_it(void **state)
{
    const struct fixture *fixture = *state;
    struct checkpoint checkpoint;
    struct rank_threads group;
    struct layout layout;

    make_layout(&layout, 4);
    layout.slices[1][TIED].stored = layout.slices[3][TIED].stored = true;
    layout.slices[0][TIED].stored = false;
    save(&layout, fixture->ckpt, 1);
    open_step(fixture, 1, &checkpoint);
    assert_int_equal(checkpoint_tensor_find(&checkpoint, "tied")->part_count, 1);
    assert_int_equal(checkpoint_tensor_find(&checkpoint, "tied")->parts[0].file, 1);
    checkpoint_close(&checkpoint);
    /* And what they both have is compared. */
    ((unsigned char *)layout.data[3][TIED])[5] ^= 1;
    rank_threads_init(&group, 4);
    layout_save(&layout, &group, fixture->ckpt, 2);
    expect(&group, STATUS_DIVERGED, "tensor tied[0:8, 0:2] has other bits on rank 3 (mix64:");
    rank_threads_finish(&group);
    layout_finish(&layout);
}

static void a_rank_without_anything_to_write_writes_no_file(void **state)
{
    const struct fixture *fixture = *state;
    struct checkpoint checkpoint;
    struct layout layout;

    layout_init(&layout, 3, forms, 4);
    layout_fill(&layout, 1);
    save(&layout, fixture->ckpt, 1);
    open_step(fixture, 1, &checkpoint);
    assert_int_equal(checkpoint.manifest.file_count, 1);
    checkpoint_close(&checkpoint);
    layout_finish(&layout);
}

static int64_t entries(const char *ckpt)
{
    struct folder_names names;
    int64_t count;

    assert_int_equal(folder_names(ckpt, &names, NULL), STATUS_OK);
    count = names.count;
    folder_names_finish(&names);
    return count;
}

static void a_bit_that_differs_between_replicas_is_found_and_the_last_checkpoint_stays(void **state)
{
    const struct fixture *fixture = *state;
    struct rank_threads group;
    struct layout layout;
    int64_t bytes;
    char *before, *after;

    make_layout(&layout, 4);
    save(&layout, fixture->ckpt, 1);
    before = fixture_read(fixture_path(fixture->ckpt, "step_00000001/manifest.json"), &bytes);
    for (int32_t r = 0; r < 4; r++) {
        char sentence[100];

        ((unsigned char *)layout.data[r][SMALL])[63] ^= 0x80;
        rank_threads_init(&group, 4);
        layout_save(&layout, &group, fixture->ckpt, 2);
        snprintf(sentence, sizeof sentence, "tensor small[0:16] has other bits on rank %d (mix64:", r == 0 ? 1 : r);
        expect(&group, STATUS_DIVERGED, sentence);
        expect(&group, 6, ") than on rank 0 (mix64:");
        rank_threads_finish(&group);
        ((unsigned char *)layout.data[r][SMALL])[63] ^= 0x80;
        assert_int_equal(entries(fixture->ckpt), 1);
    }
    after = fixture_read(fixture_path(fixture->ckpt, "step_00000001/manifest.json"), &bytes);
    assert_memory_equal(before, after, (size_t)bytes);
    free(before);
    free(after);
    save(&layout, fixture->ckpt, 2);
    layout_finish(&layout);
}

static void what_no_rank_or_two_ranks_write_is_our_own_mistake(void **state)
{
    const struct fixture *fixture = *state;
    struct rank_threads group;
    struct layout layout;

    make_layout(&layout, 4);
    rank_threads_init(&group, 4);
    layout.slices[2][BIG].box.extent[0]--;
    layout_save(&layout, &group, fixture->ckpt, 1);
    expect(&group, STATUS_BUG, "what the ranks wrote: the parts of tensor 'big' have 63936 bytes of its 64000");
    layout.slices[2][BIG].box.first[0]--;
    layout.slices[2][BIG].box.extent[0]++;
    layout_save(&layout, &group, fixture->ckpt, 1);
    expect(&group, STATUS_BUG,
           "what the ranks wrote: tensor 'big' has parts that overlap: [250:500, 0:16] in "
           "tensors-rank00001-00001.safetensors and [499:749, 0:16] in tensors-rank00002-00001.safetensors");
    layout.slices[2][BIG].stored = false;
    layout_save(&layout, &group, fixture->ckpt, 1);
    expect(&group, STATUS_BUG, "rank 2 has the part [499:749, 0:16] of tensor 'big', which no rank writes");
    assert_int_equal(entries(fixture->ckpt), 0);
    rank_threads_finish(&group);
    layout_finish(&layout);
}

static int refuse_one(struct rank_thread *rank, struct error *error)
{
    struct checkpoint_snapshot snapshot = *(const struct checkpoint_snapshot *)rank->task;

    if (rank->ranks.rank == 2)
        snapshot.refusal = (struct error){STATUS_NONFINITE, "tensor x holds a number that is not finite"};
    return checkpoint_save(&snapshot, NULL, error);
}

static void a_rank_that_has_nothing_to_save_fails_all(void **state)
{
    const struct fixture *fixture = *state;
    struct rank_threads group;
    struct layout layout;

    make_layout(&layout, 4);
    rank_threads_init(&group, 4);
    layout_save(&layout, &group, fixture->ckpt, 1);
    rank_threads_run(&group, refuse_one);
    expect(&group, STATUS_NONFINITE, "rank 2: tensor x holds a number that is not finite");
    assert_int_equal(entries(fixture->ckpt), 1); /* of the save before */
    rank_threads_finish(&group);
    layout_finish(&layout);
}

static int save_in_background(struct rank_thread *rank, struct error *error)
{
    struct checkpoint_async *async;
    int64_t bytes = 0;
    int status = checkpoint_async_create(&async, error);

    for (int i = 0; i < 3 && status == STATUS_OK; i++) {
        struct checkpoint_snapshot snapshot = *(const struct checkpoint_snapshot *)rank->task;

        snapshot.target.step += i;
        status = checkpoint_async_start(async, &snapshot, error);
    }
    if (status == STATUS_OK)
        status = checkpoint_async_wait(async, &bytes, error);
    checkpoint_async_destroy(async);
    return status == STATUS_OK && bytes < 64000 ? error_set(error, STATUS_BUG, "%lld bytes", (long long)bytes) : status;
}

static void ranks_save_in_the_background_of_each(void **state)
{
    const struct fixture *fixture = *state;
    struct rank_threads group;
    struct layout layout;

    make_layout(&layout, 4);
    rank_threads_init(&group, 4);
    layout_save(&layout, &group, fixture->ckpt, 1);
    rank_threads_run(&group, save_in_background);
    expect(&group, STATUS_OK, NULL);
    assert_int_equal(entries(fixture->ckpt), 2);
    assert_int_equal(
        checkpoint_verify(&file_system_real, fixture_path(fixture->ckpt, "step_00000003"), NULL, NULL, NULL, NULL),
        STATUS_OK);
    rank_threads_finish(&group);
    layout_finish(&layout);
}

/* A process that was killed at any step of a save: what it left is swept. */
static void what_killed_ranks_left_is_swept_by_the_next_save(void **state)
{
    const struct fixture *fixture = *state;
    char partial[PATH_MAX];
    struct layout layout;

    make_layout(&layout, 2);
    save(&layout, fixture->ckpt, 1);
    strcpy(partial, fixture_path(fixture->ckpt, "step_00000002.partial-run-1"));
    assert_int_equal(file_make_folders(&file_system_real, partial, NULL), STATUS_OK);
    fixture_write(fixture_path(partial, "tensors-rank00001-00001.safetensors"), "half", 4);
    fixture_write(fixture_path(partial, "tensors-rank00007-00001.safetensors"), "of eight ranks", 14);
    save(&layout, fixture->ckpt, 2);
    assert_int_equal(
        checkpoint_verify(&file_system_real, fixture_path(fixture->ckpt, "step_00000002"), NULL, NULL, NULL, NULL),
        STATUS_OK);
    assert_int_equal(entries(fixture->ckpt), 2);
    layout_finish(&layout);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(each_rank_writes_the_boxes_that_it_owns),
        TEST(of_ranks_that_own_the_same_box_the_first_writes_it),
        TEST(a_rank_without_anything_to_write_writes_no_file),
        TEST(a_bit_that_differs_between_replicas_is_found_and_the_last_checkpoint_stays),
        TEST(what_no_rank_or_two_ranks_write_is_our_own_mistake),
        TEST(a_rank_that_has_nothing_to_save_fails_all),
        TEST(ranks_save_in_the_background_of_each),
        TEST(what_killed_ranks_left_is_swept_by_the_next_save),
    };

    return cmocka_run_group_tests_name("distributed save", tests, NULL, NULL);
}
