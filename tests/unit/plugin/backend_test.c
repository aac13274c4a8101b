#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/backend.h"

/* Tables with something in every entry; no entry is ever called. */
static struct llmrun_device_table device;
static struct llmrun_kernel_table kernel;
static struct llmrun_program_table program;
static struct llmrun_capture_table capture;
static struct llmrun_backend table;

static int set_up(void **state)
{
    (void)state;
    memset(&device, 0x11, sizeof device);
    memset(&kernel, 0x22, sizeof kernel);
    memset(&program, 0x33, sizeof program);
    memset(&capture, 0x44, sizeof capture);
    device.size = sizeof device;
    kernel.size = sizeof kernel;
    program.size = sizeof program;
    capture.size = sizeof capture;
    table = (struct llmrun_backend){.size = sizeof table,
                                    .abi_major = 0,
                                    .abi_minor = 1,
                                    .priority = 5,
                                    .name = "mine",
                                    .version = "1.2",
                                    .vendor = "we",
                                    .device = &device,
                                    .kernel = &kernel,
                                    .program = &program,
                                    .capture = &capture};
    return 0;
}

static struct backend copied;

static int copy(struct error *error)
{
    memset(&copied, 0, sizeof copied);
    return backend_copy(&copied, &table, "mine", 0, 1, error);
}

static void assert_refused(const char *reason)
{
    struct error error = {0};

    assert_int_equal(copy(&error), STATUS_BACKEND);
    assert_string_equal(error.message, reason);
}

static void whole_tables_are_copied(void **state)
{
    struct error error;

    (void)state;
    assert_int_equal(copy(&error), STATUS_OK);
    assert_string_equal(copied.name, "mine");
    assert_string_equal(copied.version, "1.2");
    assert_string_equal(copied.vendor, "we");
    assert_int_equal(copied.priority, 5);
    assert_true(copied.has_kernel && copied.has_program && copied.has_capture);
    assert_memory_equal(&copied.device, &device, sizeof device);
    assert_memory_equal(&copied.capture, &capture, sizeof capture);
}

static void kernel_or_program_suffices(void **state)
{
    struct error error;

    (void)state;
    table.program = NULL;
    table.capture = NULL;
    assert_int_equal(copy(&error), STATUS_OK);
    assert_true(copied.has_kernel && !copied.has_program && !copied.has_capture);
    table.program = &program;
    table.kernel = NULL;
    assert_int_equal(copy(&error), STATUS_OK);
    assert_true(!copied.has_kernel && copied.has_program);
    table.program = NULL;
    assert_refused("has neither a kernel nor a program table; a backend needs one of them");
}

static void every_required_entry_is_missed_by_name(void **state)
{
    static const char *const names[] = {"backend", "device", "kernel", "program", "capture"};
    void *const tables[] = {&table, &device, &kernel, &program, &capture};

    for (int i = 0; i < 5; i++) {
        const struct table_list *list = backend_requirements(names[i]);

        assert_true(list->count >= 4);
        for (int k = 0; k < list->count; k++) {
            char reason[256];

            set_up(state);
            memset((char *)tables[i] + list->rows[k].offset, 0, sizeof(void *));
            snprintf(reason, sizeof reason,
                     "lacks the entry %s of its %s table, required since version 0.1 of the contract",
                     list->rows[k].name, names[i]);
            assert_refused(reason);
        }
    }
}

static void an_optional_entry_may_be_missing(void **state)
{
    struct error error;

    (void)state;
    device.export_native = NULL;
    assert_int_equal(copy(&error), STATUS_OK);
    assert_true(copied.device.export_native == NULL);
}

static void a_table_of_an_older_contract_is_zero_at_its_end(void **state)
{
    struct error error;

    (void)state;
    device.size = offsetof(struct llmrun_device_table, export_native);
    assert_int_equal(copy(&error), STATUS_OK);
    assert_true(copied.device.export_native == NULL);
    device.size = offsetof(struct llmrun_device_table, event_elapsed);
    assert_refused("lacks the entry event_elapsed of its device table, required since version 0.1 of the contract");
}

