#include "schedule/pipeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../every.h"

static const int32_t rank_counts[] = {1, 2, 3, 4, 5, 6, 7, 8, 16, 64};

#define RANK_COUNTS ((int)(sizeof rank_counts / sizeof rank_counts[0]))

static struct pipeline make(pipeline_make *function, int32_t ranks, int32_t chunks, int32_t microbatches,
                            int32_t groups, bool zero)
{
    struct pipeline_shape shape = {ranks, chunks, microbatches, groups, zero};
    struct pipeline pipeline;
    struct error error;

    if (function(&shape, &pipeline, &error) != STATUS_OK || pipeline_check(&pipeline, &error) != STATUS_OK)
        fail_msg("%d ranks, %d chunks, %d microbatches, %d groups: %s", ranks, chunks, microbatches, groups,
                 error.message);
    return pipeline;
}

static struct pipeline_times time_of(pipeline_make *function, int32_t ranks, int32_t chunks, int32_t microbatches,
                                     struct pipeline_costs costs)
{
    struct pipeline pipeline = make(function, ranks, chunks, microbatches, 1, false);
    struct pipeline_times times;
    struct error error;

    assert_int_equal(pipeline_time(&pipeline, &costs, &times, &error), STATUS_OK);
    pipeline_finish(&pipeline);
    return times;
}

/* "F0 BW0": action and microbatch; "/1": the chunk; "^1": the level; neither is written where it is 0. Z and C: ZERO
 * and COMBINE. */
static void expect_table(const struct pipeline *pipeline, int32_t rank, const char *wanted)
{
    static const char *const actions[] = {"F", "B", "W", "BW", "ZB", "ZW", "CB", "CW"};
    char text[1024] = "";
    size_t used = 0;

    for (int64_t i = 0; i < pipeline->ranks[rank].count; i++) {
        const struct pipeline_entry *entry = &pipeline->ranks[rank].entries[i];

        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s%d", i > 0 ? " " : "", actions[entry->action],
                                 entry->microbatch);
        if (entry->chunk > 0)
            used += (size_t)snprintf(text + used, sizeof text - used, "/%d", entry->chunk);
        if (entry->level > 0)
            used += (size_t)snprintf(text + used, sizeof text - used, "^%d", entry->level);
    }
    assert_string_equal(text, wanted);
}

static void gpipe_runs_all_f_and_then_all_b(void **state)
{
    struct pipeline pipeline = make(pipeline_gpipe, 2, 1, 3, 1, false);

    (void)state;
    for (int32_t rank = 0; rank < 2; rank++)
        expect_table(&pipeline, rank, "F0 F1 F2 BW0 BW1 BW2 CB2 CW2");
    pipeline_finish(&pipeline);
}

/* Narayanan et al. 2021, figure 3, with three ranks. */
static void one_f_one_b_alternates_after_a_warmup(void **state)
{
    struct pipeline pipeline = make(pipeline_one_f_one_b, 3, 1, 4, 1, false);

    (void)state;
    expect_table(&pipeline, 0, "F0 F1 F2 BW0 F3 BW1 BW2 BW3 CB3 CW3");
    expect_table(&pipeline, 1, "F0 F1 BW0 F2 BW1 F3 BW2 BW3 CB3 CW3");
    expect_table(&pipeline, 2, "F0 BW0 F1 BW1 F2 BW2 F3 BW3 CB3 CW3");
    pipeline_finish(&pipeline);
}

