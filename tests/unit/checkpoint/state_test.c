#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "checkpoint/state.h"

static void values_come_back_by_key_and_type(void **state)
{
    struct checkpoint_state values = {0};
    int64_t integer = 0;

    (void)state;
    assert_int_equal(checkpoint_state_set_text(&values, "optimizer", "adamw", NULL), STATUS_OK);
    assert_int_equal(checkpoint_state_set_integer(&values, "tokens", INT64_MIN, NULL), STATUS_OK);
    assert_string_equal(checkpoint_state_text(&values, "optimizer"), "adamw");
    assert_true(checkpoint_state_integer(&values, "tokens", &integer) && integer == INT64_MIN);
    assert_null(checkpoint_state_text(&values, "tokens"));
    assert_false(checkpoint_state_integer(&values, "optimizer", &integer));
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
    assert_int_equal(checkpoint_state_set_text(&values, "a", "\xff", NULL), STATUS_BUG);
    assert_int_equal(checkpoint_state_set_text(&values, "\xff", "a", NULL), STATUS_BUG);
    checkpoint_state_finish(&values);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_back_by_key_and_type),
        cmocka_unit_test(a_key_set_again_has_the_new_value),
        cmocka_unit_test(what_json_cannot_hold_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