static void a_table_of_a_later_contract_is_cut(void **state)
{
    struct {
        struct llmrun_device_table known;
        void *later[4];
    } larger;
    struct error error;

    (void)state;
    memset(&larger, 0x55, sizeof larger);
    larger.known = device;
    larger.known.size = sizeof larger;
    table.device = &larger.known;
    assert_int_equal(copy(&error), STATUS_OK);
    assert_memory_equal(&copied.device.count, &device.count,
                        sizeof device - offsetof(struct llmrun_device_table, count));
}

static void a_size_that_cannot_be_is_refused(void **state)
{
    (void)state;
    kernel.size = 0;
    assert_refused("has a kernel table that gives its size as 0 bytes, which cannot be");
    kernel.size = UINT32_MAX;
    assert_refused("has a kernel table that gives its size as 4294967295 bytes, which cannot be");
}

static void a_table_that_contradicts_the_note_is_refused(void **state)
{
    (void)state;
    table.abi_minor = 2;
    assert_refused("contradicts itself: contract 0.2 in its table, 0.1 in its note");
    table.abi_minor = 1;
    table.name = "other";
    assert_refused("contradicts itself: it is named 'other' in its table, 'mine' in its note");
}

static void a_plugins_error_becomes_a_sentence_with_its_name(void **state)
{
    struct backend backend = {.name = "mine"};
    struct llmrun_error from = {
        .code = LLMRUN_ERROR_DEVICE, .vendor_code = 700, .message = "illegal address in matmul"};
    struct error error = {0};

    (void)state;
    assert_int_equal(backend_error(&backend, LLMRUN_ERROR_DEVICE, &from, &error), STATUS_BACKEND);
    assert_string_equal(error.message, "mine: illegal address in matmul (code 5, vendor code 700)");
    from = (struct llmrun_error){.message = ""};
    assert_int_equal(backend_error(&backend, LLMRUN_ERROR_MEMORY, &from, &error), STATUS_MEMORY);
    assert_int_equal(error.status, STATUS_MEMORY);
    assert_string_equal(error.message, "mine: out of memory");
    assert_int_equal(backend_error(&backend, 12345, &from, &error), STATUS_BACKEND);
    assert_string_equal(error.message, "mine: a failure with a code that llmrun does not know");
    assert_int_equal(backend_error(&backend, LLMRUN_OK, &from, &error), STATUS_OK);
}

static void a_message_without_an_end_is_cut(void **state)
{
    struct backend backend = {.name = "mine"};
    struct llmrun_error from;
    struct error error = {0};

    (void)state;
    memset(&from, 'x', sizeof from);
    from.vendor_code = 0;
    assert_int_equal(backend_error(&backend, LLMRUN_ERROR_INTERNAL, &from, &error), STATUS_BACKEND);
    assert_int_equal(strlen(error.message), strlen("mine: ") + 511);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(whole_tables_are_copied, set_up),
        cmocka_unit_test_setup(kernel_or_program_suffices, set_up),
        cmocka_unit_test_setup(every_required_entry_is_missed_by_name, set_up),
        cmocka_unit_test_setup(an_optional_entry_may_be_missing, set_up),
        cmocka_unit_test_setup(a_table_of_an_older_contract_is_zero_at_its_end, set_up),
        cmocka_unit_test_setup(a_table_of_a_later_contract_is_cut, set_up),
        cmocka_unit_test_setup(a_size_that_cannot_be_is_refused, set_up),
        cmocka_unit_test_setup(a_table_that_contradicts_the_note_is_refused, set_up),
        cmocka_unit_test_setup(a_plugins_error_becomes_a_sentence_with_its_name, set_up),
        cmocka_unit_test_setup(a_message_without_an_end_is_cut, set_up),
    };

    return cmocka_run_group_tests_name("plugin backend", tests, NULL, NULL);
}