/* Narayanan et al. 2021, figure 4, with two ranks: chunks change after each `ranks` microbatches. */
static void interleaved_takes_as_many_microbatches_as_ranks_through_each_chunk(void **state)
{
    struct pipeline pipeline = make(pipeline_interleaved, 2, 2, 4, 1, false);

    (void)state;
    expect_table(&pipeline, 0,
                 "F0 F1 F0/1 F1/1 F2 BW0/1 F3 BW1/1 F2/1 BW0 F3/1 BW1 BW2/1 BW3/1 CB3/1 CW3/1 BW2 BW3 CB3 CW3");
    expect_table(&pipeline, 1,
                 "F0 F1 F0/1 BW0/1 F1/1 BW1/1 F2 BW0 F3 BW1 F2/1 BW2/1 F3/1 BW3/1 CB3/1 CW3/1 BW2 BW3 CB3 CW3");
    pipeline_finish(&pipeline);
}

/* Qi et al., arXiv 2401.10241, figure 3 (above), with three ranks: W lags by the rank. */
static void zb_h1_delays_w_by_the_rank(void **state)
{
    struct pipeline pipeline = make(pipeline_zero_bubble, 3, 1, 4, 1, false);

    (void)state;
    expect_table(&pipeline, 0, "F0 F1 F2 B0 W0 F3 B1 W1 B2 W2 B3 CB3 W3 CW3");
    expect_table(&pipeline, 1, "F0 F1 B0 F2 B1 W0 F3 B2 W1 B3 CB3 W2 W3 CW3");
    expect_table(&pipeline, 2, "F0 B0 F1 B1 F2 B2 W0 F3 B3 CB3 W1 W2 W3 CW3");
    pipeline_finish(&pipeline);
}

/* By hand, from the times at which inputs arrive in a V of two ranks. */
static void zb_v_goes_down_and_up_again(void **state)
{
    struct pipeline pipeline = make(pipeline_zero_bubble, 2, 2, 3, 1, false);
    static const int32_t stages[2][2] = {{0, 3}, {1, 2}};

    (void)state;
    expect_table(&pipeline, 0,
                 "F0 F1 F2 F0/1 B0/1 W0/1 F1/1 B1/1 W1/1 B0 W0 F2/1 B2/1 CB2/1 W2/1 CW2/1 B1 W1 B2 CB2 W2 CW2");
    expect_table(&pipeline, 1,
                 "F0 F0/1 F1 F1/1 B0/1 W0/1 F2 B0 W0 F2/1 B1/1 W1/1 B1 B2/1 CB2/1 B2 CB2 W1 W2/1 CW2/1 W2 CW2");
    for (int32_t rank = 0; rank < 2; rank++)
        for (int32_t chunk = 0; chunk < 2; chunk++) {
            assert_int_equal(pipeline_stage(&pipeline, rank, chunk), stages[rank][chunk]);
            assert_int_equal(pipeline_holder(&pipeline, stages[rank][chunk]), rank);
        }
    pipeline_finish(&pipeline);
}

/* Groups of two microbatches: the second closes one level of the tree. B and W have their own, while others are in
 * flight. */
static void groups_are_zeroed_and_combined_for_b_and_w_apart(void **state)
{
    struct pipeline pipeline = make(pipeline_zero_bubble, 2, 1, 4, 2, true);

    (void)state;
    expect_table(&pipeline, 0, "F0 F1 ZB0 B0 ZW0 W0 F2 B1 CB1 W1 CW1 F3 ZB2 B2 ZW2 W2 B3 CB3^1 W3 CW3^1");
    expect_table(&pipeline, 1, "F0 ZB0 B0 F1 B1 CB1 ZW0 W0 F2 ZB2 B2 W1 CW1 F3 B3 CB3^1 ZW2 W2 W3 CW3^1");
    pipeline_finish(&pipeline);
    pipeline = make(pipeline_one_f_one_b, 1, 1, 4, 4, true);
    expect_table(&pipeline, 0,
                 "F0 ZB0 ZW0 BW0 CB0 CW0 F1 ZB1 ZW1 BW1 CB1^1 CW1^1 F2 ZB2 ZW2 BW2 CB2 CW2 F3 ZB3 ZW3 BW3 CB3^2 CW3^2");
    pipeline_finish(&pipeline);
}

