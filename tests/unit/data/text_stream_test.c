/* Text in pieces: The Unicode Standard 15, table 3-7, says what the beginnings of characters are. */
#include "data/text_stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const no_stops[] = {"unused"};

/* Feeds the pieces, each of which must show what stands beside it; then the end. */
struct piece {
    const char *bytes, *shown;
};

static void assert_shown(const struct byte_list *shown, const char *wanted, const char *piece)
{
    if (shown->count != (int64_t)strlen(wanted) || (shown->count > 0 && memcmp(shown->bytes, wanted, strlen(wanted))))
        fail_msg("after '%s': '%.*s' is shown, wanted '%s'", piece, (int)shown->count, shown->bytes, wanted);
}

static void check(const char *const *stops, int stop_count, const struct piece *pieces, int count, const char *end,
                  bool stopped)
{
    struct text_stream stream = {.stops = stops, .stop_count = stop_count};
    struct byte_list shown = {0};
    struct error error;

    for (int i = 0; i <= count; i++) {
        int status = i < count
                         ? text_stream_push(&stream, pieces[i].bytes, (int64_t)strlen(pieces[i].bytes), &shown, &error)
                         : text_stream_end(&stream, &shown, &error);

        assert_int_equal(status, STATUS_OK);
        assert_shown(&shown, i < count ? pieces[i].shown : end, i < count ? pieces[i].bytes : "the end");
        shown.count = 0;
    }
    assert_int_equal(stream.stopped, stopped);
    free(shown.bytes);
    text_stream_finish(&stream);
}

static void an_unfinished_character_waits_for_its_rest(void **state)
{
    static const struct piece pieces[] = {
        {"a\xC3", "a"}, {"\xA9", "\xC3\xA9"}, {"\xE2\x82", ""}, {"\xACz", "\xE2\x82\xACz"},
        {"\xF0", ""},   {"\x9F", ""},         {"\x98", ""},     {"\x80", "\xF0\x9F\x98\x80"}};

    (void)state;
    check(no_stops, 0, pieces, 8, "", false);
}

static void what_cannot_become_a_character_is_replaced_at_once(void **state)
{
    static const struct piece pieces[] = {{"\x80", "\xEF\xBF\xBD"},
                                          {"\xC0", "\xEF\xBF\xBD"},
                                          {"\xE0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD"},
                                          {"\xED\xA0", "\xEF\xBF\xBD\xEF\xBF\xBD"},
                                          {"\xF4\x90", "\xEF\xBF\xBD\xEF\xBF\xBD"},
                                          {"\xF5", "\xEF\xBF\xBD"},
                                          {"\xE2\x82", ""},
                                          {"a", "\xEF\xBF\xBD"
                                                "a"}};

    (void)state;
    check(no_stops, 0, pieces, 8, "", false);
}

static void an_unfinished_character_at_the_end_is_replaced(void **state)
{
    static const struct piece pieces[] = {{"ab\xE2\x82", "ab"}};

    (void)state;
    check(no_stops, 0, pieces, 1, "\xEF\xBF\xBD", false);
}

/* The Unicode Standard 16, table 3-11. */
static void each_beginning_of_a_character_is_replaced_once(void **state)
{
    static const struct piece pieces[] = {{"\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64",
                                           "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"
                                           "b\xEF\xBF\xBD"
                                           "c\xEF\xBF\xBD\xEF\xBF\xBD"
                                           "d"}};

    (void)state;
    check(no_stops, 0, pieces, 1, "", false);
}

static void a_stop_ends_the_text_before_it(void **state)
{
    static const char *const stops[] = {"END", "\n\n"};
    static const struct piece whole[] = {{"one two", "one two"}, {" ENDE", " "}, {"more", ""}};
    static const struct piece parts[] = {{"x\n", "x"}, {"y\n", "\ny"}, {"\nz", ""}};

    (void)state;
    check(stops, 2, whole, 3, "", true);
    check(stops, 2, parts, 3, "", true);
}

static void what_may_become_a_stop_waits_and_is_shown_when_it_does_not(void **state)
{
    static const char *const stops[] = {"aab"};
    static const struct piece pieces[] = {{"a", ""}, {"a", ""}, {"a", "a"}, {"c", "aac"}, {"aa", ""}};

    (void)state;
    check(stops, 1, pieces, 5, "aa", false);
}

static void the_first_of_several_stops_counts(void **state)
{
    static const char *const stops[] = {"late", "early"};
    static const struct piece pieces[] = {{"an early or late end", "an "}};

    (void)state;
    check(stops, 2, pieces, 1, "", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unfinished_character_waits_for_its_rest),
        cmocka_unit_test(what_cannot_become_a_character_is_replaced_at_once),
        cmocka_unit_test(an_unfinished_character_at_the_end_is_replaced),
        cmocka_unit_test(each_beginning_of_a_character_is_replaced_once),
        cmocka_unit_test(a_stop_ends_the_text_before_it),
        cmocka_unit_test(what_may_become_a_stop_waits_and_is_shown_when_it_does_not),
        cmocka_unit_test(the_first_of_several_stops_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
