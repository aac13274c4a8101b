/* Normal form C; examples from Unicode Standard Annex 15. */
#include "data/support.h"

#include "tokenizer/normal_form.h"

static void expect_form(const char *text, const char *wanted)
{
    struct byte_list out = {0};

    assert_int_equal(normal_form_append(text, (int64_t)strlen(text), &out, NULL), STATUS_OK);
    if (out.count != (int64_t)strlen(wanted) || memcmp(out.bytes, wanted, strlen(wanted)) != 0)
        fail_msg("'%s' becomes '%.*s', '%s' is wanted", text, (int)out.count, out.bytes, wanted);
    free(out.bytes);
}

static void letters_and_marks_are_composed(void **state)
{
    (void)state;
    expect_form("e\u0301 A\u030angstrom", "\u00e9 \u00c5ngstrom");
    expect_form("\u212b\u2126", "\u00c5\u03a9");
    expect_form("d\u0323\u0307 d\u0307\u0323", "\u1e0d\u0307 \u1e0d\u0307");
    expect_form("\u1112\u1161\u11ab\u1100\u1173\u11af", "\ud55c\uae00");
    expect_form("\ufb01", "\ufb01");
    expect_form("\u0958", "\u0915\u093c");
}

static void marks_newer_than_the_tables_stay_where_they_are(void **state)
{
    (void)state;
    /* U+0898 has class 230 since Unicode 14, so form C moves U+0323 of class 220 before it; tokenizers 0.23.3 does not.
     */
    expect_form("a\u0898\u0323", "a\u0898\u0323");
}

static void bytes_that_are_not_utf8_stay_and_part_what_stands_around_them(void **state)
{
    (void)state;
    expect_form("e\xff\u0301", "e\xff\u0301");
    expect_form("\xc3", "\xc3");
    expect_form("a\u0308\xe2\x82", "\u00e4\xe2\x82");
}

static void a_text_without_marks_is_seen_to_be_in_the_form(void **state)
{
    (void)state;
    assert_true(normal_form_is_plain("plain \u00e9\u4e2d", 11));
    assert_false(normal_form_is_plain("e\u0301", 3));
}

static void a_million_marks_behind_one_letter_are_ordered_in_a_moment(void **state)
{
    const int64_t pairs = 500000;
    char *text = malloc((size_t)pairs * 4 + 1);
    struct byte_list out = {0};
    int64_t pair;

    (void)state;
    text[0] = 'x';
    for (pair = 0; pair < pairs; pair++)
        memcpy(text + 1 + 4 * pair, "\u0301\u0323", 4);
    assert_int_equal(normal_form_append(text, pairs * 4 + 1, &out, NULL), STATUS_OK);
    assert_int_equal(out.count, pairs * 4 + 1);
    assert_memory_equal(out.bytes, "x\u0323\u0323", 5);
    assert_memory_equal(out.bytes + out.count - 4, "\u0301\u0301", 4);
    free(out.bytes);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_and_marks_are_composed),
        cmocka_unit_test(marks_newer_than_the_tables_stay_where_they_are),
        cmocka_unit_test(bytes_that_are_not_utf8_stay_and_part_what_stands_around_them),
        cmocka_unit_test(a_text_without_marks_is_seen_to_be_in_the_form),
        cmocka_unit_test(a_million_marks_behind_one_letter_are_ordered_in_a_moment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