/* The bubble over the ideal time, m (tF + tB + tW), is (p - 1) / m: Huang et al. (arXiv 1811.06965), section 2.3, for
 * GPipe, Narayanan et al. (arXiv 2104.04473), section 2.2.1, for GPipe and 1F1B; (p - 1) / (m v) interleaved,
 * section 2.2.2, where a chunk's costs are those of a rank over v. */
static void bubbles_of_schedules_that_do_not_split_b_are_the_published_ones(void **state)
{
    static const struct pipeline_costs costs[] = {{1, 1, 1, 0}, {2, 3, 1, 0}, {5, 4, 3, 0}};

    (void)state;
    for (int i = 0; i < RANK_COUNTS; i += EVERY(3))
        for (int j = 0; j < 3; j++) {
            int64_t p = rank_counts[i], total = costs[j].f + costs[j].b + costs[j].w;

            for (int64_t m = p; m <= 3 * p; m += p) {
                static pipeline_make *const makes[] = {pipeline_gpipe, pipeline_one_f_one_b, pipeline_interleaved,
                                                       pipeline_interleaved};
                static const int64_t chunks[] = {1, 1, 2, 4};

                for (int k = 0; k < 4; k++) {
                    int64_t v = chunks[k], ideal = m * v * total;
                    struct pipeline_times times = time_of(makes[k], (int32_t)p, (int32_t)v, (int32_t)m, costs[j]);

                    assert_int_equal(times.bubble * m * v, (p - 1) * ideal);
                    assert_int_equal(times.makespan, ideal + times.bubble);
                }
            }
        }
}

/* Qi et al., arXiv 2401.10241, table 2: ZB-H1's bubble is (p - 1) (tF + tB - tW), for m >= p. */
static void the_bubble_of_zb_h1_is_the_published_one(void **state)
{
    static const struct pipeline_costs costs[] = {{1, 1, 1, 0}, {4, 5, 3, 0}, {2, 3, 2, 0}, {3, 3, 1, 0}};

    (void)state;
    for (int i = 0; i < RANK_COUNTS; i += EVERY(3))
        for (int j = 0; j < 4; j++)
            for (int32_t p = rank_counts[i], m = p; m <= 3 * p; m += p) {
                struct pipeline_times times = time_of(pipeline_zero_bubble, p, 1, m, costs[j]);

                assert_int_equal(times.bubble, (p - 1) * (costs[j].f + costs[j].b - costs[j].w));
                assert_int_equal(times.makespan, m * (costs[j].f + costs[j].b + costs[j].w) + times.bubble);
            }
}

/* Qi et al., arXiv 2401.10241, section 6: with tF = tB = tW, ZB-V has no bubble. They count the longest time from the
 * first to the last work of a rank; the last rank starts p - 1 runs of a chunk after the first one, and ends so. */
static void zb_v_has_no_bubble_where_f_b_and_w_cost_the_same(void **state)
{
    (void)state;
    for (int i = 0; i < RANK_COUNTS; i += EVERY(3)) {
        int32_t p = rank_counts[i], counts[] = {2 * p - 1, 2 * p, 2 * p + 1, 4 * p};

        for (int j = 0; j < 4; j++) {
            struct pipeline_times times =
                time_of(pipeline_zero_bubble, p, 2, counts[j], (struct pipeline_costs){7, 7, 7, 0});

            assert_int_equal(times.bubble, 0);
            assert_int_equal(times.makespan, 7 * (6 * counts[j] + p - 1));
        }
    }
}

/* A transfer that takes no longer than a section is behind it, except on the way to the last rank and back. */
static void transfers_overlap_with_sections(void **state)
{
    (void)state;
    for (int32_t p = 1; p <= 8; p++) {
        struct pipeline_times times = time_of(pipeline_gpipe, p, 1, 8, (struct pipeline_costs){4, 5, 4, 3});

        assert_int_equal(times.makespan, (8 + p - 1) * (4 + 9) + 2 * (p - 1) * 3);
    }
    for (int32_t chunks = 1; chunks <= 2; chunks++) /* one rank transfers nothing */
        assert_int_equal(time_of(pipeline_zero_bubble, 1, chunks, 8, (struct pipeline_costs){4, 5, 4, 3}).makespan,
                         8 * chunks * (4 + 5 + 4));
}

