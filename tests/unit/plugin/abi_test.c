#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <llmrun/types.h>

#include "plugin/abi.h"

static int check(uint32_t host_major, uint32_t host_minor, uint32_t oldest, uint32_t major, uint32_t minor,
                 const char *part)
{
    struct error error = {0};
    int result =
        abi_check((struct abi_version){host_major, host_minor}, oldest, (struct abi_version){major, minor}, &error);

    if (part != NULL && strstr(error.message, part) == NULL)
        fail_msg("the reason is \"%s\", not \"%s\"", error.message, part);
    return result;
}

static void the_same_version_fits(void **state)
{
    (void)state;
    assert_int_equal(check(0, 1, 1, 0, 1, NULL), STATUS_OK);
    assert_int_equal(check(1, 0, 0, 1, 0, NULL), STATUS_OK);
}

static void another_major_never_fits(void **state)
{
    (void)state;
    assert_int_equal(check(0, 1, 1, 1, 1, "another major version; update llmrun"), STATUS_BACKEND);
    assert_int_equal(check(2, 3, 0, 1, 9, "another major version; update the plugin"), STATUS_BACKEND);
}

static void an_older_minor_fits_down_to_the_oldest_that_is_driven(void **state)
{
    (void)state;
    assert_int_equal(check(1, 7, 3, 1, 3, NULL), STATUS_OK);
    assert_int_equal(check(1, 7, 3, 1, 2,
                           "is made for plugin contract 1.2, this llmrun speaks 1.7 and drives 1.3 and newer: "
                           "update the plugin"),
                     STATUS_BACKEND);
    assert_int_equal(check(0, 4, 2, 0, 2, NULL), STATUS_OK);
    assert_int_equal(check(0, 4, 2, 0, 1, "0.1, this llmrun speaks 0.4 and drives 0.2 and newer"), STATUS_BACKEND);
}

static void a_newer_minor_does_not_fit(void **state)
{
    (void)state;
    assert_int_equal(check(1, 2, 0, 1, 5, "this llmrun speaks 1.2: update llmrun"), STATUS_BACKEND);
    assert_int_equal(check(0, 1, 1, 0, 2, "is made for plugin contract 0.2, this llmrun speaks 0.1: update llmrun"),
                     STATUS_BACKEND);
}

static void an_instruction_set_above_the_processors_is_refused(void **state)
{
    struct error error;

    (void)state;
    assert_int_equal(abi_check_isa(LLMRUN_ISA_X86_64_V3, LLMRUN_ISA_X86_64, &error), STATUS_OK);
    assert_int_equal(abi_check_isa(LLMRUN_ISA_X86_64_V3, LLMRUN_ISA_X86_64_V3, &error), STATUS_OK);
    assert_int_equal(abi_check_isa(LLMRUN_ISA_X86_64_V3, LLMRUN_ISA_X86_64_V4, &error), STATUS_BACKEND);
    assert_string_equal(error.message, "needs the instruction set x86-64-v4 (level 4), this processor has x86-64-v3");
}

static void an_instruction_set_of_another_family_is_refused(void **state)
{
    struct error error;

    (void)state;
    assert_int_equal(abi_check_isa(LLMRUN_ISA_X86_64_V4, LLMRUN_ISA_AARCH64, &error), STATUS_BACKEND);
    assert_int_equal(abi_check_isa(LLMRUN_ISA_AARCH64, LLMRUN_ISA_X86_64, &error), STATUS_BACKEND);
    assert_int_equal(abi_check_isa(LLMRUN_ISA_AARCH64, LLMRUN_ISA_AARCH64, &error), STATUS_OK);
    assert_int_equal(abi_check_isa(LLMRUN_ISA_X86_64_V4, 0, &error), STATUS_BACKEND);
}

static void this_processor_runs_this_build(void **state)
{
    struct error error;

    (void)state;
    assert_int_equal(abi_check_isa(abi_processor_isa(), LLMRUN_ISA_BASELINE, &error), STATUS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_version_fits),
        cmocka_unit_test(another_major_never_fits),
        cmocka_unit_test(an_older_minor_fits_down_to_the_oldest_that_is_driven),
        cmocka_unit_test(a_newer_minor_does_not_fit),
        cmocka_unit_test(an_instruction_set_above_the_processors_is_refused),
        cmocka_unit_test(an_instruction_set_of_another_family_is_refused),
        cmocka_unit_test(this_processor_runs_this_build),
    };

    return cmocka_run_group_tests_name("plugin abi", tests, NULL, NULL);
}
