/* The small parts: errors, checked arithmetic, log lines, the clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"

static void an_error_holds_its_sentence_and_gives_its_status(void **state)
{
    struct error error;

    (void)state;
    assert_int_equal(error_set(&error, STATUS_STORAGE, "%s is %d", "x", 7), STATUS_STORAGE);
    assert_int_equal(error.status, STATUS_STORAGE);
    assert_string_equal(error.message, "x is 7");
}

static void context_goes_before_the_sentence(void **state)
{
    struct error error;

    (void)state;
    error_set(&error, STATUS_INPUT, "no number");
    assert_int_equal(error_prefix(&error, "line %d", 3), STATUS_INPUT);
    assert_int_equal(error_prefix(&error, "run.yaml"), STATUS_INPUT);
    assert_string_equal(error.message, "run.yaml: line 3: no number");
}

static void nobody_has_to_listen(void **state)
{
    (void)state;
    assert_int_equal(error_set(NULL, STATUS_MEMORY, "lost"), STATUS_MEMORY);
    assert_int_not_equal(error_prefix(NULL, "context"), STATUS_OK);
}

static void long_sentences_are_cut_inside_their_memory(void **state)
{
    struct {
        struct error error;
        char behind[8];
    } guarded;
    char text[3000];

    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    memset(guarded.behind, '#', sizeof guarded.behind);
    error_set(&guarded.error, STATUS_BUG, "%s", text);
    assert_int_equal(strlen(guarded.error.message), sizeof guarded.error.message - 1);
    error_prefix(&guarded.error, "context");
    assert_int_equal(strlen(guarded.error.message), sizeof guarded.error.message - 1);
    assert_memory_equal(guarded.error.message, "context: xxx", 12);
    error_prefix(&guarded.error, "%s", text);
    assert_int_equal(strlen(guarded.error.message), sizeof guarded.error.message - 1);
    assert_memory_equal(guarded.behind, "########", 8);
}

/* As in a tensor's name that would set the title of the terminal, or fake a second sentence. */
static void control_characters_cannot_leave_a_sentence(void **state)
{
    struct error error;

    (void)state;
    error_set(&error, STATUS_INPUT, "tensor '%s'", "a\nllmrun: done\x1b]0;x\x07\r\t\x7f");
    assert_string_equal(error.message, "tensor 'a?llmrun: done?]0;x\?\?\?\?'");
    error_prefix(&error, "%s", "b\n");
    assert_string_equal(error.message, "b?: tensor 'a?llmrun: done?]0;x\?\?\?\?'");
    error_set(&error, STATUS_INPUT, "%s",
              "\xc2\x9b"
              "2J \xc2\xa0 \xc3\xbc \xe2\x82\xac \xc2"); /* U+009B; U+00A0, U+00FC, U+20AC */
    assert_string_equal(error.message, "??2J \xc2\xa0 \xc3\xbc \xe2\x82\xac \xc2");
}

static void sums_and_products_that_do_not_fit_are_told(void **state)
{
    int64_t out;

    (void)state;
    assert_true(checked_add(INT64_MAX - 1, 1, &out));
    assert_true(out == INT64_MAX);
    assert_false(checked_add(INT64_MAX, 1, &out));
    assert_false(checked_add(INT64_MIN, -1, &out));
    assert_true(checked_mul((int64_t)1 << 31, (int64_t)1 << 31, &out));
    assert_true(out == (int64_t)1 << 62);
    assert_false(checked_mul((int64_t)1 << 32, (int64_t)1 << 31, &out));
    assert_false(checked_mul(INT64_MIN, -1, &out));
}

static void rounding_up_gives_the_next_multiple(void **state)
{
    (void)state;
    assert_int_equal(round_up(0, 64), 0);
    assert_int_equal(round_up(1, 64), 64);
    assert_int_equal(round_up(64, 64), 64);
    assert_int_equal(round_up(65, 64), 128);
    assert_int_equal(round_up(7, 3), 9);
}

struct heard {
    int lines;
    enum log_level level;
    char text[2000];
};

static void hear(void *context, enum log_level level, const char *line)
{
    struct heard *heard = context;

    heard->lines++;
    heard->level = level;
    strcpy(heard->text, line);
}

static void lines_at_or_above_the_level_reach_the_sink(void **state)
{
    struct heard heard = {0};

    (void)state;
    log_set_sink(hear, &heard);
    log_line(LOG_INFO, "step %d", 5);
    assert_int_equal(heard.lines, 1);
    assert_string_equal(heard.text, "step 5");
    log_line(LOG_DEBUG, "not this");
    assert_int_equal(heard.lines, 1);
    log_set_level(LOG_ERROR);
    log_line(LOG_WARNING, "nor this");
    assert_int_equal(heard.lines, 1);
    log_line(LOG_ERROR, "but this");
    assert_int_equal(heard.lines, 2);
    assert_int_equal(heard.level, LOG_ERROR);
    log_set_level(LOG_INFO);
    log_set_sink(NULL, NULL);
}

static void a_long_line_is_cut(void **state)
{
    struct heard heard = {0};
    char text[3000];

    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    log_set_sink(hear, &heard);
    log_line(LOG_INFO, "%s", text);
    log_set_sink(NULL, NULL);
    assert_in_range(strlen(heard.text), 1000, 1023);
}

static void time_goes_forward(void **state)
{
    int64_t first = clock_system.monotonic_ns(&clock_system), second = clock_system.monotonic_ns(&clock_system);

    (void)state;
    assert_true(second >= first);
    assert_true(clock_system.utc_s(&clock_system) > 1700000000); /* 2023 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_holds_its_sentence_and_gives_its_status),
        cmocka_unit_test(context_goes_before_the_sentence),
        cmocka_unit_test(nobody_has_to_listen),
        cmocka_unit_test(long_sentences_are_cut_inside_their_memory),
        cmocka_unit_test(control_characters_cannot_leave_a_sentence),
        cmocka_unit_test(sums_and_products_that_do_not_fit_are_told),
        cmocka_unit_test(rounding_up_gives_the_next_multiple),
        cmocka_unit_test(lines_at_or_above_the_level_reach_the_sink),
        cmocka_unit_test(a_long_line_is_cut),
        cmocka_unit_test(time_goes_forward),
    };

    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
