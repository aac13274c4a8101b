/* Boxes, the runs of a box within two others, and the blocks that parts are checked by. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/hash.h"
#include "checkpoint/blocks.h"
#include "checkpoint/box.h"

static void a_box_is_within_a_shape_or_not(void **state)
{
    static const struct {
        struct box box;
        bool within;
    } rows[] = {
        {{{0, 0}, {4, 6}}, true},          {{{3, 5}, {1, 1}}, true},
        {{{4, 0}, {0, 6}}, true},          {{{-1, 0}, {2, 6}}, false},
        {{{0, 0}, {5, 6}}, false},         {{{0, 2}, {4, 5}}, false},
        {{{0, 0}, {4, -1}}, false},        {{{INT64_MAX, 0}, {INT64_MAX, 6}}, false},
        {{{1, 0}, {INT64_MAX, 6}}, false},
    };
    const struct shape shape = {2, {4, 6}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(box_is_within(&rows[i].box, &shape), rows[i].within);
}

static void boxes_have_in_common_what_lies_in_both(void **state)
{
    const struct box a = {{0, 2}, {4, 4}}, b = {{2, 0}, {4, 3}}, c = {{0, 6}, {4, 1}};
    struct box common;
    char text[BOX_TEXT_BYTES];

    (void)state;
    assert_true(box_intersect(&a, &b, 2, &common));
    assert_string_equal(box_print(&common, 2, text), "[2:4, 2:3]");
    assert_int_equal(box_elements(&common, 2), 2);
    assert_false(box_intersect(&a, &c, 2, &common)); /* they only touch */
    assert_true(box_intersect(&a, &c, 0, &common));  /* scalars are the same element */
}

struct walk_case {
    int32_t rank;
    struct box common, from, to;
    int64_t runs[4][3]; /* from, to, elements */
    int count;
};

static const struct walk_case walks[] = {
    /* all of both: one run, whatever the rank */
    {3, {{0, 0, 0}, {2, 3, 4}}, {{0, 0, 0}, {2, 3, 4}}, {{0, 0, 0}, {2, 3, 4}}, {{0, 0, 24}}, 1},
    /* rows 2 and 3 of five: contiguous in both */
    {2, {{2, 0}, {2, 3}}, {{0, 0}, {5, 3}}, {{2, 0}, {2, 3}}, {{6, 0, 6}}, 1},
    /* columns 1 and 2 of four: a run a row */
    {2, {{0, 1}, {3, 2}}, {{0, 0}, {3, 4}}, {{0, 1}, {3, 2}}, {{1, 0, 2}, {5, 2, 2}, {9, 4, 2}}, 3},
    /* one wider than the other */
    {2, {{1, 1}, {2, 2}}, {{1, 1}, {2, 2}}, {{0, 0}, {3, 4}}, {{0, 5, 2}, {2, 9, 2}}, 2},
    /* the middle dimension of three */
    {3, {{0, 1, 0}, {2, 1, 2}}, {{0, 0, 0}, {2, 3, 2}}, {{0, 1, 0}, {2, 1, 2}}, {{2, 0, 2}, {8, 2, 2}}, 2},
    {0, {{0}, {0}}, {{0}, {0}}, {{0}, {0}}, {{0, 0, 1}}, 1},
    {1, {{3}, {2}}, {{1}, {9}}, {{3}, {2}}, {{2, 0, 2}}, 1},
};

static void runs_are_as_long_as_both_boxes_are_contiguous(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof walks / sizeof walks[0]; i++) {
        const struct walk_case *c = &walks[i];
        struct box_walk walk;
        int n = 0;

        for (box_walk_begin(&walk, c->rank, &c->common, &c->from, &c->to); box_walk_next(&walk); n++) {
            assert_true(n < c->count);
            assert_int_equal(walk.from, c->runs[n][0]);
            assert_int_equal(walk.to, c->runs[n][1]);
            assert_int_equal(walk.elements, c->runs[n][2]);
        }
        assert_int_equal(n, c->count);
    }
}

static void blocks_are_whole_rows_of_at_most_4_mib(void **state)
{
    static const struct {
        int64_t bytes, row, block;
    } rows[] = {
        {0, 4, 0},
        {1, 4, 1},
        {512, 512, 512},
        {3072, 4, 512},                        /* a vector: no smaller ones */
        {768 * 3072, 3072, 9216},              /* 256 blocks */
        {1000 * 4096, 4096, 4 * 4096},         /* 250: rounded up to whole rows */
        {100 * 65536, 65536, 65536},           /* one row */
        {INT64_C(8) << 30, 3072, 1365 * 3072}, /* as many rows as 4 MiB hold */
        {INT64_C(8) << 30, INT64_C(3) << 20, INT64_C(3) << 20},
        {INT64_C(8) << 30, INT64_C(5) << 20, INT64_C(4) << 20}, /* a row is longer */
        {INT64_C(4) << 20, INT64_C(4) << 20, INT64_C(4) << 20},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const int64_t block = blocks_bytes(rows[i].bytes, rows[i].row);

        assert_int_equal(block, rows[i].block);
        assert_true(block <= INT64_C(4) << 20);
        assert_true(blocks_count(rows[i].bytes, block) <= blocks_most(rows[i].bytes));
    }
    assert_int_equal(blocks_count(1025, 512), 3);
    assert_int_equal(blocks_count(1024, 512), 2);
    assert_int_equal(blocks_count(0, 0), 0);
}

static void checksums_of_blocks_do_not_depend_on_the_pieces(void **state)
{
    char data[1300];

    (void)state;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 37);
    for (int64_t piece = 1; piece <= (int64_t)sizeof data; piece += 97) {
        struct blocks blocks;

        assert_int_equal(blocks_init(&blocks, sizeof data, 4, NULL), STATUS_OK);
        for (int64_t done = 0; done < (int64_t)sizeof data; done += piece)
            blocks_add(&blocks, data + done, (int64_t)sizeof data - done < piece ? (int64_t)sizeof data - done : piece);
        assert_int_equal(blocks.done, 3);
        assert_int_equal(blocks.left, 0);
        assert_true(blocks.checksums[0] == hash_bytes(data, 512));
        assert_true(blocks.checksums[1] == hash_bytes(data + 512, 512));
        assert_true(blocks.checksums[2] == hash_bytes(data + 1024, 276));
        blocks_finish(&blocks);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_box_is_within_a_shape_or_not),
        cmocka_unit_test(boxes_have_in_common_what_lies_in_both),
        cmocka_unit_test(runs_are_as_long_as_both_boxes_are_contiguous),
        cmocka_unit_test(blocks_are_whole_rows_of_at_most_4_mib),
        cmocka_unit_test(checksums_of_blocks_do_not_depend_on_the_pieces),
    };

    return cmocka_run_group_tests_name("checkpoint box", tests, NULL, NULL);
}
