/* Whatever layout writes a checkpoint, every other reads the same bits of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/contents.h"
#include "checkpoint/verify.h"
#include "fixture.h"
#include "layouts.h"
#include "tensor/dtype.h"

/* 5 does not divide by 2 or 4, 6 not by 4; rows of 1000 and of 1; a type of two bytes, one of one; nothing at all. */
static const struct safetensors_form forms[] = {
    {"wte.weight", LLMRUN_F32, {2, {50, 24}}},
    {"up.weight", LLMRUN_BF16, {2, {6, 1000}}},
    {"wte.weight.m", LLMRUN_F32, {2, {5, 8}}},
    {"ln.weight", LLMRUN_F32, {1, {7}}},
    {"cube", LLMRUN_U8, {3, {4, 6, 5}}},
    {"none", LLMRUN_F32, {2, {0, 4}}},
    {"step", LLMRUN_U32, {0, {0}}},
};

#define FORMS ((int64_t)(sizeof forms / sizeof forms[0]))

enum kind { ALONE, DP4, DP2, TP2, DP2_TP2, KINDS };

/* dp cuts rows, tp columns; the rest is whole, with replicas. */
static void make_layout(struct layout *layout, enum kind kind)
{
    static const int32_t ranks[KINDS] = {1, 4, 2, 2, 4};

    layout_init(layout, ranks[kind], forms, FORMS);
    if (kind == DP4 || kind == DP2)
        for (int64_t t = 0; t < FORMS; t++)
            if (forms[t].shape.rank > 0 && t != 3)
                layout_cut(layout, t, 0, 0, 1, ranks[kind]);
    if (kind == TP2)
        for (int64_t t = 0; t < FORMS; t++)
            if (forms[t].shape.rank > 1)
                layout_cut(layout, t, forms[t].shape.rank - 1, 0, 1, 2);
    if (kind == DP2_TP2)
        for (int64_t t = 0; t < 3; t++) {
            layout_cut(layout, t, 1, 0, 1, 2);
            layout_cut(layout, t, 0, 0, 2, 2);
            layout_cut(layout, t, 0, 1, 2, 2);
        }
}

static void expect_saved(const struct rank_threads *group)
{
    for (int32_t i = 0; i < group->count; i++)
        if (group->threads[i].status != STATUS_OK)
            fail_msg("rank %d: %s", i, group->threads[i].error.message);
}

static void save(struct layout *layout, const char *ckpt, int64_t step)
{
    struct rank_threads group;

    rank_threads_init(&group, layout->ranks);
    layout_save(layout, &group, ckpt, step);
    expect_saved(&group);
    rank_threads_finish(&group);
}

static void name_folder(const struct fixture *fixture, int64_t step, char folder[PATH_MAX])
{
    char name[40];

    snprintf(name, sizeof name, "step_%08d", (int)step);
    strcpy(folder, fixture_path(fixture->ckpt, name));
}

