#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "checkpoint/state.h"

static void values_come_back_by_key_and_type(void **state)
{
    struct checkpoint_state values = {0};
    int64_t integer = 0;
    double number = 0;

    (void)state;
    assert_int_equal(checkpoint_state_set_text(&values, "optimizer", "adamw", NULL), STATUS_OK);
    assert_int_equal(checkpoint_state_set_integer(&values, "tokens", INT64_MIN, NULL), STATUS_OK);
    assert_int_equal(checkpoint_state_set_number(&values, "lr", 6e-4, NULL), STATUS_OK);
    assert_string_equal(checkpoint_state_text(&values, "optimizer"), "adamw");
    assert_true(checkpoint_state_integer(&values, "tokens", &integer) && integer == INT64_MIN);
    assert_true(checkpoint_state_number(&values, "lr", &number) && number == 6e-4);
    assert_null(checkpoint_state_text(&values, "tokens"));
    assert_false(checkpoint_state_integer(&values, "lr", &integer));
    assert_false(checkpoint_state_number(&values, "tokens", &number));
    assert_null(checkpoint_state_text(&values, "seed"));
    checkpoint_state_finish(&values);
}

static void a_key_set_again_has_the_new_value(void **state)
{
    struct checkpoint_state values = {0};

    (void)state;
    assert_int_equal(checkpoint_state_set_integer(&values, "a", 1, NULL), STATUS_OK);
    assert_int_equal(checkpoint_state_set_text(&values, "a", "two", NULL), STATUS_OK);
    assert_string_equal(checkpoint_state_text(&values, "a"), "two");
    checkpoint_state_finish(&values);
}

static void what_json_cannot_hold_is_refused(void **state)
{
    struct checkpoint_state values = {0};

    (void)state;
    assert_int_equal(checkpoint_state_set_number(&values, "a", NAN, NULL), STATUS_BUG);
    assert_int_equal(checkpoint_state_set_number(&values, "a", INFINITY, NULL), STATUS_BUG);
    assert_int_equal(checkpoint_state_set_text(&values, "a", "\xff", NULL), STATUS_BUG);
    assert_int_equal(checkpoint_state_set_text(&values, "\xff", "a", NULL), STATUS_BUG);
    checkpoint_state_finish(&values);
}

static void states_match_when_every_wanted_key_is_saved_with_its_value(void **state)
{
    struct checkpoint_state saved = {0}, wanted = {0};
    struct error error = {0};

    (void)state;
    assert_int_equal(checkpoint_state_match(&saved, &wanted, &error), STATUS_OK);
    checkpoint_state_set_integer(&saved, "step", 100, NULL);
    checkpoint_state_set_integer(&saved, "run.seed", 1337, NULL);
    checkpoint_state_set_integer(&wanted, "run.seed", 1337, NULL);
    assert_int_equal(checkpoint_state_match(&saved, &wanted, &error), STATUS_OK);
    checkpoint_state_set_integer(&wanted, "run.seed", 7, NULL);
    assert_int_equal(checkpoint_state_match(&saved, &wanted, &error), STATUS_USAGE);
    assert_string_equal(error.message,
                        "run.seed: the checkpoint was made with 1337, this run has 7; resume with the same "
                        "value or start a new run");
    checkpoint_state_set_integer(&wanted, "run.seed", 1337, NULL);
    checkpoint_state_set_text(&wanted, "optim.name", "lion", NULL);
    assert_int_equal(checkpoint_state_match(&saved, &wanted, &error), STATUS_USAGE);
    assert_string_equal(error.message, "optim.name: the checkpoint does not record it, this run has 'lion'");
    checkpoint_state_finish(&saved);
    checkpoint_state_finish(&wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_back_by_key_and_type),
        cmocka_unit_test(a_key_set_again_has_the_new_value),
        cmocka_unit_test(what_json_cannot_hold_is_refused),
        cmocka_unit_test(states_match_when_every_wanted_key_is_saved_with_its_value),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
