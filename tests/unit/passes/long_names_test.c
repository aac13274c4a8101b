/* Names of parameters and activations may be of any length: every pass makes of a program with long ones what it makes
 * of the same program with short ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "golden.h"
#include "passes/backward.h"
#include "passes/optimizer.h"
#include "passes/precision.h"
#include "passes/recompute.h"
#include "passes/reduction_order.h"
#include "program/text.h"
#include "program/verify.h"

#define PREFIX_LENGTH 500

/* Two layers of GPT-2: four microbatches of one lane each, bf16, everything recomputed. */
static void run_passes(struct program *program)
{
    const struct update_policy policy = {0.9f, 0.95f, 1e-8f, 0.1f, 1.0f, 8};
    struct reduction_form form;
    struct error error;
    const struct reduction_request request = {true, true, 3, 8, 2, 4, 0, 1};
    int status = reduction_form_make(&request, &form, &error);

    if (status == STATUS_OK)
        status = pass_backward(program, &error);
    if (status == STATUS_OK)
        status = pass_reduction_order(program, &form, &error);
    if (status == STATUS_OK)
        status = pass_optimizer(program, &policy, &error);
    if (status == STATUS_OK)
        status = pass_precision(program, LLMRUN_BF16, &error);
    if (status == STATUS_OK)
        status = pass_recompute(program, RECOMPUTE_FULL, &error);
    if (status == STATUS_OK)
        status = program_verify(program, &error);
    if (status != STATUS_OK)
        fail_msg("%s", error.message);
}

/* The text of a program with `prefix` before the names of its parameters and activations. */
static void lengthen(const struct program *program, const char *prefix, struct text *text)
{
    struct text whole = {0};

    program_print(program, &whole);
    for (const char *line = whole.data; *line != '\0';) {
        size_t length = strcspn(line, "\n") + 1;
        const char *quote = memchr(line, '"', length);

        if (quote != NULL &&
            (memmem(line, length, " parameter ", 11) != NULL || memmem(line, length, " activation ", 12) != NULL))
            text_add(text, "%.*s\"%s%.*s", (int)(quote - line), line, prefix, (int)(line + length - quote - 1),
                     quote + 1);
        else
            text_add(text, "%.*s", (int)length, line);
        line += length;
    }
    text_finish(&whole);
}

/* `name` with each `prefix` taken out is `wanted`. */
static bool shortens_to(const char *name, const char *prefix, const char *wanted)
{
    while (*name != '\0') {
        if (strncmp(name, prefix, strlen(prefix)) == 0)
            name += strlen(prefix);
        else if (*name++ != *wanted++)
            return false;
    }
    return *wanted == '\0';
}

static void passes_make_of_long_names_what_they_make_of_short_ones(void **state)
{
    struct program plain, named, parsed;
    struct text text = {0}, printed = {0}, again = {0};
    char prefix[PREFIX_LENGTH + 1];
    struct error error;

    (void)state;
    memset(prefix, '-', PREFIX_LENGTH);
    prefix[PREFIX_LENGTH] = '\0';
    golden_read("block", &plain);
    lengthen(&plain, prefix, &text);
    program_init(&named);
    if (program_parse(&named, text.data, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    run_passes(&plain);
    run_passes(&named);

    assert_int_equal(named.value_count, plain.value_count);
    assert_int_equal(named.op_count, plain.op_count);
    assert_int_equal(named.operand_count, plain.operand_count);
    assert_memory_equal(named.operands, plain.operands, (size_t)plain.operand_count * sizeof *plain.operands);
    for (int32_t i = 0; i < plain.value_count; i++) {
        if (!shortens_to(named.values[i].name, prefix, plain.values[i].name))
            fail_msg("%s became %s", plain.values[i].name, named.values[i].name);
        assert_int_equal(program_find(&named, named.values[i].name), i);
        assert_int_equal(named.values[i].source, plain.values[i].source);
    }

    program_init(&parsed);
    program_print(&named, &printed);
    if (program_parse(&parsed, printed.data, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    program_print(&parsed, &again);
    assert_string_equal(again.data, printed.data);
    text_finish(&text);
    text_finish(&printed);
    text_finish(&again);
    program_finish(&plain);
    program_finish(&named);
    program_finish(&parsed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_make_of_long_names_what_they_make_of_short_ones),
    };

    return cmocka_run_group_tests_name("passes long names", tests, NULL, NULL);
}