/* By forms, whatever order the manifest has, and that of all behind them. */
static void read_contents(const char *folder, uint64_t contents[FORMS + 1])
{
    struct checkpoint checkpoint;
    uint64_t ignored[FORMS];
    struct error error = {0};

    if (checkpoint_open(&file_system_real, folder, &checkpoint, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    assert_int_equal(checkpoint.manifest.tensor_count, FORMS);
    for (int64_t t = 0; t < FORMS; t++)
        contents[t] = checkpoint_tensor_find(&checkpoint, forms[t].name)->content;
    assert_int_equal(checkpoint_contents(&checkpoint, ignored, &contents[FORMS], NULL), STATUS_OK);
    checkpoint_close(&checkpoint);
}

static void every_layout_reads_what_every_layout_wrote(void **state)
{
    const struct fixture *fixture = *state;
    uint64_t first[FORMS + 1], now[FORMS + 1];
    char folder[PATH_MAX];

    for (int from = 0; from < KINDS; from++) {
        struct layout written;

        make_layout(&written, (enum kind)from);
        layout_fill(&written, 7);
        save(&written, fixture->ckpt, from);
        layout_finish(&written);
        name_folder(fixture, from, folder);
        assert_int_equal(checkpoint_verify(&file_system_real, folder, NULL, NULL, NULL, NULL), STATUS_OK);
        read_contents(folder, from == 0 ? first : now);
        if (from > 0)
            assert_memory_equal(first, now, sizeof first);
        for (int to = 0; to < KINDS; to++) {
            struct layout read;

            make_layout(&read, (enum kind)to);
            layout_load(&read, folder, NULL);
            layout_expect(&read, 7);
            layout_finish(&read);
        }
    }
}

static void four_ranks_to_two_to_other_two_to_one_lose_no_bit(void **state)
{
    static const enum kind chain[] = {DP4, DP2, TP2, ALONE, DP2_TP2};
    const struct fixture *fixture = *state;
    char folder[PATH_MAX];

    for (int i = 0; i < 5; i++) {
        struct layout layout;

        make_layout(&layout, chain[i]);
        if (i == 0)
            layout_fill(&layout, 3);
        else
            layout_load(&layout, folder, NULL);
        save(&layout, fixture->ckpt, i);
        if (i == 4)
            layout_expect(&layout, 3);
        layout_finish(&layout);
        name_folder(fixture, i, folder);
    }
}

static void the_whole_of_a_tensor_is_read_from_its_parts(void **state)
{
    const struct fixture *fixture = *state;
    struct layout layout, whole;
    struct checkpoint checkpoint;

    make_layout(&layout, DP2_TP2);
    layout_fill(&layout, 5);
    save(&layout, fixture->ckpt, 1);
    make_layout(&whole, ALONE);
    layout_fill(&whole, 5);
    assert_int_equal(
        checkpoint_open(&file_system_real, fixture_path(fixture->ckpt, "step_00000001"), &checkpoint, NULL), STATUS_OK);
    for (int64_t t = 0; t < FORMS; t++) {
        const struct manifest_tensor *tensor = checkpoint_tensor_find(&checkpoint, forms[t].name);
        char *memory = malloc((size_t)tensor->bytes + 1);

        assert_int_equal(checkpoint_read(&checkpoint, tensor, memory, tensor->bytes, NULL), STATUS_OK);
        assert_memory_equal(memory, whole.data[0][t], (size_t)tensor->bytes);
        free(memory);
    }
    assert_int_equal(checkpoint_tensor_find(&checkpoint, "wte.weight")->part_count, 4);
    checkpoint_close(&checkpoint);
    layout_finish(&layout);
    layout_finish(&whole);
}

static uint32_t random_state;

static int64_t random_below(int64_t n)
{
    random_state = random_state * 1664525 + 1013904223;
    return (int64_t)(random_state >> 8) % n;
}

/* Cuts a box in two again and again, and gives the pieces to ranks that have none of the tensor yet. */
static void cut_at_random(struct layout *layout, int64_t tensor)
{
    struct box boxes[RANKS_MOST] = {box_whole(&forms[tensor].shape)};
    const int64_t pieces = 1 + random_below(layout->ranks);
    int64_t count = 1;

    for (int64_t tries = 0; tries < 50 && count < pieces; tries++) {
        struct box *box = &boxes[random_below(count)];
        const int dimension = (int)random_below(forms[tensor].shape.rank);
        const int64_t at = random_below(box->extent[dimension] + 1);

        if (at == 0 || at == box->extent[dimension])
            continue;
        boxes[count] = *box;
        boxes[count].first[dimension] += at;
        boxes[count++].extent[dimension] -= at;
        box->extent[dimension] = at;
    }
    for (int32_t r = 0; r < layout->ranks; r++)
        layout->slices[r][tensor] = (struct checkpoint_slice){boxes[r % count], r < count};
}

static void random_boxes_are_read_from_random_parts_seeds_1_to_60(void **state)
{
    const struct fixture *fixture = *state;
    char folder[PATH_MAX];

    for (uint32_t seed = 1; seed <= 60; seed++) {
        struct layout written, read;

        random_state = seed;
        layout_init(&written, 1 + (int32_t)random_below(6), forms, 5);
        layout_init(&read, 1 + (int32_t)random_below(6), forms, 5);
        for (int64_t t = 0; t < 5; t++) {
            if (written.ranks > 1)
                cut_at_random(&written, t);
            cut_at_random(&read, t);
        }
        layout_fill(&written, seed);
        save(&written, fixture->ckpt, seed);
        name_folder(fixture, seed, folder);
        layout_load(&read, folder, NULL);
        layout_expect(&read, seed);
        layout_finish(&written);
        layout_finish(&read);
    }
}

static const struct safetensors_form model[] = {
    {"wte.weight", LLMRUN_F32, {2, {50304, 48}}},
    {"up.weight", LLMRUN_F32, {2, {3001, 257}}},
    {"down.weight", LLMRUN_F32, {2, {257, 3000}}},
    {"ln.weight", LLMRUN_F32, {1, {768}}},
};

/* One rank wrote it, each of eight owns an eighth. */
static void ranks_read_little_beside_the_rows_that_they_have(void **state)
{
    const struct fixture *fixture = *state;
    struct layout written, read;
    int64_t bytes, owned = 0;

    layout_init(&written, 1, model, 4);
    layout_fill(&written, 1);
    save(&written, fixture->ckpt, 1);
    layout_init(&read, 8, model, 4);
    for (int64_t t = 0; t < 4; t++) {
        layout_cut(&read, t, 0, 0, 1, 8);
        owned += safetensors_form_bytes(&model[t]);
    }
    layout_load(&read, fixture_path(fixture->ckpt, "step_00000001"), &bytes);
    layout_expect(&read, 1);
    assert_true(bytes >= owned);
    if (bytes > owned + owned / 10)
        fail_msg("%lld bytes were read, %lld are owned", (long long)bytes, (long long)owned);
    layout_finish(&written);
    layout_finish(&read);
}

/* Of columns whole rows are read, and no block twice; of the parts that another rank wrote just these. */
static void a_column_takes_whole_rows_and_a_part_alone_takes_itself(void **state)
{
    const struct fixture *fixture = *state;
    struct layout written, read;
    int64_t bytes, all = 0;

    layout_init(&written, 2, model, 3);
    layout_init(&read, 2, model, 3);
    for (int64_t t = 0; t < 3; t++) {
        layout_cut(&written, t, 0, 0, 1, 2);
        layout_cut(&read, t, 1, 0, 1, 2);
        all += safetensors_form_bytes(&model[t]);
    }
    layout_fill(&written, 1);
    save(&written, fixture->ckpt, 1);
    layout_load(&read, fixture_path(fixture->ckpt, "step_00000001"), &bytes);
    assert_int_equal(bytes, 2 * all);
    layout_finish(&read);
    layout_load(&written, fixture_path(fixture->ckpt, "step_00000001"), &bytes);
    layout_expect(&written, 1);
    assert_int_equal(bytes, all);
    layout_finish(&written);
}

/* Rows longer than a block: a slice of columns need not read what lies between. */
static void blocks_that_hold_nothing_of_the_box_are_not_read(void **state)
{
    static const struct safetensors_form wide = {"wide", LLMRUN_F32, {2, {2, 4 << 20}}};
    const struct fixture *fixture = *state;
    const struct box box = {{0, 5}, {2, 10}};
    struct checkpoint checkpoint;
    struct layout written;
    uint32_t found[20];

    layout_init(&written, 1, &wide, 1);
    layout_fill(&written, 1);
    save(&written, fixture->ckpt, 1);
    assert_int_equal(
        checkpoint_open(&file_system_real, fixture_path(fixture->ckpt, "step_00000001"), &checkpoint, NULL), STATUS_OK);
    assert_int_equal(checkpoint_read_box(&checkpoint, &checkpoint.manifest.tensors[0], &box, found, NULL), STATUS_OK);
    assert_memory_equal(found, (const uint32_t *)written.data[0][0] + 5, 40);
    assert_memory_equal(found + 10, (const uint32_t *)written.data[0][0] + (4 << 20) + 5, 40);
    assert_int_equal(checkpoint.bytes_read, 2 * (INT64_C(4) << 20));
    checkpoint_close(&checkpoint);
    layout_finish(&written);
}

static void a_box_outside_of_the_tensor_is_our_own_mistake(void **state)
{
    const struct fixture *fixture = *state;
    const struct box box = {{49, 0}, {2, 24}};
    struct checkpoint checkpoint;
    struct layout written;
    struct error error = {0};
    float memory[48];

    make_layout(&written, ALONE);
    layout_fill(&written, 1);
    save(&written, fixture->ckpt, 1);
    assert_int_equal(
        checkpoint_open(&file_system_real, fixture_path(fixture->ckpt, "step_00000001"), &checkpoint, NULL), STATUS_OK);
    assert_int_equal(
        checkpoint_read_box(&checkpoint, checkpoint_tensor_find(&checkpoint, "wte.weight"), &box, memory, &error),
        STATUS_BUG);
    assert_string_equal(error.message, "tensor 'wte.weight' is [50,24], and [49:51, 0:24] of it is asked for");
    checkpoint_close(&checkpoint);
    layout_finish(&written);
}

static void damage_is_found_by_the_ranks_whose_slice_it_is_in(void **state)
{
    const struct fixture *fixture = *state;
    struct checkpoint checkpoint;
    struct layout written, read;
    char folder[PATH_MAX], *data;
    int64_t bytes;

    layout_init(&written, 1, model, 2);
    layout_fill(&written, 1);
    save(&written, fixture->ckpt, 1);
    strcpy(folder, fixture_path(fixture->ckpt, "step_00000001"));
    layout_init(&read, 4, model, 2);
    layout_cut(&read, 0, 0, 0, 1, 4);
    layout_cut(&read, 1, 0, 0, 1, 4);
    layout_fill(&read, 1);
    data = fixture_read(fixture_path(folder, "tensors-00001.safetensors"), &bytes);
    data[bytes - 1] ^= 1; /* the last element of up.weight: rank 3 has it */
    fixture_write(fixture_path(folder, "tensors-00001.safetensors"), data, (size_t)bytes);
    free(data);
    assert_int_equal(checkpoint_open(&file_system_real, folder, &checkpoint, NULL), STATUS_OK);
    for (int32_t r = 0; r < 4; r++) {
        struct error error = {0};

        assert_int_equal(checkpoint_read_box(&checkpoint, &checkpoint.manifest.tensors[1], &read.slices[r][1].box,
                                             read.data[r][1], &error),
                         r == 3 ? STATUS_INPUT : STATUS_OK);
        if (r == 3)
            assert_non_null(strstr(error.message, "tensors-00001.safetensors is damaged: tensor 'up.weight'"));
    }
    checkpoint_close(&checkpoint);
    layout_finish(&written);
    layout_finish(&read);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_layout_reads_what_every_layout_wrote),
        TEST(four_ranks_to_two_to_other_two_to_one_lose_no_bit),
        TEST(the_whole_of_a_tensor_is_read_from_its_parts),
        TEST(random_boxes_are_read_from_random_parts_seeds_1_to_60),
        TEST(ranks_read_little_beside_the_rows_that_they_have),
        TEST(a_column_takes_whole_rows_and_a_part_alone_takes_itself),
        TEST(blocks_that_hold_nothing_of_the_box_are_not_read),
        TEST(a_box_outside_of_the_tensor_is_our_own_mistake),
        TEST(damage_is_found_by_the_ranks_whose_slice_it_is_in),
    };

    return cmocka_run_group_tests_name("checkpoint reshard", tests, NULL, NULL);
}
