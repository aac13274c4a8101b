#include "support.h"

#include "config/scalar.h"

static void whole_numbers_are_decimal_and_unambiguous(void **state)
{
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {{"0", 0}, {"-1", -1}, {"+7", 7}, {"9223372036854775807", INT64_MAX}};
    static const char *const bad[] = {"", "-", "0x10", "010", "1_000", "1e3", "3.0", " 3", "3 ", "9223372036854775808"};
    int64_t value;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(scalar_integer(good[i].text, &value));
        assert_int_equal(value, good[i].value);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(scalar_integer(bad[i], &value));
}

static void numbers_are_decimal_and_finite(void **state)
{
    static const struct {
        const char *text;
        double value;
    } good[] = {{"1", 1}, {".5", 0.5}, {"5.", 5}, {"-2.5e-3", -0.0025}, {"6E+2", 600}, {"0.1", 0.1}};
    static const char *const bad[] = {"",     ".",     "e5",  "1e",   "0x1p3", "inf",
                                      ".nan", "1e999", "1,5", "01.5", "1.5f",  "1 "};
    double value;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(scalar_number(good[i].text, &value));
        assert_true(value == good[i].value);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(scalar_number(bad[i], &value));
}

static void times_are_whole_numbers_with_units_larger_first(void **state)
{
    static const char *const bad[] = {"90", "1.5h", "s", "5m1h", "1h1h", "1h 5m", "-1s", "999999999999999999d"};
    int64_t seconds;

    (void)state;
    assert_true(scalar_duration("", &seconds) && seconds == 0);
    assert_true(scalar_duration("90s", &seconds) && seconds == 90);
    assert_true(scalar_duration("1h30m", &seconds) && seconds == 5400);
    assert_true(scalar_duration("2d1s", &seconds) && seconds == 172801);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(scalar_duration(bad[i], &seconds));
}

static void times_print_in_the_form_that_is_read(void **state)
{
    char text[40];

    (void)state;
    scalar_print_duration(5400, text, sizeof text);
    assert_string_equal(text, "1h30m");
    scalar_print_duration(172801, text, sizeof text);
    assert_string_equal(text, "2d1s");
    scalar_print_duration(0, text, sizeof text);
    assert_string_equal(text, "");
}

static void numbers_print_short_and_as_numbers_of_yaml_1_1(void **state)
{
    static const struct {
        double value;
        const char *text;
    } rows[] = {{0.0006, "0.0006"},
                {1e-8, "1.0e-08"},
                {1, "1.0"},
                {0.1, "0.1"},
                {-2.5e300, "-2.5e+300"},
                {0, "0.0"},
                {1.0 / 3, "0.3333333333333333"}};
    char text[40];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double again;

        scalar_print_number(rows[i].value, text, sizeof text);
        assert_string_equal(text, rows[i].text);
        assert_true(scalar_number(text, &again) && again == rows[i].value);
    }
}

static void an_interval_knows_its_ends(void **state)
{
    (void)state;
    assert_true(scalar_in_range(0, "[0, 1)"));
    assert_false(scalar_in_range(1, "[0, 1)"));
    assert_false(scalar_in_range(0, "(0, 1]"));
    assert_true(scalar_in_range(1, "(0, 1]"));
    assert_true(scalar_in_range(1e300, "[0, inf)"));
    assert_false(scalar_in_range(-1, "[0, inf)"));
    assert_true(scalar_in_range(1000000, "[1, 1e6]"));
    assert_false(scalar_in_range(1000001, "[1, 1e6]"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_numbers_are_decimal_and_unambiguous),
        cmocka_unit_test(numbers_are_decimal_and_finite),
        cmocka_unit_test(times_are_whole_numbers_with_units_larger_first),
        cmocka_unit_test(times_print_in_the_form_that_is_read),
        cmocka_unit_test(numbers_print_short_and_as_numbers_of_yaml_1_1),
        cmocka_unit_test(an_interval_knows_its_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
