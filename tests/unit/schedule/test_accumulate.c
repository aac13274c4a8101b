#include "schedule/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* From text: "Z0 F0 B0 C0", by the first letters of enum schedule_action. */
static int check(const char *text, int32_t microbatches, int32_t in_flight, struct error *error)
{
    static const char actions[] = {'F', 'B', 'Z', 'C', '\0'};
    struct schedule_entry entries[32];
    struct schedule schedule = {entries, 0, microbatches, in_flight};

    for (; *text != '\0'; text += text[2] == ' ' ? 3 : 2)
        entries[schedule.count++] =
            (struct schedule_entry){(uint8_t)(strchr(actions, text[0]) - actions), text[1] - '0', 0};
    return schedule_check(&schedule, error);
}

static void accumulation_runs_f_and_b_of_each_microbatch_in_turn(void **state)
{
    (void)state;
    for (int32_t microbatches = 1; microbatches <= 8; microbatches++) {
        struct schedule schedule;
        struct error error;

        assert_int_equal(schedule_accumulate(microbatches, 1, false, &schedule, &error), STATUS_OK);
        assert_int_equal(schedule.count, 2 * microbatches + 1);
        assert_int_equal(schedule.entries[2 * microbatches].action, SCHEDULE_CLOSE);
        assert_int_equal(schedule.entries[2 * microbatches].chunk, 0);
        assert_int_equal(schedule.in_flight, 1);
        for (int32_t i = 0; i < microbatches; i++) {
            assert_int_equal(schedule.entries[2 * i].action, SCHEDULE_FORWARD);
            assert_int_equal(schedule.entries[2 * i].microbatch, i);
            assert_int_equal(schedule.entries[2 * i + 1].action, SCHEDULE_BACKWARD);
            assert_int_equal(schedule.entries[2 * i + 1].microbatch, i);
        }
        assert_int_equal(schedule_check(&schedule, &error), STATUS_OK);
        schedule_free(&schedule);
        assert_null(schedule.entries);
    }
}

static void units_begin_with_zeros_and_close_as_many_levels_as_their_number_has_factors_of_two(void **state)
{
    static const struct {
        uint8_t action;
        int32_t microbatch, chunk;
    } wanted[] = {
        {SCHEDULE_ZERO, 0, 0},     {SCHEDULE_FORWARD, 0, 0}, {SCHEDULE_BACKWARD, 0, 0}, {SCHEDULE_FORWARD, 1, 0},
        {SCHEDULE_BACKWARD, 1, 0}, {SCHEDULE_CLOSE, 1, 0},   {SCHEDULE_ZERO, 2, 0},     {SCHEDULE_FORWARD, 2, 0},
        {SCHEDULE_BACKWARD, 2, 0}, {SCHEDULE_FORWARD, 3, 0}, {SCHEDULE_BACKWARD, 3, 0}, {SCHEDULE_CLOSE, 3, 1},
        {SCHEDULE_ZERO, 4, 0},     {SCHEDULE_FORWARD, 4, 0}, {SCHEDULE_BACKWARD, 4, 0}, {SCHEDULE_FORWARD, 5, 0},
        {SCHEDULE_BACKWARD, 5, 0}, {SCHEDULE_CLOSE, 5, 0},   {SCHEDULE_ZERO, 6, 0},     {SCHEDULE_FORWARD, 6, 0},
        {SCHEDULE_BACKWARD, 6, 0}, {SCHEDULE_FORWARD, 7, 0}, {SCHEDULE_BACKWARD, 7, 0}, {SCHEDULE_CLOSE, 7, 2}};
    struct schedule schedule;
    struct error error;

    (void)state;
    assert_int_equal(schedule_accumulate(8, 4, true, &schedule, &error), STATUS_OK);
    assert_int_equal(schedule.count, sizeof wanted / sizeof wanted[0]);
    for (int64_t i = 0; i < schedule.count; i++) {
        assert_int_equal(schedule.entries[i].action, wanted[i].action);
        assert_int_equal(schedule.entries[i].microbatch, wanted[i].microbatch);
        assert_int_equal(schedule.entries[i].chunk, wanted[i].chunk);
    }
    assert_int_equal(schedule_check(&schedule, &error), STATUS_OK);
    schedule_free(&schedule);
}

static void other_orders_that_keep_the_rules_are_accepted(void **state)
{
    struct error error;

    (void)state;
    assert_int_equal(check("F0 F1 F2 B0 B1 B2", 3, 3, &error), STATUS_OK); /* GPipe */
    assert_int_equal(check("F0 F1 B0 F2 B1 B2", 3, 2, &error), STATUS_OK); /* 1F1B */
    assert_int_equal(check("F2 F0 F1 B0 B1 B2", 3, 3, &error), STATUS_OK); /* the order of F is free */
}

static void each_kind_of_broken_schedule_is_told_with_its_entry(void **state)
{
    static const struct {
        const char *text;
        int32_t microbatches, in_flight;
        const char *message;
    } cases[] = {
        {"B0 F0", 1, 1, "schedule entry 0: B of microbatch 0 is out of order"},
        {"F0 B0 F0 B0", 1, 1, "schedule entry 2: F of microbatch 0 is out of order"},
        {"F0 F0", 1, 2, "schedule entry 1: F of microbatch 0 is out of order"},
        {"F0 B0 B0", 1, 1, "schedule entry 2: B of microbatch 0 is out of order"},
        {"F0 B0 F1 B1", 1, 1, "schedule entry 2: F of microbatch 1 is out of order"},
        {"F0 F1 B1 B0", 2, 2, "schedule entry 2: B of microbatch 1 follows B of -1"},
        {"F0 F1 F2 B0 B2 B1", 3, 3, "schedule entry 4: B of microbatch 2 follows B of 0"},
        {"F0 F1 B0 B1", 2, 1, "schedule entry 1: more than 1 microbatches are in flight"},
        {"F0 B0 F1", 2, 1, "the schedule ends before the last B"},
        {"F0 B0", 2, 1, "the schedule ends before the last B"},
        {"F0 Z0 B0", 1, 1, "schedule entry 1: zero amid microbatch 0"},
        {"F0 C0 B0", 1, 1, "schedule entry 1: close amid microbatch 0"},
        {"F0 B0 Z0", 1, 1, "schedule entry 2: zero amid microbatch 0"},
        {"", 1, 1, "the schedule ends before the last B"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct error error = {0};

        if (check(cases[i].text, cases[i].microbatches, cases[i].in_flight, &error) != STATUS_BUG)
            fail_msg("accepted: %s", cases[i].text);
        assert_string_equal(error.message, cases[i].message);
    }
}

static void a_negative_microbatch_is_refused(void **state)
{
    struct schedule_entry entries[] = {{SCHEDULE_FORWARD, -1, 0}};
    struct schedule schedule = {entries, 1, 1, 1};
    struct error error;

    (void)state;
    assert_int_equal(schedule_check(&schedule, &error), STATUS_BUG);
    assert_string_equal(error.message, "schedule entry 0: F of microbatch -1 is out of order");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accumulation_runs_f_and_b_of_each_microbatch_in_turn),
        cmocka_unit_test(units_begin_with_zeros_and_close_as_many_levels_as_their_number_has_factors_of_two),
        cmocka_unit_test(other_orders_that_keep_the_rules_are_accepted),
        cmocka_unit_test(each_kind_of_broken_schedule_is_told_with_its_entry),
        cmocka_unit_test(a_negative_microbatch_is_refused),
    };

    return cmocka_run_group_tests_name("schedule accumulate", tests, NULL, NULL);
}
