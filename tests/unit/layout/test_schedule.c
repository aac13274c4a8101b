#include "layout/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* From text: "F0 B0 F1 B1". */
static int check(const char *text, int32_t microbatches, int32_t in_flight, struct error *error)
{
    struct schedule_entry entries[32];
    struct schedule schedule = {entries, 0, microbatches, in_flight};

    for (; *text != '\0'; text += text[2] == ' ' ? 3 : 2)
        entries[schedule.count++] =
            (struct schedule_entry){text[0] == 'F' ? SCHEDULE_FORWARD : SCHEDULE_BACKWARD, text[1] - '0', 0};
    return schedule_check(&schedule, error);
}

static void accumulation_runs_f_and_b_of_each_microbatch_in_turn(void **state)
{
    (void)state;
    for (int32_t microbatches = 1; microbatches <= 8; microbatches++) {
        struct schedule schedule;
        struct error error;

        assert_int_equal(schedule_accumulate(microbatches, &schedule, &error), STATUS_OK);
        assert_int_equal(schedule.count, 2 * microbatches);
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
        cmocka_unit_test(other_orders_that_keep_the_rules_are_accepted),
        cmocka_unit_test(each_kind_of_broken_schedule_is_told_with_its_entry),
        cmocka_unit_test(a_negative_microbatch_is_refused),
    };

    return cmocka_run_group_tests_name("layout schedule", tests, NULL, NULL);
}
