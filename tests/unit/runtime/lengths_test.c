/* A plugin of every length that version 0.2 of the contract allows, and of a later one, trains as the CPU backend does.
 * A plugin is loaded once in a process, so each length has one of its own. */
#include "tiny.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define STEPS  2
#define LOSSES (STEPS * TINY_BATCH)

static double wanted[LOSSES];

static int train_on_cpu(void **state)
{
    const struct compile_request request = tiny_request();
    struct tiny tiny;

    (void)state;
    tiny_open(&tiny, "cpu", NULL, NULL, &request);
    tiny_train(&tiny, STEPS, wanted);
    tiny_close(&tiny);
    return 0;
}

/* In a process of its own, on `lengths` with this in its environment. `signals`: its device table reaches to the end.
 */
static void train_with(const char *name, const char *value, bool signals)
{
    const pid_t child = fork();
    int status = -1;

    if (child == 0) {
        const struct compile_request request = tiny_request();
        double found[LOSSES];
        struct tiny tiny;

        setenv(name, value, 1);
        tiny_open(&tiny, "lengths", NULL, NULL, &request);
        assert_int_equal(device_signals(tiny.device), signals);
        tiny_train(&tiny, STEPS, found);
        tiny_close(&tiny);
        _exit(memcmp(found, wanted, sizeof wanted) == 0 ? 0 : 99);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (status != 0)
        fail_msg("with %s=%s the process ended with status %#x", name, value, status);
}

static void with_size(const char *name, size_t bytes, bool signals)
{
    char text[24];

    snprintf(text, sizeof text, "%zu", bytes);
    train_with(name, text, signals);
}

static void optional_entries_at_the_end_of_a_table_may_be_missing(void **state)
{
    (void)state;
    with_size("LENGTHS_DEVICE", sizeof(struct llmrun_device_table), true);
    with_size("LENGTHS_DEVICE", offsetof(struct llmrun_device_table, event_signal), false);
    with_size("LENGTHS_DEVICE", offsetof(struct llmrun_device_table, export_native), false);
    with_size("LENGTHS_BACKEND", sizeof(struct llmrun_backend), true);
    with_size("LENGTHS_BACKEND", offsetof(struct llmrun_backend, capture), true);
    with_size("LENGTHS_BACKEND", offsetof(struct llmrun_backend, program), true);
}

static void structs_may_be_as_short_as_in_0_2_and_longer_than_the_plugin_knows(void **state)
{
    (void)state;
    train_with("LENGTHS_STRUCTS", "own", true);
    train_with("LENGTHS_STRUCTS", "short", true);
    train_with("LENGTHS_STRUCTS", "long", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(optional_entries_at_the_end_of_a_table_may_be_missing),
        cmocka_unit_test(structs_may_be_as_short_as_in_0_2_and_longer_than_the_plugin_knows),
    };

    return cmocka_run_group_tests_name("runtime lengths", tests, train_on_cpu, NULL);
}
