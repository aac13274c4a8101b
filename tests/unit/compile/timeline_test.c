#include "compile/timeline.h"

#include <stdlib.h>
#include <string.h>

#include "layout_ranks.h"

static int32_t world_of(const struct layout *layout)
{
    return layout->tp * layout->pp * layout->dp;
}

static void make(const struct layout *layout, int32_t rank, struct compiled *compiled, struct timeline *timeline)
{
    struct error error;

    compile_of_layout(layout, rank, compiled);
    if (timeline_make(compiled, timeline, &error) != STATUS_OK)
        fail_msg("%s", error.message);
}

static void finish(struct compiled *compiled, struct timeline *timeline)
{
    timeline_finish(timeline);
    compiled_finish(compiled);
}

static void boxes_have_every_launch_and_every_transfer_of_the_step(void **state)
{
    (void)state;
    for (int l = 0; l < LAYOUTS; l++)
        for (int32_t rank = 0; rank < world_of(&layouts[l]); rank++) {
            struct compiled compiled;
            struct timeline timeline;
            struct traffic traffic, sum;
            int64_t launches = 0;

            make(&layouts[l], rank, &compiled, &timeline);
            memset(&sum, 0, sizeof sum);
            for (int64_t i = 0; i < timeline.count; i++) {
                launches += timeline.boxes[i].launches;
                for (int axis = 0; axis < MESH_AXES; axis++)
                    for (int kind = 0; kind < EXCHANGE_COPY; kind++) {
                        sum.calls[axis][kind] += timeline.boxes[i].sent.calls[axis][kind];
                        sum.bytes[axis][kind] += timeline.boxes[i].sent.bytes[axis][kind];
                    }
            }
            for (int64_t i = 0; i < compiled.commands.jobs[JOB_STEP].count; i++)
                launches -= compiled.commands.jobs[JOB_STEP].commands[i].kind == COMMAND_LAUNCH;
            assert_int_equal(launches, 0);
            traffic_count(&compiled, JOB_STEP, &traffic);
            assert_memory_equal(&sum, &traffic, sizeof sum);
            finish(&compiled, &timeline);
        }
}

/* One box for each F, and one or two for each backward, of a chunk's microbatch. */
static void each_entry_of_the_schedule_has_one_box(void **state)
{
    (void)state;
    for (int l = 0; l < LAYOUTS; l++) {
        const struct layout *layout = &layouts[l];
        const int64_t each = 4 * layout->chunks;
        int64_t boxes[SECTION_KINDS] = {0};
        struct compiled compiled;
        struct timeline timeline;

        make(layout, 0, &compiled, &timeline);
        for (int64_t i = 0; i < timeline.count; i++)
            boxes[timeline.boxes[i].kind]++;
        assert_int_equal(boxes[SECTION_FORWARD], each);
        assert_int_equal(boxes[SECTION_BACKWARD] + boxes[SECTION_BACKWARD_INPUT], each);
        assert_int_equal(boxes[SECTION_BACKWARD_WEIGHT], pipeline_splits(layout->schedule) ? each : 0);
        assert_int_equal(boxes[SECTION_REDUCE], 1);
        assert_int_equal(boxes[SECTION_UPDATE], 1);
        finish(&compiled, &timeline);
    }
}

static void a_rank_does_one_thing_at_a_time_and_updates_when_all_are_done(void **state)
{
    (void)state;
    for (int l = 0; l < LAYOUTS; l++)
        for (int32_t rank = 0; rank < world_of(&layouts[l]); rank++) {
            struct compiled compiled;
            struct timeline timeline;

            make(&layouts[l], rank, &compiled, &timeline);
            for (int64_t i = 0; i < timeline.count; i++) {
                const struct timeline_box *box = &timeline.boxes[i];

                assert_true(i == 0 || box->begin >= box[-1].end);
                assert_int_equal(box->end - box->begin, box->kind == SECTION_BACKWARD ? 2 : box->chunk >= 0 ? 1 : 0);
            }
            assert_int_equal(timeline.boxes[timeline.count - 1].kind, SECTION_UPDATE);
            assert_int_equal(timeline.boxes[timeline.count - 1].begin, timeline.makespan);
            finish(&compiled, &timeline);
        }
}

/* Two stages: F goes down, BW up, each with the activations of 1 sequence of 16 tokens, 64 wide, fp32, of which each of
 * two tp ranks has a half. */
static void an_output_goes_to_the_next_stage_before_that_begins(void **state)
{
    const struct layout layout = {2, 2, 2, PIPELINE_ONE_F_ONE_B, 1, 0};
    struct compiled compiled[2];
    struct timeline timelines[2];

    (void)state;
    make(&layout, 1, &compiled[0], &timelines[0]);
    make(&layout, 5, &compiled[1], &timelines[1]);
    for (int64_t i = 0; i < timelines[0].count; i++) {
        const struct timeline_box *first = &timelines[0].boxes[i];

        for (int64_t k = 0; k < timelines[1].count; k++) {
            const struct timeline_box *last = &timelines[1].boxes[k];

            if (first->chunk < 0 || first->kind != last->kind || first->microbatch != last->microbatch)
                continue;
            assert_int_equal(first->to, first->kind == SECTION_FORWARD ? 1 : -1);
            assert_int_equal(last->to, first->kind == SECTION_FORWARD ? -1 : 0);
            assert_int_equal(first->to_bytes + last->to_bytes, 16 * 64 * 4 / 2);
            assert_true(first->kind == SECTION_FORWARD ? last->begin >= first->end : first->begin >= last->end);
        }
    }
    assert_int_equal(timelines[0].makespan, 15); /* (4 microbatches + 2 ranks - 1) of F + BW */
    for (int r = 0; r < 2; r++)
        finish(&compiled[r], &timelines[r]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(boxes_have_every_launch_and_every_transfer_of_the_step),
        cmocka_unit_test(each_entry_of_the_schedule_has_one_box),
        cmocka_unit_test(a_rank_does_one_thing_at_a_time_and_updates_when_all_are_done),
        cmocka_unit_test(an_output_goes_to_the_next_stage_before_that_begins),
    };

    return cmocka_run_group_tests_name("timeline", tests, NULL, NULL);
}
