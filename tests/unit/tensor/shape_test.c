#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "tensor/shape.h"

static void a_shape_prints_its_extents(void **state)
{
    const struct shape empty = shape_of(2, (int64_t[]){0, 3});
    const struct shape large = shape_of(5, (int64_t[]){1, 2, 3, 4, INT64_MAX});
    const struct shape scalar = shape_of(0, NULL);
    char text[SHAPE_TEXT_BYTES];

    (void)state;
    assert_string_equal(shape_print(&scalar, text), "[]");
    assert_string_equal(shape_print(&empty, text), "[0,3]");
    assert_string_equal(shape_print(&large, text), "[1,2,3,4,9223372036854775807]");
}

static void the_longest_text_fits(void **state)
{
    int64_t least = INT64_MIN;
    struct shape shape = shape_of(5, (int64_t[]){least, least, least, least, least});
    char text[SHAPE_TEXT_BYTES];

    (void)state;
    assert_int_equal(strlen(shape_print(&shape, text)), 5 * 20 + 4 + 2);
    assert_int_equal(text[105], ']');
}

static void a_shape_of_rank_zero_is_one_element(void **state)
{
    struct shape shape = shape_of(0, NULL);

    (void)state;
    assert_int_equal(shape_elements(&shape), 1);
}

static void too_many_elements_are_refused(void **state)
{
    struct shape shape = shape_of(3, (int64_t[]){1LL << 31, 1LL << 31, 2});
    struct error error = {0};

    (void)state;
    assert_int_equal(shape_check(&shape, 1, &error), STATUS_INPUT);
    assert_string_equal(error.message,
                        "shape [2147483648,2147483648,2] has a negative extent or more elements than can be "
                        "counted in 63 bits");
    shape.extent[2] = 1;
    assert_int_equal(shape_check(&shape, 1, &error), STATUS_OK);
    assert_int_equal(shape_check(&shape, 2, &error), STATUS_INPUT);
}

static void an_extent_of_zero_hides_no_overflow(void **state)
{
    struct shape shape = shape_of(3, (int64_t[]){0, 1LL << 40, 1LL << 40});

    (void)state;
    assert_int_equal(shape_check(&shape, 4, NULL), STATUS_INPUT);
}

static void negative_extents_and_ranks_out_of_range_are_refused(void **state)
{
    struct shape negative = shape_of(2, (int64_t[]){-1, 0});
    struct shape deep = {.rank = LLMRUN_MAX_RANK + 1};

    (void)state;
    assert_int_equal(shape_check(&negative, 4, NULL), STATUS_INPUT);
    assert_int_equal(shape_check(&deep, 4, NULL), STATUS_INPUT);
    deep.rank = -1;
    assert_int_equal(shape_check(&deep, 4, NULL), STATUS_INPUT);
}

static void shapes_are_equal_when_rank_and_extents_are(void **state)
{
    struct shape a = shape_of(2, (int64_t[]){4, 1}), b = a, c = shape_of(1, (int64_t[]){4});

    (void)state;
    assert_true(shape_equal(&a, &b));
    assert_false(shape_equal(&a, &c));
    b.extent[1] = 2;
    assert_false(shape_equal(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shape_prints_its_extents),
        cmocka_unit_test(the_longest_text_fits),
        cmocka_unit_test(a_shape_of_rank_zero_is_one_element),
        cmocka_unit_test(too_many_elements_are_refused),
        cmocka_unit_test(an_extent_of_zero_hides_no_overflow),
        cmocka_unit_test(negative_extents_and_ranks_out_of_range_are_refused),
        cmocka_unit_test(shapes_are_equal_when_rank_and_extents_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
