/* Lines of JSONL. What is JSON and what strings mean is RFC 8259's; that Python's json.loads reads the same lines, and
 * json.dumps writes NaN and Infinity, was seen with Python 3.11. */
#include "support.h"

#include "data/jsonl.h"

static void assert_text(const char *line, const char *wanted, size_t bytes)
{
    struct jsonl_document document = {0};
    struct error error = {0};

    if (jsonl_parse(line, (int64_t)strlen(line), &document, &error) != STATUS_OK)
        fail_msg("%s: %s", line, error.message);
    assert_null(document.prompt);
    assert_int_equal(document.answer_bytes, bytes);
    assert_memory_equal(document.answer, wanted, bytes);
    jsonl_release(&document);
}

static void assert_refused(const char *line, const char *sentence)
{
    struct jsonl_document document = {0};
    struct error error = {0};

    if (jsonl_parse(line, (int64_t)strlen(line), &document, &error) != STATUS_INPUT)
        fail_msg("%s is read", line);
    assert_string_equal(error.message, sentence);
    jsonl_release(&document);
}

static void other_fields_may_hold_any_json(void **state)
{
    static const char *const values[] = {
        "9223372036854775808",
        "-170141183460469231731687303715884105728",
        "1.8e309",
        "-1e-999999999999999999999",
        "0",
        "-0.0E+00",
        "NaN",
        "Infinity",
        "-Infinity",
        "true",
        "false",
        "null",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\"\\udc00\\ud800\"",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
        "\"\xe6\x96\x87 \xf0\x9f\x98\x80\x7f\"",
        "[]",
        "{}",
        " [ ] ",
        "[1, [2, {}], \"]\"]",
        "{\"a\": 1, \"a\": {\"text\": 2, \"text\": \"}\"}, \"\": []}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char line[256];

        snprintf(line, sizeof line, "{\"x\": %s, \"text\": \"ab\", \"x\":%s}", values[i], values[i]);
        assert_text(line, "ab", 2);
    }
}

static void what_is_no_json_is_refused_in_other_fields_too(void **state)
{
    static const struct {
        const char *value, *problem;
    } cases[] = {
        {"01", "column 7: the number is none of JSON"},
        {"+1", "column 7: this is no value of JSON"},
        {".5", "column 7: this is no value of JSON"},
        {"1.", "column 7: the number is none of JSON"},
        {"1e", "column 7: the number is none of JSON"},
        {"-", "column 7: the number is none of JSON"},
        {"0x10", "column 8: ',' or '}' is missing"},
        {"nan", "column 7: this is no value of JSON"},
        {"True", "column 7: this is no value of JSON"},
        {"'a'", "column 7: this is no value of JSON"},
        {"\"a\tb\"", "column 9: a control character in a string; it is to be written as an escape"},
        {"\"\\x41\"", "column 8: the escape is none of JSON"},
        {"\"\\u12g4\"", "column 8: the escape is none of JSON"},
        {"\"\xc0\x80\"", "column 8: the byte is not UTF-8"},
        {"\"\xed\xa0\x80\"", "column 8: the byte is not UTF-8"},
        {"\"\xf4\x90\x80\x80\"", "column 8: the byte is not UTF-8"},
        {"[1,]", "column 10: this is no value of JSON"},
        {"[1 2]", "column 10: ',' or ']' is missing"},
        {"[1}", "column 9: ',' or ']' is missing"},
        {"{\"a\" 1}", "column 12: ':' is missing"},
        {"{1: 2}", "column 8: a string is missing"},
        {"{\"a\": 1,}", "column 15: a string is missing"},
        {"", "column 7: this is no value of JSON"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char line[256];

        snprintf(line, sizeof line, "{\"x\": %s, \"text\": \"ab\"}", cases[i].value);
        assert_refused(line, cases[i].problem);
    }
}

static void nesting_has_a_bound_and_needs_no_stack(void **state)
{
    enum { DEPTH = 4096 };
    static char line[2 * DEPTH + 64];

    (void)state;
    for (int depth = DEPTH; depth <= DEPTH + 1; depth++) {
        char *at = line + sprintf(line, "{\"x\": ");

        for (int i = 0; i < depth; i++)
            *at++ = '[';
        memset(at, ']', (size_t)depth);
        sprintf(at + depth, ", \"text\": \"ab\"}");
        if (depth == DEPTH)
            assert_text(line, "ab", 2);
        else
            assert_refused(line, "column 4103: more than 4096 objects and arrays within each other");
    }
}

static void a_line_that_stops_anywhere_is_refused(void **state)
{
    const char *line = "{\"x\": [{\"a\": [1.5e3, \"\\u00e9\xc3\xa9\", true]}], \"text\": \"a\\ud83d\\ude00b\"}";

    (void)state;
    assert_text(line,
                "a\xf0\x9f\x98\x80"
                "b",
                6);
    for (size_t bytes = 0; bytes < strlen(line); bytes++) {
        struct jsonl_document document = {0};
        char *part = malloc(bytes + 1);

        memcpy(part, line, bytes);
        assert_int_equal(jsonl_parse(part, (int64_t)bytes, &document, NULL), STATUS_INPUT);
        jsonl_release(&document);
        free(part);
    }
}

static void strings_are_decoded(void **state)
{
    (void)state;
    assert_text("{\"text\": \"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", "\"\\/\b\f\n\r\t", 8);
    assert_text("{\"text\": \"\\u0041\\u00e9\\u20AC\\uD83D\\uDE00\"}", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 10);
    assert_text("{\"text\": \"a\\u0000b\"}", "a\0b", 3);
    assert_text("{\"text\":\"\"}", "", 0);
    assert_text("\t{ \"te\\u0078t\" : \"ab\" } \r", "ab", 2);
    assert_text("\xef\xbb\xbf{\"text\": \"ab\"}", "ab", 2);
    assert_text("{\"text\": \"\xef\xbb\xbf"
                "ab\"}",
                "\xef\xbb\xbf"
                "ab",
                5);
}

static void prompt_and_answer_are_kept_apart(void **state)
{
    const char *line = "{\"answer\": \"c\\td\", \"prompt\": \"a\\nb\"}";
    struct jsonl_document document = {0};

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(jsonl_parse(line, (int64_t)strlen(line), &document, NULL), STATUS_OK);
        assert_int_equal(document.prompt_bytes, 3);
        assert_memory_equal(document.prompt, "a\nb", 3);
        assert_int_equal(document.answer_bytes, 3);
        assert_memory_equal(document.answer, "c\td", 3);
    }
    jsonl_release(&document);
}

