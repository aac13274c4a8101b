/* A timeline shows what a submission is made of, and changes nothing else. */
#include "tiny.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define MICROBATCHES 2 /* of tiny_request */

static void observe_step(struct tiny *tiny, struct timeline *timeline, int step, double *losses)
{
    executor_observe(tiny->executor, timeline);
    tiny_fill(tiny, step);
    tiny_submit(tiny);
    tiny_collect(tiny, losses);
}

/* Of all sections of a kind. */
static int64_t ops_of(const struct tiny *tiny, enum section_kind kind)
{
    const struct program *program = &executor_compiled(tiny->executor)->program;
    int64_t count = 0;

    for (int64_t i = 0; i < program->section_count; i++)
        count += program->sections[i].kind == kind ? program->sections[i].op_count : 0;
    return count;
}

static int64_t commands_of(const struct tiny *tiny, enum command_kind kind)
{
    const struct command_list *list = &executor_compiled(tiny->executor)->commands.jobs[JOB_STEP];
    int64_t count = 0;

    for (int64_t i = 0; i < list->count; i++)
        count += list->commands[i].kind == kind;
    return count;
}

static int64_t sections_of(const struct tiny *tiny, enum section_kind kind)
{
    const struct program *program = &executor_compiled(tiny->executor)->program;
    int64_t count = 0;

    for (int64_t i = 0; i < program->section_count; i++)
        count += program->sections[i].kind == kind;
    return count;
}

/* Marks of ops, or of a name. */
static int64_t count_marks(const struct timeline *timeline, const char *what)
{
    int64_t found = 0;

    for (int64_t i = 0; i < timeline->count; i++) {
        const struct timeline_mark *mark = &timeline->marks[i];

        found += what == NULL ? mark->op >= 0 : mark->op < 0 && strcmp(mark->what, what) == 0;
    }
    return found;
}

static void each_launch_of_a_step_has_a_mark_and_the_last_one_is_behind_them(void **state)
{
    struct compile_request request = tiny_request();
    struct timeline timeline = {0};
    struct tiny tiny;

    (void)state;
    request.batch_parts = 1; /* both microbatches add to the gradients */
    tiny_open(&tiny, "cpu", NULL, NULL, &request);
    observe_step(&tiny, &timeline, 1, NULL);
    assert_int_equal(count_marks(&timeline, NULL),
                     MICROBATCHES * (ops_of(&tiny, SECTION_FORWARD) + ops_of(&tiny, SECTION_BACKWARD)) +
                         ops_of(&tiny, SECTION_COMBINE_INPUT) + ops_of(&tiny, SECTION_COMBINE_WEIGHT) +
                         ops_of(&tiny, SECTION_REDUCE) + ops_of(&tiny, SECTION_UPDATE));
    assert_int_equal(count_marks(&timeline, "inputs"), 1 + MICROBATCHES); /* those of the step too */
    assert_int_equal(count_marks(&timeline, "losses"), MICROBATCHES);
    assert_int_equal(commands_of(&tiny, COMMAND_ZERO), 1); /* B and W are one section */
    assert_int_equal(count_marks(&timeline, "zero gradients"), 1);
    assert_int_equal(count_marks(&timeline, "results"), 1);
    assert_string_equal(timeline.marks[timeline.count - 1].what, "end");
    for (int64_t i = 0; i + 1 < timeline.count; i++) {
        int64_t ns = -1;

        tiny_ok(&tiny, timeline_elapsed(&timeline, i, &ns, &tiny.error));
        assert_true(ns >= 0);
    }
    executor_observe(tiny.executor, NULL);
    timeline_destroy(&timeline);
    tiny_close(&tiny);
}

static void the_next_step_uses_the_same_marks_and_without_a_timeline_there_are_none(void **state)
{
    struct compile_request request = tiny_request();
    struct timeline timeline = {0};
    struct tiny tiny;
    int64_t count, made;

    (void)state;
    tiny_open(&tiny, "cpu", NULL, NULL, &request);
    observe_step(&tiny, &timeline, 1, NULL);
    count = timeline.count;
    made = timeline.made;
    observe_step(&tiny, &timeline, 2, NULL);
    assert_int_equal(timeline.count, count);
    assert_int_equal(timeline.made, made);
    timeline.count = 0;
    observe_step(&tiny, NULL, 3, NULL);
    assert_int_equal(timeline.count, 0);
    timeline_destroy(&timeline);
    tiny_close(&tiny);
}

static void a_device_that_compiles_has_a_mark_for_each_section(void **state)
{
    struct compile_request request = tiny_request();
    struct timeline timeline = {0};
    struct tiny tiny;

    (void)state;
    tiny_open(&tiny, "fakegraph", NULL, NULL, &request);
    observe_step(&tiny, &timeline, 1, NULL);
    assert_int_equal(count_marks(&timeline, NULL), 0);
    assert_int_equal(count_marks(&timeline, "forward"), MICROBATCHES * sections_of(&tiny, SECTION_FORWARD));
    assert_int_equal(count_marks(&timeline, "backward"), MICROBATCHES * sections_of(&tiny, SECTION_BACKWARD));
    assert_int_equal(count_marks(&timeline, "update"), 1);
    executor_observe(tiny.executor, NULL);
    timeline_destroy(&timeline);
    tiny_close(&tiny);
}

static void observing_changes_no_loss(void **state)
{
    struct compile_request request = tiny_request();
    struct timeline timeline = {0};
    double wanted[2 * TINY_BATCH], found[2 * TINY_BATCH];
    struct tiny tiny;

    (void)state;
    tiny_open(&tiny, "cpu", NULL, NULL, &request);
    tiny_train(&tiny, 2, wanted);
    tiny_close(&tiny);
    tiny_open(&tiny, "cpu", NULL, NULL, &request);
    observe_step(&tiny, &timeline, 1, found);
    observe_step(&tiny, &timeline, 2, found + TINY_BATCH);
    executor_observe(tiny.executor, NULL);
    timeline_destroy(&timeline);
    tiny_close(&tiny);
    assert_memory_equal(found, wanted, sizeof wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_launch_of_a_step_has_a_mark_and_the_last_one_is_behind_them),
        cmocka_unit_test(the_next_step_uses_the_same_marks_and_without_a_timeline_there_are_none),
        cmocka_unit_test(a_device_that_compiles_has_a_mark_for_each_section),
        cmocka_unit_test(observing_changes_no_loss),
    };

    return cmocka_run_group_tests_name("timeline", tests, NULL, NULL);
}
