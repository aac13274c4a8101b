#include "schedule/pipeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RANKS_MAX   2
#define ENTRIES_MAX 64

/* "F0 BW0": action and microbatch; "/1": the chunk; "^1": the level; 0 where they are not written. Z and C: ZERO and
 * COMBINE; X: no action. */
static int64_t parse(const char *text, struct pipeline_entry *entries)
{
    static const char *const actions[] = {"F", "B", "W", "BW", "ZB", "ZW", "CB", "CW", "X"};
    int64_t count = 0;

    for (char *end; *text != '\0'; text = *end == ' ' ? end + 1 : end) {
        struct pipeline_entry entry = {0};
        size_t letters = strspn(text, "FBWZCX");

        while (strlen(actions[entry.action]) != letters || strncmp(actions[entry.action], text, letters) != 0)
            entry.action++;
        entry.microbatch = (int32_t)strtol(text + letters, &end, 10);
        if (*end == '/')
            entry.chunk = (uint16_t)strtol(end + 1, &end, 10);
        if (*end == '^')
            entry.level = (uint8_t)strtol(end + 1, &end, 10);
        assert_true(count < ENTRIES_MAX);
        entries[count++] = entry;
    }
    return count;
}

/* The shape, slots of each rank, and a table a rank. */
struct tables {
    struct pipeline_shape shape;
    struct pipeline_slots slots;
    const char *ranks[RANKS_MAX];
};

/* Checks the tables and, where `costs` are given, runs them. */
static int check(const struct tables *tables, const struct pipeline_costs *costs, struct pipeline_times *times,
                 struct error *error)
{
    struct pipeline_entry entries[RANKS_MAX][ENTRIES_MAX];
    struct pipeline_rank ranks[RANKS_MAX];
    struct pipeline pipeline = {tables->shape, PIPELINE_LOOP, ranks};
    int status;

    for (int32_t i = 0; i < tables->shape.ranks; i++)
        ranks[i] = (struct pipeline_rank){entries[i], parse(tables->ranks[i], entries[i]), tables->slots};
    status = pipeline_check(&pipeline, error);
    return status == STATUS_OK && costs != NULL ? pipeline_time(&pipeline, costs, times, error) : status;
}

#define ONE(microbatches, groups, zero)                                                                                \
    {                                                                                                                  \
        1, 1, microbatches, groups, zero                                                                               \
    }
#define TWO(microbatches)                                                                                              \
    {                                                                                                                  \
        2, 1, microbatches, 1, false                                                                                   \
    }