static int32_t least(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

/* In flight: GPipe all m; 1F1B p - r, interleaved one more than the warm-up (Narayanan et al. 2021, sections 2.2.1 and
 * 2.2.2); ZB-H1 p of F to W on each rank (Qi et al., section 2.3), of them r + 1 between B and W; ZB-V 2p chunks, p
 * microbatches' worth (section 6). */
static void expect_slots(const struct pipeline *pipeline, pipeline_make *function)
{
    int32_t p = pipeline->shape.ranks, m = pipeline->shape.microbatches, v = pipeline->shape.chunks;

    for (int32_t r = 0; r < p; r++) {
        struct pipeline_slots slots = pipeline->ranks[r].slots;

        if (function == pipeline_zero_bubble && v == 2) {
            if (m >= 2 * p - 1)
                assert_int_equal(slots.f_to_w, 2 * p);
            assert_true(slots.f_to_w <= 2 * p && slots.f_to_b <= 2 * p && slots.b_to_w <= 2 * r + 1);
            continue;
        }
        assert_int_equal(slots.f_to_b, function == pipeline_gpipe ? m
                                       : function == pipeline_interleaved
                                           ? least(m * v, 2 * (p - 1 - r) + (v - 1) * p + 1)
                                           : least(m, p - r));
        assert_int_equal(slots.b_to_w, function == pipeline_zero_bubble ? least(m, r + 1) : 0);
        assert_int_equal(slots.f_to_w, function == pipeline_zero_bubble ? least(m, p) : slots.f_to_b);
    }
}

static const struct {
    pipeline_make *function;
    int32_t chunks;
} schedules[] = {{pipeline_gpipe, 1},       {pipeline_one_f_one_b, 1}, {pipeline_interleaved, 2},
                 {pipeline_interleaved, 4}, {pipeline_zero_bubble, 1}, {pipeline_zero_bubble, 2}};

#define SCHEDULES ((int)(sizeof schedules / sizeof schedules[0]))

/* By hand: F of the second rank begins where that of the first one ends, and BW, of two units, the other way round. */
static void spans_say_when_each_entry_runs(void **state)
{
    static const struct pipeline_span wanted[2][6] = {{{0, 1}, {1, 2}, {5, 7}, {7, 9}, {9, 9}, {9, 9}},
                                                      {{1, 2}, {2, 3}, {3, 5}, {5, 7}, {7, 7}, {7, 7}}};
    const struct pipeline_costs costs = {1, 1, 1, 0};
    struct pipeline pipeline = make(pipeline_gpipe, 2, 1, 2, 1, false);
    struct pipeline_span first[6], second[6], *const spans[2] = {first, second};
    struct pipeline_times times;
    struct error error;

    (void)state;
    assert_int_equal(pipeline.ranks[0].count, 6);
    assert_int_equal(pipeline.ranks[1].count, 6);
    assert_int_equal(pipeline_spans(&pipeline, &costs, &times, spans, &error), STATUS_OK);
    assert_memory_equal(first, wanted[0], sizeof first);
    assert_memory_equal(second, wanted[1], sizeof second);
    assert_int_equal(times.makespan, 9);
    pipeline_finish(&pipeline);
}

static void every_schedule_keeps_all_rules_with_the_published_counts_in_flight(void **state)
{
    (void)state;
    for (int i = 0; i < RANK_COUNTS; i += EVERY(2)) {
        int32_t p = rank_counts[i], counts[] = {1, 2, 3, p, p + 1, 2 * p, 3 * p, 4 * p};

        for (int j = 0; j < 8; j++)
            for (int k = 0; k < SCHEDULES; k++) {
                if (schedules[k].function == pipeline_interleaved && counts[j] % p != 0)
                    continue;
                for (int32_t groups = 1; groups <= 8 && counts[j] % groups == 0; groups *= 2) {
                    struct pipeline pipeline =
                        make(schedules[k].function, p, schedules[k].chunks, counts[j], groups, groups != 2);

                    expect_slots(&pipeline, schedules[k].function);
                    pipeline_finish(&pipeline);
                }
            }
    }
}

static void schedules_of_512_ranks_are_made_and_checked(void **state)
{
    (void)state;
    for (int i = 0; i < SCHEDULES; i += EVERY(3)) {
        struct pipeline pipeline = make(schedules[i].function, 512, schedules[i].chunks, 512, 8, true);

        expect_slots(&pipeline, schedules[i].function);
        pipeline_finish(&pipeline);
    }
}

/* What passes on one way from rank `from` to rank `to`, as stage * microbatches + microbatch of the receiver, in the
 * order of the table of `teller`, which is one of them. Returns how much. */
static int64_t passed(const struct pipeline *pipeline, bool down, int32_t from, int32_t to, int32_t teller,
                      int64_t *order)
{
    const struct pipeline_rank *table = &pipeline->ranks[teller];
    const int32_t stages = pipeline->shape.ranks * pipeline->shape.chunks;
    int64_t count = 0;

    for (int64_t i = 0; i < table->count; i++) {
        const struct pipeline_entry *entry = &table->entries[i];
        const bool is_down = entry->action == PIPELINE_F;
        const int32_t stage = pipeline_stage(pipeline, teller, entry->chunk), step = down ? 1 : -1;
        const int32_t sender = teller == from ? stage : stage - step, receiver = sender + step;

        if ((!is_down && entry->action != PIPELINE_B && entry->action != PIPELINE_BW) || is_down != down ||
            sender < 0 || receiver < 0 || sender >= stages || receiver >= stages ||
            pipeline_holder(pipeline, sender) != from || pipeline_holder(pipeline, receiver) != to)
            continue;
        order[count++] = (int64_t)receiver * pipeline->shape.microbatches + entry->microbatch;
    }
    return count;
}

/* Several links may go from one rank to another; those down, and those up, are used in one order at both ends, so one
 * channel each way is enough (passes/pipeline_parallel.h). */
static void between_two_ranks_the_links_of_one_way_have_one_order(void **state)
{
    static int64_t sent[1024], received[1024];
    int64_t all = 0;

    (void)state;
    for (int32_t ranks = 2; ranks <= 4; ranks++)
        for (int k = 0; k < SCHEDULES; k++) {
            struct pipeline pipeline = make(schedules[k].function, ranks, schedules[k].chunks, 12, 1, false);

            for (int32_t pair = 0; pair < ranks * ranks; pair++)
                for (int down = 0; down < 2; down++) {
                    const int32_t from = pair / ranks, to = pair % ranks;
                    int64_t count;

                    if (from == to)
                        continue;
                    count = passed(&pipeline, down, from, to, from, sent);
                    assert_int_equal(passed(&pipeline, down, from, to, to, received), count);
                    assert_memory_equal(received, sent, (size_t)count * sizeof *sent);
                    all += count;
                }
            pipeline_finish(&pipeline);
        }
    assert_true(all > 0);
}

static void stages_are_placed_without_tables_as_with_them(void **state)
{
    (void)state;
    for (int kind = PIPELINE_ONE_F_ONE_B; kind <= PIPELINE_ZERO_BUBBLE; kind++)
        for (int32_t chunks = 1; chunks <= 2; chunks++) {
            const struct pipeline_shape shape = {2, chunks, 4, 1, false};
            struct pipeline pipeline;
            struct error error;

            if (pipeline_of_kind((enum pipeline_kind)kind, &shape, &pipeline, &error) != STATUS_OK)
                continue;
            assert_int_equal(pipeline.placement, pipeline_placement_of((enum pipeline_kind)kind, chunks));
            assert_int_equal(pipeline.placement == PIPELINE_V, kind == PIPELINE_ZERO_BUBBLE && chunks == 2);
            pipeline_finish(&pipeline);
        }
}

static void a_shape_that_a_schedule_cannot_have_is_refused(void **state)
{
    static const struct {
        pipeline_make *function;
        struct pipeline_shape shape;
        const char *message;
    } cases[] = {
        {pipeline_gpipe, {0, 1, 1, 1, false}, "schedule gpipe: 0 ranks and 1 microbatches, wanted at least 1 of each"},
        {pipeline_gpipe, {1, 1, 0, 1, false}, "schedule gpipe: 1 ranks and 0 microbatches, wanted at least 1 of each"},
        {pipeline_one_f_one_b, {2, 2, 4, 1, false}, "schedule 1f1b: 2 chunks a rank, wanted 1 to 1"},
        {pipeline_interleaved, {2, 1, 4, 1, false}, "schedule interleaved: 1 chunks a rank, wanted 2 to 64"},
        {pipeline_interleaved,
         {4, 2, 6, 1, false},
         "schedule interleaved: 6 microbatches on 4 ranks, wanted a multiple of 4; or take 1f1b"},
        {pipeline_zero_bubble, {2, 3, 4, 1, false}, "schedule zero-bubble: 3 chunks a rank, wanted 1 to 2"},
        {pipeline_gpipe,
         {1, 1, 6, 3, false},
         "schedule gpipe: 3 accumulation groups, wanted a power of two that divides 6 microbatches"},
        {pipeline_gpipe,
         {1, 1, 6, 4, false},
         "schedule gpipe: 4 accumulation groups, wanted a power of two that divides 6 microbatches"},
        {pipeline_interleaved,
         {1 << 30, 4, 1 << 30, 1, false},
         "schedule interleaved: 1073741824 ranks of 4 chunks, more than 16777216 stages"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pipeline pipeline;
        struct error error = {0};

        assert_int_equal(cases[i].function(&cases[i].shape, &pipeline, &error), STATUS_USAGE);
        assert_string_equal(error.message, cases[i].message);
        assert_null(pipeline.ranks);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gpipe_runs_all_f_and_then_all_b),
        cmocka_unit_test(one_f_one_b_alternates_after_a_warmup),
        cmocka_unit_test(interleaved_takes_as_many_microbatches_as_ranks_through_each_chunk),
        cmocka_unit_test(zb_h1_delays_w_by_the_rank),
        cmocka_unit_test(zb_v_goes_down_and_up_again),
        cmocka_unit_test(groups_are_zeroed_and_combined_for_b_and_w_apart),
        cmocka_unit_test(bubbles_of_schedules_that_do_not_split_b_are_the_published_ones),
        cmocka_unit_test(the_bubble_of_zb_h1_is_the_published_one),
        cmocka_unit_test(zb_v_has_no_bubble_where_f_b_and_w_cost_the_same),
        cmocka_unit_test(transfers_overlap_with_sections),
        cmocka_unit_test(spans_say_when_each_entry_runs),
        cmocka_unit_test(every_schedule_keeps_all_rules_with_the_published_counts_in_flight),
        cmocka_unit_test(schedules_of_512_ranks_are_made_and_checked),
        cmocka_unit_test(between_two_ranks_the_links_of_one_way_have_one_order),
        cmocka_unit_test(stages_are_placed_without_tables_as_with_them),
        cmocka_unit_test(a_shape_that_a_schedule_cannot_have_is_refused),
    };

    return cmocka_run_group_tests_name("schedule pipeline", tests, NULL, NULL);
}