static void fields_that_are_read_are_strings_and_stand_once(void **state)
{
    (void)state;
    assert_refused("{\"text\": null}", "the field 'text' is not a string");
    assert_refused("{\"text\": [\"a\"]}", "the field 'text' is not a string");
    assert_refused("{\"prompt\": \"a\", \"answer\": 1e999}", "the field 'answer' is not a string");
    assert_refused("{\"text\": \"a\", \"te\\u0078t\": \"b\"}", "column 15: the field 'text' stands twice");
    assert_refused("{\"text\": 1, \"text\": \"b\"}", "column 13: the field 'text' stands twice");
    assert_refused("{\"text\": \"a\\ud83d\"}", "column 12: the field 'text' holds half a surrogate pair, \\ud83d");
    assert_refused("{\"text\": \"\\ude00\"}", "column 11: the field 'text' holds half a surrogate pair, \\ude00");
    assert_refused("{\"text\": \"\\ud83d\\u0041\"}",
                   "column 11: the field 'text' holds half a surrogate pair, \\ud83d");
    assert_refused("{\"prompt\": \"\\ud83dx\", \"answer\": \"\"}",
                   "column 13: the field 'prompt' holds half a surrogate pair, \\ud83d");
    assert_refused("{\"text\": \"a\"} x", "column 15: something stands behind the object");
    assert_refused("{\"text\": \"a\"}{\"text\": \"b\"}", "column 14: something stands behind the object");
    assert_refused("{}", "the object has neither 'text' nor 'prompt' and 'answer'");
    assert_refused("{\"Text\": \"a\", \"text \": \"b\"}", "the object has neither 'text' nor 'prompt' and 'answer'");
    assert_refused("\"text\"", "the line is not an object");
    assert_refused("{,}", "column 2: a string is missing");
    assert_refused("[{\"text\": \"a\"},",
                   "the line is not an object but an array; write each object on a line of its own");
    assert_refused("{", "the line ends within its object; write each object on a line of its own");
    assert_refused("{\"text\": \"a", "the line ends within its object; write each object on a line of its own");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_fields_may_hold_any_json),
        cmocka_unit_test(what_is_no_json_is_refused_in_other_fields_too),
        cmocka_unit_test(nesting_has_a_bound_and_needs_no_stack),
        cmocka_unit_test(a_line_that_stops_anywhere_is_refused),
        cmocka_unit_test(strings_are_decoded),
        cmocka_unit_test(prompt_and_answer_are_kept_apart),
        cmocka_unit_test(fields_that_are_read_are_strings_and_stand_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
