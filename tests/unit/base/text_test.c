#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/hash.h"

static void additions_stand_one_after_the_other(void **state)
{
    struct text text = {0};

    (void)state;
    assert_null(text.data);
    text_add(&text, "%d", 12);
    text_add(&text, "%s", "");
    text_add(&text, " and %s", "more");
    assert_string_equal(text.data, "12 and more");
    assert_int_equal(text.length, 11);
    text_finish(&text);
    assert_null(text.data);
    assert_int_equal(text.length, 0);
}

static void a_text_grows_past_any_first_size(void **state)
{
    struct text text = {0};

    (void)state;
    for (int i = 0; i < 10000; i++)
        text_add(&text, "%04d", i);
    assert_int_equal(text.length, 40000);
    assert_int_equal(strlen(text.data), 40000);
    for (int i = 0; i < 10000; i++)
        assert_int_equal((text.data[4 * i + 2] - '0') * 10 + text.data[4 * i + 3] - '0', i % 100);
    text_finish(&text);
}

static void after_a_failure_nothing_is_added(void **state)
{
    struct text text = {.failed = true};

    (void)state;
    text_add(&text, "more");
    assert_null(text.data);
    assert_true(text.failed);
}

static void an_array_keeps_its_elements_as_it_grows(void **state)
{
    int64_t capacity = 0, *items = NULL;

    (void)state;
    for (int64_t i = 0; i < 1000; i++) {
        items = array_reserve(items, i, 1, &capacity, sizeof *items);
        assert_non_null(items);
        assert_true(capacity > i);
        items[i] = i;
    }
    for (int64_t i = 0; i < 1000; i++)
        assert_int_equal(items[i], i);
    assert_ptr_equal(array_reserve(items, 5, 1, &capacity, sizeof *items), items);
    free(items);
}

/* Values of xxHash's own command: xxhsum -H3. */
static void hashes_are_those_of_xxh3(void **state)
{
    (void)state;
    assert_true(hash_bytes("", 0) == UINT64_C(0x2d06800538d394c2));
    assert_true(hash_text("abc") == UINT64_C(0x78af5f94892f3950));
    assert_true(hash_text("abc") == hash_bytes("abc", 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(additions_stand_one_after_the_other),
        cmocka_unit_test(a_text_grows_past_any_first_size),
        cmocka_unit_test(after_a_failure_nothing_is_added),
        cmocka_unit_test(an_array_keeps_its_elements_as_it_grows),
        cmocka_unit_test(hashes_are_those_of_xxh3),
    };

    return cmocka_run_group_tests_name("base text", tests, NULL, NULL);
}