static void orders_that_no_function_makes_but_that_keep_the_rules_are_accepted(void **state)
{
    static const struct tables cases[] = {
        {ONE(3, 1, false), {3, 3, 3}, {"F2 F0 F1 B0 B1 B2 CB2 W0 W1 W2 CW2"}}, /* the order of F is free */
        {ONE(2, 1, false), {1, 1, 1}, {"F0 B0 W0 F1 B1 W1 CW1 CB1"}},
        {ONE(2, 2, true), {2, 2, 2}, {"ZW0 ZB0 F0 F1 B0 CB0 ZB1 B1 W0 CW0 ZW1 W1 CW1^1 CB1^1"}},
        {ONE(2, 1, true), {1, 0, 1}, {"ZB0 F0 ZW0 BW0 F1 BW1 CW1 CB1"}},
        {TWO(2), {2, 1, 2}, {"F1 F0 BW0 BW1 CB1 CW1", "F1 F0 B0 B1 CB1 W0 W1 CW1"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tables tables = cases[i];
        struct error error;

        tables.slots.b_to_w = 3;
        if (check(&tables, NULL, NULL, &error) != STATUS_OK)
            fail_msg("case %zu: %s", i, error.message);
    }
}

/* Each case breaks one rule: without it, its tables would be accepted. */
static void each_rule_refuses_what_only_it_forbids(void **state)
{
    static const struct {
        struct tables tables;
        const char *message;
    } cases[] = {
        /* sections that do not exist */
        {{ONE(1, 1, false), {1, 1, 1}, {"F0 B0 W0 CB0 CW0 X0"}},
         "rank 0, entry 5: an unknown action of chunk 0, microbatch 0: there is no such section"},
        {{ONE(1, 1, false), {2, 1, 2}, {"F0 B0 W0 CB0 CW0 F0/1"}},
         "rank 0, entry 5: F of chunk 1, microbatch 0: there is no such section"},
        {{ONE(1, 1, false), {2, 1, 2}, {"F0 B0 W0 CB0 CW0 F1"}},
         "rank 0, entry 5: F of chunk 0, microbatch 1: there is no such section"},
        {{ONE(1, 1, false), {2, 1, 2}, {"F0 F-1 B0 W0 CB0 CW0"}},
         "rank 0, entry 1: F of chunk 0, microbatch -1: there is no such section"},
        {{ONE(1, 1, false), {1, 1, 1}, {"F0^1 B0 W0 CB0 CW0"}},
         "rank 0, entry 0: F of chunk 0, microbatch 0: there is no such section"},
        /* missing, twice, before what it needs */
        {{ONE(2, 1, false), {3, 2, 3}, {"F0 F1 F0 B0 W0 B1 W1 CB1 CW1"}},
         "rank 0, entry 2: F of chunk 0, microbatch 0: comes twice"},
        {{ONE(1, 1, false), {1, 1, 1}, {"B0 F0 W0 CB0 CW0"}},
         "rank 0, entry 0: B of chunk 0, microbatch 0: comes before its F"},
        {{ONE(1, 1, false), {1, 1, 1}, {"W0 F0 B0 CB0 CW0"}},
         "rank 0, entry 0: W of chunk 0, microbatch 0: comes before its B"},
        {{ONE(2, 1, false), {2, 2, 2}, {"F0 F1 B0 W0"}},
         "rank 0, entry 4: the table ends before B of chunk 0, microbatch 1"},
        {{ONE(2, 1, false), {2, 2, 2}, {"F0 F1 B0 W0 B1 CB1"}},
         "rank 0, entry 6: the table ends before W of chunk 0, microbatch 1"},
        {{ONE(1, 1, false), {1, 1, 1}, {"F0 B0 W0 CW0"}},
         "rank 0, entry 4: the table ends before COMBINE_B of chunk 0"},
        {{ONE(1, 1, false), {1, 1, 1}, {"F0 B0 W0 CB0"}},
         "rank 0, entry 4: the table ends before COMBINE_W of chunk 0"},
        /* the order of sums */
        {{ONE(3, 1, false), {3, 3, 3}, {"F0 F1 F2 B1 B0 B2 CB2 W0 W1 W2 CW2"}},
         "rank 0, entry 3: B of chunk 0, microbatch 1: not in ascending order, microbatch 0 is next"},
        {{ONE(3, 1, false), {3, 3, 3}, {"F0 F1 F2 B0 B1 B2 CB2 W1 W0 W2 CW2"}},
         "rank 0, entry 7: W of chunk 0, microbatch 1: not in ascending order, microbatch 0 is next"},
        {{ONE(2, 1, false), {2, 2, 2}, {"F0 F1 B0 B0 CB1 W0 W1 CW1"}},
         "rank 0, entry 3: B of chunk 0, microbatch 0: not in ascending order, microbatch 1 is next"},
        /* accumulation groups */
        {{ONE(2, 2, false), {2, 2, 2}, {"F0 F1 B0 B1 CB1^1 W0 CW0 W1 CW1^1"}},
         "rank 0, entry 3: B of chunk 0, microbatch 1: writes before the group that ends with microbatch 0 is "
         "combined"},
        {{ONE(2, 2, false), {2, 2, 2}, {"F0 F1 B0 CB0 B1 CB1^1 W0 W1 CW1^1"}},
         "rank 0, entry 7: W of chunk 0, microbatch 1: writes before the group that ends with microbatch 0 is "
         "combined"},
        {{ONE(1, 1, true), {1, 1, 1}, {"F0 B0 ZW0 W0 CB0 CW0"}},
         "rank 0, entry 1: B of chunk 0, microbatch 0: writes before its group is zeroed"},
        {{ONE(2, 2, true), {2, 2, 2}, {"F0 F1 ZB0 B0 CB0 ZB1 B1 CB1^1 ZW0 W0 CW0 W1 CW1^1"}},
         "rank 0, entry 11: W of chunk 0, microbatch 1: writes before its group is zeroed"},
        {{ONE(1, 1, false), {1, 1, 1}, {"F0 ZB0 B0 W0 CB0 CW0"}},
         "rank 0, entry 1: ZERO_B of chunk 0, microbatch 0: the first write of a group overwrites here"},
        {{ONE(2, 2, true), {1, 0, 1}, {"ZB0 ZW0 F0 BW0 CW0 ZW1 ZB1 CB0 F1 BW1 CB1^1 CW1^1"}},
         "rank 0, entry 6: ZERO_B of chunk 0, microbatch 1: comes before the group that ends with microbatch 0 is "
         "combined"},
        {{ONE(2, 1, true), {1, 0, 1}, {"ZB0 ZW0 F0 BW0 ZW1 F1 BW1 CB1 CW1"}},
         "rank 0, entry 4: ZERO_W of chunk 0, microbatch 1: no group begins here, microbatch 1 is next"},
        {{ONE(2, 2, true), {1, 0, 1}, {"ZB1 ZW0 F0 BW0 CW0 CB0 ZW1 ZB1 F1 BW1 CB1^1 CW1^1"}},
         "rank 0, entry 0: ZERO_B of chunk 0, microbatch 1: no group begins here, microbatch 0 is next"},
        {{ONE(2, 1, false), {1, 0, 1}, {"F0 BW0 CB0 F1 BW1 CB1 CW1"}},
         "rank 0, entry 2: COMBINE_B of chunk 0, microbatch 0: no group ends here, microbatch 1 is next"},
        {{ONE(2, 2, false), {1, 0, 1}, {"F0 BW0 CB0 CW0 F1 BW1 CB1 CW1^1"}},
         "rank 0, entry 6: COMBINE_B of chunk 0, microbatch 1: level 0, wanted 1"},
        /* slots */
        {{ONE(2, 1, false), {1, 2, 2}, {"F0 F1 BW0 BW1 CB1 CW1"}},
         "rank 0, entry 1: F of chunk 0, microbatch 1: 2 are between F and B, more than the 1 slots"},
        {{ONE(2, 1, false), {1, 1, 2}, {"F0 B0 F1 B1 CB1 W0 W1 CW1"}},
         "rank 0, entry 3: B of chunk 0, microbatch 1: 2 are between B and W, more than the 1 slots"},
        {{ONE(2, 1, false), {1, 2, 1}, {"F0 B0 F1 B1 CB1 W0 W1 CW1"}},
         "rank 0, entry 2: F of chunk 0, microbatch 1: 2 are between F and W, more than the 1 slots"},
        /* all ranks at once: the second F of rank 1 comes before the B that rank 0 waits for */
        {{TWO(2), {2, 0, 2}, {"F0 BW0 F1 BW1 CB1 CW1", "F0 F1 BW0 BW1 CB1 CW1"}},
         "rank 0, entry 1: BW of chunk 0, microbatch 0: deadlock, waits to receive from rank 1, which waits at entry "
         "1"},
        {{TWO(2), {2, 0, 2}, {"F1 F0 BW0 BW1 CB1 CW1", "F0 F1 BW0 BW1 CB1 CW1"}},
         "rank 1, entry 0: F of chunk 0, microbatch 0: rank 0 sends that of microbatch 1 first"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct error error = {0};

        if (check(&cases[i].tables, NULL, NULL, &error) != STATUS_BUG)
            fail_msg("accepted: %s, wanted: %s", cases[i].tables.ranks[0], cases[i].message);
        assert_string_equal(error.message, cases[i].message);
    }
}

/* "F0/1 F1/1 ..." */
static void add_runs(char *text, const char *action, int32_t microbatches, int32_t chunk)
{
    for (int32_t i = 0; i < microbatches; i++)
        sprintf(text + strlen(text), "%s%s%d/%d", *text == '\0' ? "" : " ", action, i, chunk);
}

/* F of chunk 0 for all microbatches before any of chunk 1: no circle of needs. But of what rank 1 sends back, one is
 * received and one waits to be received, and rank 1 stops with its third. It has begun three F, one more is received,
 * one waits: rank 0 stops with its sixth. */
static void sends_are_unbuffered(void **state)
{
    (void)state;
    for (int32_t microbatches = 5; microbatches <= 6; microbatches++) {
        struct tables tables = {{2, 2, microbatches, 1, false}, {12, 0, 12}, {NULL, NULL}};
        struct error error = {0};
        char text[512] = "", last[16];

        add_runs(text, "F", microbatches, 0);
        add_runs(text, "F", microbatches, 1);
        add_runs(text, "BW", microbatches, 1);
        for (int32_t chunk = 1; chunk >= 0; chunk--) {
            if (chunk == 0)
                add_runs(text, "BW", microbatches, 0);
            snprintf(last, sizeof last, " CB%d/%d", microbatches - 1, chunk);
            strcat(text, last);
            last[1] = 'C', last[2] = 'W';
            strcat(text, last);
        }
        tables.ranks[0] = tables.ranks[1] = text;
        if (microbatches == 5) {
            assert_int_equal(check(&tables, NULL, NULL, &error), STATUS_OK);
            continue;
        }
        assert_int_equal(check(&tables, NULL, NULL, &error), STATUS_BUG);
        assert_string_equal(error.message, "rank 0, entry 5: F of chunk 0, microbatch 5: deadlock, waits to send to "
                                           "rank 1, which waits at entry 2");
    }
}

/* By hand, with transfers of 5 and W of 10. Rank 0 begins B of microbatches 0 and 1 at 23 and 34.
 * First case: rank 1 runs B of microbatch 1 from 18 to 19 and waits until the send before is over at 23, then B of 2
 * and waits until 28; its three W end at 58, rank 0's at 56. Second case: rank 0 runs B of microbatch 2 without a W
 * before it. That input could be received only once B of 1 began at 34: it comes at 39, B of 2 ends at 40, two W end
 * at 60. */
static void a_rank_waits_for_its_sends_and_a_send_for_room_at_the_receiver(void **state)
{
    static const struct {
        const char *rank_0;
        struct pipeline_times wanted;
    } cases[] = {
        {"F0 F1 F2 B0 W0 B1 W1 B2 CB2 W2 CW2", {58, 20}}, /* rank 0 works 36 of 56 */
        {"F0 F1 F2 B0 W0 B1 B2 CB2 W1 W2 CW2", {60, 24}},
    };

    (void)state;
    for (int i = 0; i < 2; i++) {
        static const struct pipeline_costs costs = {1, 1, 10, 5};
        struct tables tables = {TWO(3), {3, 3, 3}, {cases[i].rank_0, "F0 F1 F2 B0 B1 B2 CB2 W0 W1 W2 CW2"}};
        struct pipeline_times times;
        struct error error;

        assert_int_equal(check(&tables, &costs, &times, &error), STATUS_OK);
        assert_int_equal(times.makespan, cases[i].wanted.makespan);
        assert_int_equal(times.bubble, cases[i].wanted.bubble);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_that_no_function_makes_but_that_keep_the_rules_are_accepted),
        cmocka_unit_test(each_rule_refuses_what_only_it_forbids),
        cmocka_unit_test(sends_are_unbuffered),
        cmocka_unit_test(a_rank_waits_for_its_sends_and_a_send_for_room_at_the_receiver),
    };

    return cmocka_run_group_tests_name("schedule pipeline_check", tests, NULL, NULL);
}
